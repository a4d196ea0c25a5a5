"""Similarity of rebuilt inputs to the originals: signals and images.

All figures are estimates with 95 % intervals over groups, see `bootstrap`.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid_jax import errors
from hybrid_jax.datasets import dataset
from hybrid_jax.metrics import bootstrap

_WINDOW = 7  # pixels, of SSIM; smaller images get a smaller one
_MAX_PSNR = 100.0  # dB; equal images would have infinity


def measure(
  original: np.ndarray, rebuilt: np.ndarray, group: np.ndarray
) -> dict[str, Any]:
  """Computes `image` for grey and colour images, and `signal` otherwise.

  Args:
    original: `[n, ...]`; the last axis has channels if there are three axes or
      more, and the axes between are treated as time.
    rebuilt: the same shape.
    group: `[n]`, the recording or person of each item.

  Raises:
    UserError: see `signal` and `image`.
  """
  if dataset.is_image(original.shape):
    return image(original, rebuilt, group)
  _check(original, rebuilt)
  channels = original.shape[-1] if original.ndim > 2 else 1
  shape = (len(original), 1, -1, channels)
  return signal(original.reshape(shape), rebuilt.reshape(shape), group)


def signal(
  original: np.ndarray, rebuilt: np.ndarray, group: np.ndarray
) -> dict[str, Any]:
  """Computes correlation along time and relative error, by channel.

  Args:
    original: `[n, 1, t, c]`.
    rebuilt: `[n, 1, t, c]`.
    group: `[n]`.

  Returns:
    `correlation` is Pearson's along time, the mean over items; 0 where either
    signal is constant. `error` is the squared error divided by the channel's
    variance over all items and times, so that the channel's mean has error 1; a
    constant channel is not divided. Each has `channels`, a list of estimates,
    and `overall`, the estimate of the mean over channels.

  Raises:
    UserError: a value is not finite, or the shapes differ.
  """
  x, y = _check(original, rebuilt)
  x, y = x[:, 0], y[:, 0]
  error = np.square(x - y).mean(axis=1)
  variance = x.var(axis=(0, 1))
  constant = np.ptp(x, axis=(0, 1)) == 0
  error /= np.where(constant, 1, variance)
  return {
    'correlation': _by_channel(_correlation(x, y), group, (-1, 1)),
    'error': _by_channel(error, group, (0, error.max())),
  }


def image(
  original: np.ndarray, rebuilt: np.ndarray, group: np.ndarray
) -> dict[str, Any]:
  """Computes structural similarity and peak signal-to-noise ratio.

  Wang et al., "Image quality assessment: from error visibility to structural
  similarity", IEEE Trans. Image Process. 13 (2004), as in scikit-image. The
  range of values is that of `original` as a whole.

  Args:
    original: `[n, h, w, c]`.
    rebuilt: `[n, h, w, c]`.
    group: `[n]`.

  Returns:
    `ssim`, 1 for equal images, and `psnr` in dB, 100 at most, as estimates of
    the mean over images.

  Raises:
    UserError: a value is not finite, the shapes differ, images are smaller than
      3 pixels, or scikit-image is not installed.
  """
  x, y = _check(original, rebuilt)
  window = min(_WINDOW, *x.shape[1:3])
  window -= 1 - window % 2
  if window < 3:
    raise errors.UserError(
      f'images of {x.shape[1]} by {x.shape[2]} pixels have no structural'
      ' similarity; 3 by 3 is the least.'
    )
  try:
    from skimage import metrics
  except ImportError as e:
    raise errors.UserError(
      "measuring images needs scikit-image: pip install 'hybrid-jax[images]'."
    ) from e
  span = np.ptp(x) or 1.0
  ssim = [
    metrics.structural_similarity(
      a, b, win_size=window, data_range=span, channel_axis=-1
    )
    for a, b in zip(x, y, strict=True)
  ]
  # Bounded from below, so that equal images do not divide by zero.
  squared = np.square(x - y).mean(axis=(1, 2, 3))
  floor = span**2 * 10 ** (-_MAX_PSNR / 10)
  psnr = 10 * np.log10(span**2 / np.maximum(squared, floor))
  return {
    'ssim': _estimate(np.array(ssim), group, (-1, 1)),
    'psnr': _estimate(psnr, group, (psnr.min(), _MAX_PSNR)),
  }


def class_mean(
  x: np.ndarray, primary: np.ndarray, fold: np.ndarray
) -> np.ndarray:
  """Returns the mean input of each test item's primary class.

  It is the best guess, in mean squared error, of an attacker who knows only the
  primary class.

  Args:
    x: `[n, ...]`.
    primary: `[n]`, the primary labels.
    fold: `[n]`, see `dataset.FOLDS`; means are over the training fold.

  Returns:
    `[n_test, ...]`; a class without training examples has the mean of all
    training examples.
  """
  train = fold == dataset.TRAIN
  labels = primary[fold == dataset.TEST]
  out = np.empty((len(labels), *x.shape[1:]), x.dtype)
  for label in np.unique(labels):
    in_class = train & (primary == label)
    rows = in_class if in_class.any() else train
    out[labels == label] = x[rows].mean(axis=0)
  return out


def _check(original, rebuilt):
  if original.shape != rebuilt.shape:
    raise errors.UserError(
      f'the inputs have shape {original.shape}, and the rebuilt inputs'
      f' {rebuilt.shape}; the shapes must be equal.'
    )
  for name, values in (('inputs', original), ('rebuilt inputs', rebuilt)):
    if not np.isfinite(values).all():
      raise errors.UserError(f'the {name} hold NaN or infinity.')
  return original.astype(np.float64), rebuilt.astype(np.float64)


def _correlation(x, y):
  """Pearson's correlation along time: two `[n, t, c]` to `[n, c]`."""
  varies = (np.ptp(x, axis=1) > 0) & (np.ptp(y, axis=1) > 0)
  x, y = (a - a.mean(axis=1, keepdims=True) for a in (x, y))
  norm = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
  varies &= norm > 0
  return np.where(varies, (x * y).sum(axis=1) / np.where(varies, norm, 1), 0)


def _by_channel(values, group, bounds):
  return {
    'overall': _estimate(values.mean(axis=1), group, bounds),
    'channels': [_estimate(column, group, bounds) for column in values.T],
  }


def _estimate(values, group, bounds: Sequence[float]):
  """Mean of `values [n]`; with one group, the interval is `bounds`."""
  estimate = dataclasses.asdict(bootstrap.mean(values, group))
  if len(np.unique(group)) < 2:
    estimate |= {'low': float(bounds[0]), 'high': float(bounds[1])}
  return estimate
