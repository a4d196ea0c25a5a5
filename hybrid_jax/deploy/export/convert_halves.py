"""Converts the edge half and the cloud half to TFLite files of any variant.

The edge file consists of two parts: the network, converted in the variant, and
the noise with its rounding, always in float32. Converted together, the second
part would be quantised too. Then the released numbers would lie on another grid
than the manifest says, and noise beyond the range of the calibration examples
would be clipped.
"""

import dataclasses
from typing import Any

import jax
import numpy as np

from hybrid_jax.deploy.export import (
  concat_tflite,
  split_functions,
  tflite,
  variants,
)

_NOISE_DRAWS = 4  # for each calibration window
_EXTREMES = 0.98  # of the calibration windows, which set a channel's range
_MARGIN = 2  # times that range, about the median, for rare peaks


@dataclasses.dataclass(frozen=True)
class Calibration:
  """Training examples from which int8 takes the range of every activation.

  Attributes:
    windows: training examples `[n, ...]` in sensor units, clipped.
    released: what the edge releases for them, `[m, 1, d]`.
  """

  windows: np.ndarray
  released: np.ndarray


def calibrate(
  split: split_functions.SplitFunctions, windows: np.ndarray, seed: int
) -> Calibration:
  """Runs the edge on training `windows [n, ...]`, without their extremes.

  Each channel is clipped to twice the range of 98 % of the windows: one window
  of a sensor that hung would take all 256 steps of int8 for itself.

  The noise is from a generator with `seed`; it only shows the range of the sum.
  """
  windows = clip_extremes(windows)
  clean = jax.jit(split.edge_without_noise())
  vectors = [clean(x[None]) for x in windows]
  if split.has_noise:
    add_noise, rng = jax.jit(split.add_noise()), np.random.default_rng(seed)
    vectors = [
      add_noise(vector, rng.standard_normal(split.dim, dtype=np.float32))
      for vector in vectors
      for _ in range(_NOISE_DRAWS)
    ]
  return Calibration(windows, np.asarray(vectors))


def clip_extremes(windows: np.ndarray) -> np.ndarray:
  """Clips each channel to twice the quantiles of the windows' extremes.

  Rare peaks stay, which int8 would else cut off; what is far beyond them goes.

  Args:
    windows: `[n, ..., channels]`.
  """
  axes = tuple(range(1, windows.ndim - 1))
  low = np.quantile(
    windows.min(axis=axes), 1 - _EXTREMES, axis=0, method='higher'
  )
  high = np.quantile(windows.max(axis=axes), _EXTREMES, axis=0, method='lower')
  middle = np.median(windows.reshape(-1, windows.shape[-1]), axis=0)
  low = middle - _MARGIN * np.maximum(middle - low, 0)
  high = middle + _MARGIN * np.maximum(high - middle, 0)
  return np.clip(windows, low, high)


def convert_network(
  split: split_functions.SplitFunctions,
  variant: str = 'float32',
  calibration: Calibration | None = None,
  int8_input: bool = False,
) -> bytes:
  """Converts the edge without its noise: `x` to `clean`.

  If the release has no noise, the output is called `released`. In int8 the
  input is normalised in float32 before it is quantised: otherwise channels in
  different units, such as g and rad/s, would share one scale.

  Args:
    split: the split network.
    variant: one of `variants.VARIANTS`.
    calibration: needed for `'int8'`.
    int8_input: the file takes `x` normalised and quantised; see `input_specs`.
  """
  shape = split.edge_inputs()['x']
  output = 'clean' if split.has_noise else 'released'
  if variant != 'int8':
    variants.check(variant, int8_input)
    return tflite.convert(
      split.edge_without_noise(), {'x': shape}, output, variant
    )
  normalize = split.normalize()
  windows = (
    [] if calibration is None else [x[None] for x in calibration.windows]
  )
  layers_input = 'x' if int8_input else 'normalized'
  layers = tflite.convert(
    split.edge_layers(),
    {layers_input: shape},
    output,
    variant,
    [(np.asarray(normalize(x)),) for x in windows],
    int8_input=int8_input,
  )
  if int8_input:
    return layers
  return concat_tflite.concat(
    tflite.convert(normalize, {'x': shape}, layers_input), layers
  )


def add_noise_part(
  split: split_functions.SplitFunctions,
  network_file: bytes,
  rounded: bool = True,
) -> bytes:
  """Returns the edge file: the network, then the noise and the rounding.

  Args:
    split: the split network.
    network_file: from `convert_network`, in any variant.
    rounded: whether to round to the grid, as deployed.
  """
  if not split.has_noise:
    return network_file
  noise_part = tflite.convert(
    split.add_noise(rounded),
    {'clean': (1, split.dim), 'noise': (split.dim,)},
    'released',
  )
  return concat_tflite.concat(network_file, noise_part)


def convert_cloud(
  split: split_functions.SplitFunctions,
  variant: str = 'float32',
  calibration: Calibration | None = None,
) -> bytes:
  """Converts the cloud: `released [1, d]` to `logits [1, classes]`."""
  return tflite.convert(
    split.cloud(),
    {'released': (1, split.dim)},
    'logits',
    variant,
    None if calibration is None else [(r,) for r in calibration.released],
  )


def input_specs(
  split: split_functions.SplitFunctions, edge_file: bytes
) -> dict[str, Any]:
  """Returns `shape` and `dtype` of each input of an edge file.

  An 8-bit input also has `scale` and `zero_point`, lists with a number for each
  channel. They contain the normalisation: the file takes
  `round(x / scale + zero_point)`, clipped to -128 to 127, of `x` in sensor
  units.
  """
  specs = dict(tflite.load(edge_file).inputs)
  for name, spec in specs.items():
    if spec['dtype'] == 'int8':
      scale = np.float64(split.normalizer.std) * spec['scale']
      zero_point = spec['zero_point'] - split.normalizer.mean / scale
      specs[name] = dict(spec) | {
        'scale': scale.tolist(),
        'zero_point': zero_point.tolist(),
      }
  return specs
