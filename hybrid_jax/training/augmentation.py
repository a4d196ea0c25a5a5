"""Data augmentation: random changes that keep the primary label.

A config gives the strength of each change. The changes are drawn inside the
jitted step, anew for each example and step.
"""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

from hybrid_jax import errors, plugins
from hybrid_jax.datasets import normalization

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


def rotate(key: jax.Array, x: jax.Array, deviation: float) -> jax.Array:
  """Turns the frame of motion sensors about a random axis.

  This models a device that is worn another way. Channels 0 to 2, 3 to 5, and so
  on are the axes x, y and z of one sensor; all sensors turn together.

  Args:
    key: the random key.
    x: `[batch, ..., 3 k]`, in the units of the sensors.
    deviation: the standard deviation of the angle in radians.
  """
  draws = jax.random.normal(key, (len(x), 4))
  axis = draws[:, :3] / jnp.linalg.norm(draws[:, :3], axis=1, keepdims=True)
  angle = deviation * draws[:, 3, None, None]
  # Rodrigues' formula, with K v the cross product of the axis and v.
  a, b, c = axis.T
  zero = jnp.zeros_like(a)
  k = jnp.stack([zero, -c, b, c, zero, -a, -b, a, zero], -1).reshape(-1, 3, 3)
  matrix = jnp.eye(3) + jnp.sin(angle) * k + (1 - jnp.cos(angle)) * (k @ k)
  triples = x.reshape(*x.shape[:-1], -1, 3)
  return jnp.einsum('n...j,nij->n...i', triples, matrix).reshape(x.shape)


def time_mask(key: jax.Array, x: jax.Array, share: float) -> jax.Array:
  """Sets a stretch of a series to zero, the mean of the training data.

  SpecAugment: Park et al., Interspeech 2019. The length is uniform up to
  `share` of the series.

  Args:
    key: the random key.
    x: `[batch, 1, time, channels]`.
    share: the largest share.
  """
  return _mask(key, x, share, axis=2)


def band_mask(key: jax.Array, x: jax.Array, share: float) -> jax.Array:
  """Sets neighbouring bands of a spectrogram to zero; see `time_mask`.

  Args:
    key: the random key.
    x: `[batch, 1, time, bands]`.
    share: the largest share of the bands.
  """
  return _mask(key, x, share, axis=3)


def _mask(key, x, share, axis):
  return jnp.where(_stretch(key, x, share, axis), 0, x)


def _stretch(key, x, share, axis):
  """Returns a mask of a random stretch of an axis, for each example."""
  length_key, start_key = jax.random.split(key)
  size = x.shape[axis]
  uniform = jax.random.uniform(length_key, (len(x), 1))
  length = (uniform * (share * size + 1)).astype(jnp.int32)
  start = jax.random.uniform(start_key, (len(x), 1)) * (size - length + 1)
  place = jnp.arange(size) - start.astype(jnp.int32)
  masked = (place >= 0) & (place < length)
  shape = [len(x), *(size if i == axis else 1 for i in range(1, x.ndim))]
  return masked.reshape(shape)


def band_shift(key: jax.Array, x: jax.Array, bands: int) -> jax.Array:
  """Shifts a spectrogram along its bands, as another pitch does.

  The bands at the edges are repeated.

  Args:
    key: the random key.
    x: `[batch, 1, time, bands]`.
    bands: the largest shift in each direction.
  """
  moves = jax.random.randint(key, (len(x), 1), -int(bands), int(bands) + 1)
  place = jnp.clip(jnp.arange(x.shape[3]) - moves, 0, x.shape[3] - 1)
  return jnp.take_along_axis(x, place[:, None, None], axis=3)


def zoom(key: jax.Array, x: jax.Array, deviation: float) -> jax.Array:
  """Scales pictures about their middle by the factor `exp(d N(0, 1))`.

  They keep their size, and are resampled linearly; the edge pixels are
  repeated.

  Args:
    key: the random key.
    x: `[batch, height, width, channels]`.
    deviation: the standard deviation d of the factor's logarithm.
  """
  factor = jnp.exp(-deviation * jax.random.normal(key, (len(x), 1)))

  def weights(size):
    """Returns `[batch, size, size]`: how much each pixel takes of each."""
    middle = (size - 1) / 2
    place = (jnp.arange(size) - middle) * factor + middle
    place = jnp.clip(place, 0, size - 1)[:, :, None]
    return jnp.maximum(1 - jnp.abs(place - jnp.arange(size)), 0)

  x = jnp.einsum('npi,niwc->npwc', weights(x.shape[1]), x)
  return jnp.einsum('npi,nhic->nhpc', weights(x.shape[2]), x)


