"""The cloud half for servers that are not LiteRT's, with a free batch."""

import pathlib

import jax
import jax.numpy as jnp
from jax import export as jax_export

from hybrid_jax import errors, files
from hybrid_jax.deploy.export import split_functions

SIGNATURE = 'infer'
_PLATFORMS = ('cpu', 'cuda', 'tpu')


def write_saved_model(
  cut: split_functions.Halves, folder: pathlib.Path
) -> None:
  """A SavedModel: `released [n, d]` to `logits [n, classes]`, any n.

  Its signatures are `infer` and `serving_default`, which are the same.

  Raises:
    UserError: TensorFlow is not installed, or the folder holds something else.
  """
  try:
    import tensorflow as tf  # Only here: it is slow, and not everywhere.
    from jax.experimental import jax2tf
  except ImportError as e:
    raise errors.UserError(
      "a SavedModel needs TensorFlow: pip install 'hybrid-jax[export]'."
    ) from e
  if folder.exists() and not (folder / 'saved_model.pb').exists():
    raise errors.UserError(
      f'{folder} is there, and is no SavedModel; name a new folder.'
    )
  converted = jax2tf.convert(
    cut.cloud(), polymorphic_shapes=['(n, ...)'], with_gradient=False
  )
  module = tf.Module()

  @tf.function(
    input_signature=[
      tf.TensorSpec((None, cut.dim), tf.float32, name='released')
    ],
    autograph=False,  # It would rewrite all of JAX's tracing.
  )
  def call(released):
    return {'logits': converted(released)}

  module.call = call
  tf.saved_model.save(
    module,
    str(folder),
    signatures={SIGNATURE: call, 'serving_default': call},
  )


def write_jax_export(cut: split_functions.Halves, path: pathlib.Path) -> None:
  """A file that `jax.export.deserialize` reads: StableHLO, weights inside.

  It takes `released [n, d]` for any n to `logits [n, classes]`, on CPU, GPU and
  TPU, and needs no code of this project.
  """
  (n,) = jax_export.symbolic_shape('n')
  exported = jax_export.export(jax.jit(cut.cloud()), platforms=_PLATFORMS)(
    jax.ShapeDtypeStruct((n, cut.dim), jnp.float32)
  )
  files.write_bytes(path, bytes(exported.serialize()))
