"""A JAX function of fixed shapes as a TFLite file of builtin operations."""

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from hybrid_jax import errors
from hybrid_jax.deploy.export import device, unsupported_ops, variants


def convert(
  function: Callable[..., jax.Array],
  inputs: Mapping[str, Sequence[int]],
  output: str,
  variant: str = 'float32',
  examples: Sequence[Sequence[np.ndarray]] | None = None,
  batch: int = 1,
  drawn: Collection[str] = (),
  int8_input: bool = False,
) -> bytes:
  """The TFLite file of `function`, which takes float32 arrays by position.

  Args:
    function: pure, with its parameters inside.
    inputs: the name and shape of each argument, in order. What has more than
      one axis is a batch.
    output: what the result is called.
    variant: one of `variants.VARIANTS`.
    examples: for `'int8'`; see `variants.configure`.
    batch: the batch of every input, which the file then has for good.
    drawn: inputs that the file is not given but draws itself, standard normal,
      by LiteRT's own operation, whose seed has 32 bits.
    int8_input: see `variants.configure`.

  Raises:
    UserError: TensorFlow is not installed, an input has another batch, the
      variant is not known, or the file needs an operation that is not builtin;
      the message names it and the layer.
  """
  _check_batch(inputs, batch)
  try:
    import tensorflow as tf  # Only here: it is slow, and not everywhere.
    from jax.experimental import jax2tf
  except ImportError as e:
    raise errors.UserError(
      "export needs TensorFlow: pip install 'hybrid-jax[export]'."
    ) from e

  specs = [
    tf.TensorSpec(tuple(shape), tf.float32, name=name)
    for name, shape in inputs.items()
    if name not in drawn
  ]
  converted = jax2tf.convert(function, with_gradient=False)
  module = tf.Module()

  # Autograph would rewrite all of JAX's tracing: minutes for nothing.
  @tf.function(input_signature=specs, autograph=False)
  def call(*given):
    arrays = iter(given)
    return {
      output: converted(
        *(
          tf.random.normal(shape) if name in drawn else next(arrays)
          for name, shape in inputs.items()
        )
      )
    }

  module.call = call
  with tempfile.TemporaryDirectory() as folder:
    tf.saved_model.save(
      module, folder, signatures={'serving_default': module.call}
    )
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    variants.configure(converter, variant, examples, int8_input)
    try:
      data = converter.convert()
    except Exception as e:  # Its class is not public.
      refusal = unsupported_ops.explain(e, function, list(inputs.values()))
      if refusal is None:
        raise
      raise refusal from e
  unsupported_ops.check(data, function, list(inputs.values()))
  return data


def operations(data: bytes) -> list[str]:
  """The names of a TFLite file's operations, each once, sorted."""
  return sorted({op for op, _ in unsupported_ops.operators(data)})


def runner(
  data: bytes, kinds: Mapping[str, Mapping[str, Any]] | None = None
) -> Callable[..., np.ndarray]:
  """A function of the file's named inputs, which gives its one output.

  It takes floats, also where the file's input is of 8 bits.

  Args:
    data: the file.
    kinds: of its inputs, if not what `input_kinds` finds.
  """
  run = load(data).get_signature_runner()
  kinds = kinds or input_kinds(data)

  def call(**inputs: Any) -> np.ndarray:
    arrays: dict[str, np.ndarray] = {}
    for name, value in inputs.items():
      arrays[name] = array = np.asarray(value, np.float32)
      if kinds[name]['dtype'] == 'int8':
        arrays[name] = device.to_int8(array, kinds[name])
    (output,) = run(**arrays).values()
    return output

  return call


def input_kinds(data: bytes) -> dict[str, dict[str, Any]]:
  """Each input's `shape` and `dtype`, and of 8 bits `scale` and `zero_point`.

  What is given is `round(x / scale + zero_point)`, within -128 to 127.
  """
  kinds = {}
  details = load(data).get_signature_runner().get_input_details()
  for name, detail in details.items():
    kinds[name] = {
      'shape': detail['shape'].tolist(),
      'dtype': np.dtype(detail['dtype']).name,
    }
    if detail['dtype'] is np.int8:
      scale, zero_point = detail['quantization']
      kinds[name] |= {'scale': float(scale), 'zero_point': int(zero_point)}
  return kinds


def least_version(data: bytes) -> str:
  """The least runtime that the file says it needs, in TensorFlow's numbers."""
  model = unsupported_ops.schema().Model.GetRootAs(data, 0)
  for i in range(model.MetadataLength()):
    entry = model.Metadata(i)
    if entry.Name() == b'min_runtime_version':
      text = model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
      return text.rstrip(b'\0').decode()
  return 'unknown'


def load(data: bytes) -> Any:
  """A LiteRT interpreter of the file, ready to run, of one thread.

  Raises:
    UserError: LiteRT is not installed.
    ValueError, RuntimeError: the installed LiteRT does not take the file.
  """
  try:
    from ai_edge_litert import interpreter as litert
  except ImportError as e:
    raise errors.UserError(
      "export needs LiteRT: pip install 'hybrid-jax[export]'."
    ) from e
  interpreter = litert.Interpreter(model_content=data, num_threads=1)
  interpreter.allocate_tensors()
  return interpreter


def _check_batch(inputs, batch):
  for name, shape in inputs.items():
    if len(shape) > 1 and shape[0] != batch:
      raise errors.UserError(
        f'{name!r} has the shape {list(shape)}, and so a batch of {shape[0]};'
        f' the file is to have the batch {batch}.'
      )
