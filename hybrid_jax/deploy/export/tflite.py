"""Converts a JAX function to a TFLite file that has only builtin operations."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from hybrid_jax import errors
from hybrid_jax.deploy.export import unsupported_ops, variants
from hybrid_jax.deploy.formats import device


def convert(
  function: Callable[..., jax.Array],
  inputs: Mapping[str, Sequence[int]],
  output: str,
  variant: str = 'float32',
  examples: Sequence[Sequence[np.ndarray]] | None = None,
  int8_input: bool = False,
) -> bytes:
  """Converts `function`, which takes float32 arrays by position.

  Args:
    function: a pure function with its parameters inside.
    inputs: name and shape of each argument, in order. Inputs of two or more
      axes begin with a batch, which must be 1.
    output: the name of the result.
    variant: one of `variants.VARIANTS`.
    examples: needed for `'int8'`; see `variants.configure`.
    int8_input: see `variants.configure`.

  Raises:
    UserError: TensorFlow is not installed, the batch is not 1, the variant is
      unknown, or the file would need an operation that LiteRT does not have;
      the message names the operation and its layer.
  """
  _check_batch(inputs)
  try:
    import tensorflow as tf  # Imported here: it is slow and optional.
    from jax.experimental import jax2tf
  except ImportError as e:
    raise errors.UserError(
      "export needs TensorFlow: pip install 'hybrid-jax[export]'."
    ) from e

  converted = jax2tf.convert(function, with_gradient=False)
  module = tf.Module()

  # Without autograph, which would spend minutes on rewriting JAX's code.
  @tf.function(
    input_signature=[
      tf.TensorSpec(tuple(shape), tf.float32, name=name)
      for name, shape in inputs.items()
    ],
    autograph=False,
  )
  def call(*arrays):
    return {output: converted(*arrays)}

  module.call = call
  with tempfile.TemporaryDirectory() as folder:
    tf.saved_model.save(
      module, folder, signatures={'serving_default': module.call}
    )
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    variants.configure(converter, variant, examples, int8_input)
    try:
      data = converter.convert()
    except Exception as e:  # The class of conversion errors is not public.
      explained = unsupported_ops.explain(e, function, list(inputs.values()))
      if explained is None:
        raise
      raise explained from e
  unsupported_ops.check(data, function, list(inputs.values()))
  return data


def load(
  data: bytes, inputs: Mapping[str, Mapping[str, Any]] | None = None
) -> device.Model:
  """Loads a TFLite file in LiteRT.

  Raises:
    UserError: LiteRT is not installed.
  """
  try:
    return device.Model(data, inputs)
  except ImportError as e:
    raise errors.UserError(
      "export needs LiteRT: pip install 'hybrid-jax[export]'."
    ) from e


def operations(data: bytes) -> list[str]:
  """Returns the names of a TFLite file's operations, each once, sorted."""
  return sorted({op for op, _ in unsupported_ops.operators(data)})


def least_version(data: bytes) -> str:
  """Returns the least TensorFlow Lite version that the file says it needs."""
  model = unsupported_ops.schema().Model.GetRootAs(data, 0)
  for i in range(model.MetadataLength()):
    entry = model.Metadata(i)
    if entry.Name() == b'min_runtime_version':
      text = model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
      return text.rstrip(b'\0').decode()
  return 'unknown'


def _check_batch(inputs):
  for name, shape in inputs.items():
    if len(shape) > 1 and shape[0] != 1:
      raise errors.UserError(
        f'the input {name!r} has the shape {list(shape)}, and so a batch of'
        f' {shape[0]}; an exported file must have the batch 1.'
      )
