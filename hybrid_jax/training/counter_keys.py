"""Random keys that are made of a seed and a step, without drawing anything.

Each drawing of threefry is a piece of its program that takes long to compile on
a CPU. `jax.random.fold_in` and `jax.random.split` draw; these keys do not.
"""

import jax
import jax.numpy as jnp
import numpy as np

_STREAMS = 8


def make(
  seed: jax.Array | int, step: jax.Array | int, stream: int
) -> jax.Array:
  """Returns the key whose two words are seed with stream, and step.

  Args:
    seed: below 2**29.
    step: number of the draw within the stream.
    stream: what is drawn, 0 to 7; streams of one seed are independent.
  """
  first = jnp.asarray(seed, jnp.uint32) * _STREAMS + stream
  words = jnp.stack([first, jnp.asarray(step, jnp.uint32)])
  return jax.random.wrap_key_data(words, impl='threefry2x32')


def draw_rows(
  key: jax.Array, batch_size: int, count: jax.Array | np.ndarray
) -> jax.Array:
  """Draws the rows of a batch, `[batch_size]`, from `range(count)`.

  `jax.random.randint` would draw four times. Here the bias is below
  `count / 2**32`.
  """
  bits = jax.random.bits(key, (batch_size,))
  return (bits % jnp.asarray(count, jnp.uint32)).astype(jnp.int32)
