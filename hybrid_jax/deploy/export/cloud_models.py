"""Writes the cloud half for servers without LiteRT, with any batch size."""

import pathlib

import jax
import jax.numpy as jnp
from jax import export as jax_export

from hybrid_jax import errors, files
from hybrid_jax.deploy.export import split_functions

SIGNATURE = 'infer'
_PLATFORMS = ('cpu', 'cuda', 'tpu')


def write_saved_model(
  split: split_functions.SplitFunctions, folder: pathlib.Path
) -> None:
  """Writes a SavedModel: `released [n, d]` to `logits [n, classes]`, any n.

  It has two equal signatures, `infer` and `serving_default`.

  Raises:
    UserError: TensorFlow is not installed, or the folder exists and is no
      SavedModel.
  """
  try:
    import tensorflow as tf  # Imported here: it is slow and optional.
    from jax.experimental import jax2tf
  except ImportError as e:
    raise errors.UserError(
      "a SavedModel needs TensorFlow: pip install 'hybrid-jax[export]'."
    ) from e
  if folder.exists() and not (folder / 'saved_model.pb').exists():
    raise errors.UserError(
      f'{folder} exists and is no SavedModel; name a new folder.'
    )
  converted = jax2tf.convert(
    split.cloud(), polymorphic_shapes=['(n, ...)'], with_gradient=False
  )
  module = tf.Module()

  @tf.function(
    input_signature=[
      tf.TensorSpec((None, split.dim), tf.float32, name='released')
    ],
    autograph=False,  # It would spend minutes on rewriting JAX's code.
  )
  def call(released):
    return {'logits': converted(released)}

  module.call = call
  tf.saved_model.save(
    module,
    str(folder),
    signatures={SIGNATURE: call, 'serving_default': call},
  )


def write_jax_export(
  split: split_functions.SplitFunctions, path: pathlib.Path
) -> None:
  """Writes the cloud half, with its weights, for `jax.export.deserialize`.

  The exported function maps float32 `released [n, d]`, for any n, to `logits
  [n, classes]` on CPU, GPU and TPU. It needs no code of hybrid_jax.
  """
  (n,) = jax_export.symbolic_shape('n')
  exported = jax_export.export(jax.jit(split.cloud()), platforms=_PLATFORMS)(
    jax.ShapeDtypeStruct((n, split.dim), jnp.float32)
  )
  files.write_bytes(path, bytes(exported.serialize()))
