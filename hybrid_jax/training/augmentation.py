"""Data augmentation: random changes that keep the primary label.

A config gives the strength of each change. The changes are drawn inside the
jitted step, anew for each example and step.
"""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

from hybrid_jax import errors, plugins

Augment = Callable[[jax.Array, jax.Array], jax.Array]


def gain(key: jax.Array, x: jax.Array, deviation: float) -> jax.Array:
  """Multiplies each channel by `1 + deviation * N(0, 1)`.

  This models the differences between sensors.

  Args:
    key: the random key.
    x: `[batch, ..., channels]`.
    deviation: the standard deviation of the gain.
  """
  ones = [1] * (x.ndim - 2)
  return x * (
    1 + deviation * jax.random.normal(key, (len(x), *ones, x.shape[-1]))
  )


def time_scale(key: jax.Array, x: jax.Array, deviation: float) -> jax.Array:
  """Changes the speed of signals by the factor `exp(deviation * N(0, 1))`.

  Signals are resampled linearly about their middle. Beyond the ends the last
  value is repeated.

  Args:
    key: the random key.
    x: `[batch, 1, time, channels]`.
    deviation: the standard deviation of the factor's logarithm.
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
  """Mirrors pictures left to right.

  Args:
    key: the random key.
    x: `[batch, height, width, channels]`.
    share: the probability that a picture is mirrored.
  """
  mirrored = jax.random.bernoulli(key, share, (len(x), 1, 1, 1))
  return jnp.where(mirrored, x[:, :, ::-1], x)


def shift(key: jax.Array, x: jax.Array, pixels: int) -> jax.Array:
  """Shifts pictures in both axes; the edge pixels are repeated.

  Args:
    key: the random key.
    x: `[batch, height, width, channels]`.
    pixels: the largest shift in each direction.
  """
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
  """Changes contrast and brightness: `x (1 + d N(0, 1)) + d N(0, 1)`.

  Args:
    key: the random key.
    x: `[batch, ...]`; each example has its own two numbers.
    deviation: the standard deviation d of both.
  """
  ones = (len(x), *[1] * (x.ndim - 1))
  scale, offset = jax.random.normal(key, (2, *ones))
  return x * (1 + deviation * scale) + deviation * offset


OPTIONS = {
  'gain': plugins.Option(
    0.0, 'Standard deviation of a gain of each channel.', low=0, high=1
  ),
  'time_scale': plugins.Option(
    0.0, 'Standard deviation of the logarithm of the speed.', low=0, high=1
  ),
  'mirror': plugins.Option(
    0.0, 'Share of pictures that are mirrored.', unit='share', low=0, high=1
  ),
  'shift': plugins.Option(
    0, 'Largest shift of a picture.', unit='pixels', low=0
  ),
  'contrast': plugins.Option(
    0.0, 'Standard deviation of contrast and brightness.', low=0, high=1
  ),
}

KNOWN = {
  'gain': gain,
  'time_scale': time_scale,
  'mirror': mirror,
  'shift': shift,
  'contrast': contrast,
}

_PICTURES = ('mirror', 'shift')  # A mirrored series would run backwards.


def identity(key: jax.Array, x: jax.Array) -> jax.Array:
  """Returns the examples unchanged."""
  del key
  return x


def check(
  config: Mapping[str, float], shape: Sequence[int] | None = None
) -> None:
  """Checks the names and strengths of a config.

  Args:
    config: see `make`.
    shape: the shape of an example, without the batch axis. Without it, whether
      the changes suit the examples is not checked.

  Raises:
    UserError: an unknown name, a strength outside its range, or a change that
      does not suit such examples.
  """
  for name, strength in config.items():
    errors.check_known('augmentation', name, KNOWN)
    OPTIONS[name].check(f'augment.{name}', strength)
    if shape is not None and strength:
      _check_suits(name, strength, tuple(shape))


def _check_suits(name, strength, shape):
  """Raises `UserError` if a change does not suit examples of this shape."""
  is_picture = len(shape) == 3 and min(shape[:2]) > 1
  if name in _PICTURES and not is_picture:
    raise errors.UserError(
      f'augment.{name} is {strength}, and is for pictures [height, width,'
      f' channels]; the examples are {list(shape)}, a series, which has'
      ' augment.gain and augment.time_scale. Set it to 0.'
    )
  if name == 'shift' and strength >= min(shape[:2]):
    raise errors.UserError(
      f'augment.shift is {strength}; pictures of {shape[0]} by {shape[1]} can'
      f' be shifted by 0 to {min(shape[:2]) - 1} pixels.'
    )
  if name == 'time_scale' and (len(shape) != 3 or shape[1] < 2):
    raise errors.UserError(
      f'augment.time_scale is {strength}, and is for examples [1, time,'
      f' channels] of two samples or more; they are {list(shape)}. Set it to 0.'
    )


def make(config: Mapping[str, float]) -> Augment:
  """Returns `(key, x) -> x`, which applies the changes in the order of `KNOWN`.

  Args:
    config: maps the names of changes to their strengths; empty leaves the
      examples unchanged.

  Raises:
    UserError: see `check`; the returned function also checks the shape of `x`.
  """
  check(config)

  def augment(key, x):
    check(config, x.shape[1:])
    for i, (name, change) in enumerate(KNOWN.items()):
      if config.get(name):
        x = change(jax.random.fold_in(key, i), x, config[name])
    return x

  return augment
