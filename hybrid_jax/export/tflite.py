"""A JAX function of fixed shapes as a TFLite file of builtin operations."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from hybrid_jax import errors


def convert(
  function: Callable[..., jax.Array],
  inputs: Mapping[str, Sequence[int]],
  output: str,
) -> bytes:
  """The TFLite file of `function`, which takes float32 arrays by position.

  Args:
    function: pure, with its parameters inside.
    inputs: the name and shape of each argument, in order; batch 1.
    output: what the result is called.

  Raises:
    UserError: TensorFlow is not installed, or the file needs an operation that
      is not builtin; the message names it.
  """
  try:
    import tensorflow as tf  # Only here: it is slow, and not everywhere.
    from jax.experimental import jax2tf
  except ImportError as e:
    raise errors.UserError(
      "export needs TensorFlow: pip install 'hybrid-jax[export]'."
    ) from e

  names = list(inputs)
  specs = [
    tf.TensorSpec(tuple(shape), tf.float32, name=name)
    for name, shape in inputs.items()
  ]
  converted = jax2tf.convert(function, with_gradient=False)
  module = tf.Module()

  # Autograph would rewrite all of JAX's tracing: minutes for nothing.
  @tf.function(input_signature=specs, autograph=False)
  def call(*arguments):
    return {output: converted(*arguments)}

  module.call = call
  with tempfile.TemporaryDirectory() as folder:
    tf.saved_model.save(
      module, folder, signatures={'serving_default': module.call}
    )
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    data = converter.convert()
  foreign = [op for op in operations(data) if _is_foreign(op)]
  if foreign:
    raise errors.UserError(
      f'the file of {names} -> {output!r} needs {", ".join(foreign)}, which'
      ' LiteRT has not built in.'
    )
  return data


def operations(data: bytes) -> list[str]:
  """The names of a TFLite file's operations, each once, sorted."""
  interpreter = _interpreter(data, 'BUILTIN_WITHOUT_DEFAULT_DELEGATES')
  return sorted({op['op_name'] for op in interpreter._get_ops_details()})


def runner(data: bytes) -> Callable[..., np.ndarray]:
  """A function of the file's named inputs, which gives its one output."""
  run = _interpreter(data).get_signature_runner()

  def call(**inputs: Any) -> np.ndarray:
    (output,) = run(
      **{k: np.asarray(v, np.float32) for k, v in inputs.items()}
    ).values()
    return output

  return call


def least_version(data: bytes) -> str:
  """The least LiteRT (TFLite) runtime that the file says it needs."""
  from ai_edge_litert import schema_py_generated as schema

  model = schema.Model.GetRootAs(data, 0)
  for i in range(model.MetadataLength()):
    entry = model.Metadata(i)
    if entry.Name() == b'min_runtime_version':
      text = model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
      return text.rstrip(b'\0').decode()
  return 'unknown'


def _interpreter(data, resolver='AUTO'):
  try:
    from ai_edge_litert import interpreter as litert
  except ImportError as e:
    raise errors.UserError(
      "export needs LiteRT: pip install 'hybrid-jax[export]'."
    ) from e
  interpreter = litert.Interpreter(
    model_content=data,
    num_threads=1,
    experimental_op_resolver_type=litert.OpResolverType[resolver],
  )
  interpreter.allocate_tensors()
  return interpreter


def _is_foreign(op):
  return op.startswith(('Flex', 'STABLEHLO')) or op == 'CUSTOM'
