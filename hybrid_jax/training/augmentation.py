"""Random changes of training examples that keep their primary label.

A config names the changes and how strong each is; they are drawn anew for each
example and step, inside the jitted step.
"""

import math
import numbers
from collections.abc import Callable, Mapping, Sequence

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

_PICTURES = ('mirror', 'shift')  # A mirrored series would run backwards.


def nothing(key: jax.Array, x: jax.Array) -> jax.Array:
  """Leaves every example as it is."""
  del key
  return x


def check(
  config: Mapping[str, float], shape: Sequence[int] | None = None
) -> None:
  """Refuses strengths that cannot be, and changes that do not suit examples.

  Args:
    config: see `make`.
    shape: of an example, without its batch; where it is not known, whether the
      changes suit it is not checked.

  Raises:
    UserError: an unknown name, a strength out of its range, or a change that
      is not one for such examples; it names the setting and what is valid.
  """
  for name, strength in config.items():
    errors.check_known('augmentation', name, KNOWN)
    whole = name == 'shift'
    kind, most = (numbers.Integral, math.inf) if whole else (numbers.Real, 1)
    # NaN is in no range.
    if not (isinstance(strength, kind) and 0 <= float(strength) <= most):
      valid = 'a whole number of pixels from 0 on' if whole else 'from 0 to 1'
      raise errors.UserError(
        f'augment.{name} is {strength}; it must be {valid}.'
      )
    if shape is not None and strength:
      _check_suits(name, strength, tuple(shape))


def _check_suits(name, strength, shape):
  """Refuses a change of examples of another kind, which would harm them."""
  picture = len(shape) == 3 and min(shape[:2]) > 1
  if name in _PICTURES and not picture:
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
  """`(key, x) -> x` of the config's changes, in the order of `KNOWN`.

  Args:
    config: name to strength; empty leaves every example as it is.

  Raises:
    UserError: see `check`; once it is called with `x`, of its shape too.
  """
  check(config)

  def augment(key, x):
    check(config, x.shape[1:])
    for i, (name, change) in enumerate(KNOWN.items()):
      if config.get(name):
        x = change(jax.random.fold_in(key, i), x, config[name])
    return x

  return augment