def erase(key: jax.Array, x: jax.Array, share: float) -> jax.Array:
  """Sets a rectangle of a picture to zero, the mean of the training data.

  Random erasing: Zhong et al., AAAI 2020. The sides are uniform up to `share`
  of those of the picture.

  Args:
    key: the random key.
    x: `[batch, height, width, channels]`.
    share: the largest share of a side.
  """
  rows_key, columns_key = jax.random.split(key)
  rows = _stretch(rows_key, x, share, axis=1)
  columns = _stretch(columns_key, x, share, axis=2)
  return jnp.where(rows & columns, 0, x)


OPTIONS = {
  'enabled': plugins.Option(True, 'Whether training examples are changed.'),
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
  'rotate': plugins.Option(
    0.0,
    'Standard deviation of the angle of the frame of motion sensors, whose'
    ' channels are x, y, z, x, y, z ...',
    unit='rad',
    low=0,
    high=4,
  ),
  'time_mask': plugins.Option(
    0.0, 'Largest share of a series that is masked.', low=0, high=1
  ),
  'band_mask': plugins.Option(
    0.0, 'Largest share of the bands that is masked.', low=0, high=1
  ),
  'band_shift': plugins.Option(
    0, 'Largest shift of a spectrogram.', unit='bands', low=0
  ),
  'zoom': plugins.Option(
    0.0,
    'Standard deviation of the logarithm of the size of a picture.',
    low=0,
    high=1,
  ),
  'erase': plugins.Option(
    0.0,
    'Largest side of an erased rectangle, as a share of the picture.',
    unit='share',
    low=0,
    high=1,
  ),
}
# What suits most data of a kind, for the configs.
PRESETS: dict[str, dict[str, float]] = {
  'motion': {'rotate': 0.4, 'gain': 0.1, 'time_scale': 0.1},
  'signal': {'gain': 0.1, 'time_scale': 0.1},
  'sound': {'time_mask': 0.1, 'band_mask': 0.1, 'band_shift': 1},
  'picture': {'shift': 2, 'contrast': 0.1},
}

KNOWN = {
  'gain': gain,
  'time_scale': time_scale,
  'mirror': mirror,
  'shift': shift,
  'contrast': contrast,
  'rotate': rotate,
  'time_mask': time_mask,
  'band_mask': band_mask,
  'band_shift': band_shift,
  'zoom': zoom,
  'erase': erase,
}

# A mirrored series would run backwards.
_PICTURES = ('mirror', 'shift', 'zoom', 'erase')
_SERIES = ('time_scale', 'time_mask', 'band_mask', 'band_shift')


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
    errors.check_known('augmentation', name, OPTIONS)
    OPTIONS[name].check(f'augment.{name}', strength)
    if shape is not None and strength and name in active(config):
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
  if name in _SERIES and (len(shape) != 3 or shape[1] < 2):
    raise errors.UserError(
      f'augment.{name} is {strength}, and is for examples [1, time,'
      f' channels] of two samples or more; they are {list(shape)}. Set it to 0.'
    )
  if name == 'rotate' and shape[-1] % 3:
    raise errors.UserError(
      f'augment.rotate is {strength}, and is for sensors with the channels x, y'
      f' and z; the examples have {shape[-1]} channels. Set it to 0.'
    )
  if name == 'band_shift' and strength >= shape[-1]:
    raise errors.UserError(
      f'augment.band_shift is {strength}; {shape[-1]} bands can be shifted by 0'
      f' to {shape[-1] - 1}.'
    )


def active(config: Mapping[str, float]) -> dict[str, float]:
  """Returns the changes of a config that have an effect, with their strengths.

  Args:
    config: see `make`.
  """
  if not config.get('enabled', True):
    return {}
  return {name: config[name] for name in KNOWN if config.get(name)}


def make(
  config: Mapping[str, float],
  normalizer: normalization.Normalizer | None = None,
) -> Augment:
  """Returns `(key, x) -> x`, which applies the changes in the order of `KNOWN`.

  Args:
    config: maps the names of changes to their strengths; empty leaves the
      examples unchanged.
    normalizer: of the examples; `None` where they have the sensors' units.

  Raises:
    UserError: see `check`; the returned function also checks the shape of `x`.
  """
  check(config)
  changes = active(config)

  def augment(key, x):
    check(config, x.shape[1:])
    if not changes:
      return x
    keys = jax.random.split(key, len(KNOWN))  # One draw for all of them.
    for key, (name, change) in zip(keys, KNOWN.items(), strict=True):
      if name not in changes:
        continue
      in_units = name == 'rotate' and normalizer is not None
      if in_units:
        x = x * normalizer.std + normalizer.mean
      x = change(key, x, changes[name])
      if in_units:
        x = (x - normalizer.mean) / normalizer.std
    return x

  return augment
