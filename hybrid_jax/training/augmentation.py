"""Random changes of training examples that keep their primary label.

A config names the changes and how strong each is; they are drawn anew for each
example and step, inside the jitted step.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from hybrid_jax import errors

Augment = Callable[[jax.Array, jax.Array], jax.Array]


def gain(key: jax.Array, x: jax.Array, deviation: float) -> jax.Array:
  """Each channel times `1 + deviation * N(0, 1)`: sensors differ."""
  ones = [1] * (x.ndim - 2)
  return x * (
    1 + deviation * jax.random.normal(key, (len(x), *ones, x.shape[-1]))
  )


def time_scale(key: jax.Array, x: jax.Array, deviation: float) -> jax.Array:
  """Signals `[b, 1, time, c]` faster or slower by `exp(deviation * N(0, 1))`.

  Resampled linearly about the middle; beyond the ends the last value stays.
  """
  time = x.shape[2]
  factor = jnp.exp(deviation * jax.random.normal(key, (len(x), 1)))
  middle = (time - 1) / 2
  place = jnp.clip((jnp.arange(time) - middle) * factor + middle, 0, time - 1)
  left = jnp.minimum(place.astype(jnp.int32), time - 2)
  share = (place - left)[:, None, :, None]

  def at(index):
    return jnp.take_along_axis(x, index[:, None, :, None], axis=2)

  return at(left) * (1 - share) + at(left + 1) * share


def mirror(key: jax.Array, x: jax.Array, share: float) -> jax.Array:
  """Pictures `[b, h, w, c]`: this share of them is turned left to right."""
  turned = jax.random.bernoulli(key, share, (len(x), 1, 1, 1))
  return jnp.where(turned, x[:, :, ::-1], x)


def shift(key: jax.Array, x: jax.Array, pixels: int) -> jax.Array:
  """Pictures moved by up to `pixels` up, down, left and right; edges repeat."""
  pixels = int(pixels)
  moves = jax.random.randint(key, (len(x), 2), 0, 2 * pixels + 1)
  padded = jnp.pad(
    x, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)), mode='edge'
  )
  return jax.vmap(
    lambda image, move: jax.lax.dynamic_slice(
      image, (move[0], move[1], 0), x.shape[1:]
    )
  )(padded, moves)


def contrast(key: jax.Array, x: jax.Array, deviation: float) -> jax.Array:
  """Each example times one factor, and one number added to all of it."""
  ones = (len(x), *[1] * (x.ndim - 1))
  times, plus = jax.random.normal(key, (2, *ones))
  return x * (1 + deviation * times) + deviation * plus


KNOWN = {
  'gain': gain,
  'time_scale': time_scale,
  'mirror': mirror,
  'shift': shift,
  'contrast': contrast,
}


def nothing(key: jax.Array, x: jax.Array) -> jax.Array:
  """Leaves every example as it is."""
  del key
  return x


def make(config: Mapping[str, float]) -> Augment:
  """`(key, x) -> x` of the config's changes, in the order of `KNOWN`.

  Args:
    config: name to strength; empty leaves every example as it is.

  Raises:
    UserError: an unknown name.
  """
  for name in config:
    errors.check_known('augmentation', name, KNOWN)

  def augment(key, x):
    for i, (name, change) in enumerate(KNOWN.items()):
      if config.get(name):
        x = change(jax.random.fold_in(key, i), x, config[name])
    return x

  return augment
