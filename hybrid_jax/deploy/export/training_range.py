"""The range of the training data, which a device compares its windows with."""

from typing import Any

import numpy as np

from hybrid_jax.datasets import normalization

# A window is released if it is at most this many times as far from the mean as
# nearly all training windows.
MARGIN = 3.0
_USUAL = 0.999  # share of the training windows that are nearly all
_QUANTILES = (0.001, 0.5, 0.999)


def measure(
  windows: np.ndarray, normalizer: normalization.Normalizer
) -> dict[str, Any]:
  """Returns the range of each channel, in sensor units, for the manifest.

  The distance of a window is the largest distance of its values from the mean,
  in deviations.

  Args:
    windows: training examples `[n, ..., channels]` in sensor units.
    normalizer: of the training fold.

  Returns:
    For each channel `mean`, `std`, `quantiles`, and `limit`: the largest
    distance of a window that is released. And `windows`, their number.
  """
  distances = np.abs(windows - normalizer.mean) / normalizer.std
  largest = distances.reshape(len(windows), -1, windows.shape[-1]).max(axis=1)
  usual = np.quantile(largest, _USUAL, axis=0, method='lower')
  values = windows.reshape(-1, windows.shape[-1])
  quantiles = np.quantile(values, _QUANTILES, axis=0)
  return {
    'mean': _numbers(normalizer.mean),
    'std': _numbers(normalizer.std),
    'quantiles': {
      f'{q:g}': _numbers(row)
      for q, row in zip(_QUANTILES, quantiles, strict=True)
    },
    'limit': _numbers(MARGIN * np.maximum(usual, 1)),
    'windows': len(windows),
  }


def _numbers(array):
  """Returns a list of numbers with the digits of a float32."""
  return [float(f'{value:.9g}') for value in np.ravel(array)]
