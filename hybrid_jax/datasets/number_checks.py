"""Checks that float32 can hold an array: its range, and its differences."""

from collections.abc import Sequence

import numpy as np

from hybrid_jax import errors

SCALE_RATIO = 1e3  # from which columns are taken to be of different quantities
_BLOCK = 4096  # examples in memory at once
_LOST = 0.01  # of a deviation, that the rounding to float32 may change
_JITTER = 1e-12  # of the values: a channel that varies by less is constant


def check_real(name: str, x: np.ndarray) -> None:
  """Checks that an array is `[n, ...]` of real numbers that float32 can hold.

  Args:
    name: of the array, for the message.
    x: `[n, ...]`.

  Raises:
    UserError: the array is empty, has one axis only or another type, or a value
      is NaN, infinite or beyond float32; see also `check_resolution`.
  """
  if x.dtype.kind not in 'biuf' or x.ndim < 2 or not x.size:
    raise errors.UserError(
      f'{name!r} is {x.dtype} of shape {x.shape}; it must be real numbers of'
      ' shape [examples, ...].'
    )
  if x.dtype.kind == 'f':
    largest = np.finfo(np.float32).max
    valid = (np.abs(x) <= largest).reshape(len(x), -1)  # In the type of `x`.
    if not valid.all():
      value = x.reshape(-1)[np.argmin(valid)].item()
      rows = ~valid.all(axis=1)
      raise errors.UserError(
        f'{name!r} ({x.dtype}) is {value:g} in row {int(np.argmax(rows))};'
        f' {int(rows.sum())} rows hold NaN, infinity or a number above'
        f' {largest:.4g}, the largest in float32.'
      )
  check_resolution(name, x)


def check_resolution(
  name: str, x: np.ndarray, channels: Sequence[str] = ()
) -> None:
  """Checks that the rounding to float32 keeps the differences of values.

  The rounding errors of a channel are compared with its standard deviation, or
  with that within a typical example, if that is smaller: a large offset that
  varies between examples hides the signal alike.

  Args:
    name: of the array, for the message.
    x: `[n, ..., channels]` of finite real numbers. Of `[n, d]` both are
      checked, d channels, and one channel of d samples.
    channels: the names of the channels; their numbers by default.

  Raises:
    UserError: the rounding changes a channel by more than a hundredth of its
      deviation.
  """
  for values in [x, x[..., None]] if x.ndim == 2 else [x]:
    for i, loss in losses(values).items():
      channel = channels[i] if len(channels) else f'channel {i}'
      where = f', {channel}' if values.shape[-1] > 1 else ''
      raise errors.UserError(f'{name!r} ({x.dtype}){where}: {loss}')


def losses(x: np.ndarray) -> dict[int, str]:
  """Returns a sentence for each channel whose signal float32 would lose.

  Args:
    x: `[n, ..., channels]` of finite real numbers.
  """
  is_exact = x.dtype.itemsize <= 2 or x.dtype == np.float32
  if is_exact or x.dtype.kind not in 'iuf':
    return {}
  error, spread, level = _rounding(x)
  steps = np.spacing(np.abs(level).astype(np.float32))
  return {
    int(i): (
      f'the values are about {level[i]:.6g} and differ by {spread[i]:.3g},'
      f' where float32 has steps of {steps[i]:.3g}: most of the signal would be'
      ' lost. Subtract an offset first.'
    )
    for i in np.flatnonzero(error > _LOST * spread)
  }


def _rounding(x):
  """Returns each channel's rounding error (rms), deviation, and mean.

  The error of a channel that is constant but for jitter is 0.
  """
  if x.dtype.kind in 'iu':
    x = x.astype(np.int64)  # So that differences have a sign.
  offset = x.reshape(-1, x.shape[-1])[0]
  error, total, squares, within = 0.0, 0.0, 0.0, []
  for low in range(0, len(x), _BLOCK):
    block = x[low : low + _BLOCK]
    block = block.reshape(len(block), -1, x.shape[-1])
    with np.errstate(invalid='ignore'):  # The ends of int64.
      rounded = block.astype(np.float32).astype(x.dtype)
    difference = (block - offset).astype(np.float64)
    lost = (block - rounded).astype(np.float64)
    error = error + np.square(lost).sum(axis=(0, 1))
    total = total + difference.sum(axis=(0, 1))
    squares = squares + np.square(difference).sum(axis=(0, 1))
    within.append(difference.std(axis=1))
  count = x.size // x.shape[-1]
  mean = total / count
  spread = np.sqrt(np.maximum(squares / count - np.square(mean), 0))
  level = offset.astype(np.float64) + mean
  jitter = _JITTER * np.abs(level) if x.dtype.kind == 'f' else 0.0
  error = np.where(spread > jitter, np.sqrt(error / count), 0)
  within = np.concatenate(within)
  within[within <= jitter] = np.nan
  varying = np.isfinite(within).any(axis=0)
  typical = spread.copy()
  typical[varying] = np.nanmedian(within[:, varying], axis=0)
  return error, np.minimum(spread, typical), level


def scale_ratio(x: np.ndarray) -> float:
  """Returns how much columns differ in scale.

  It is the largest deviation of a column, or that of all values if it is larger
  (columns may differ by their means), divided by the smallest deviation. The
  samples of a series are of one quantity, and have a small ratio. If one mean
  and deviation normalize a table, a column shrinks to the inverse of the ratio.

  Args:
    x: `[n, columns]`; constant columns are left out.
  """
  offset = x[0].astype(np.float64)
  deviation = (x - offset).std(axis=0)
  varying = deviation > _JITTER * np.abs(offset)
  if not varying.any():
    return 1.0
  whole = x[:, varying].std(dtype=np.float64)
  deviation = deviation[varying]
  return float(max(deviation.max(), whole) / deviation.min())
