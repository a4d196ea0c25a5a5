"""Groups sensor rows into windows, and checks them."""

from typing import Any

import numpy as np

from hybrid_jax import errors


class Windows:
  """Groups rows into windows of a fixed length.

  It stores fewer rows than one window.

  Attributes:
    overlap: the largest number of windows that contain the same row.
  """

  def __init__(self, shape: tuple[int, ...], hop: int | None = None):
    """Starts without rows.

    Args:
      shape: the shape of a window, `[1, time, channels]`.
      hop: rows from the start of one window to the next. None for `time`, so
        that no row is in two windows. A larger hop skips rows.

    Raises:
      UserError: `shape` is not the shape of a signal, or `hop` is below 1.
    """
    if len(shape) != 3 or shape[0] != 1:
      raise errors.UserError(
        f'rows form windows of shape [1, time, channels], not {list(shape)};'
        ' use `infer` with whole examples instead.'
      )
    _, self._length, self._channels = shape
    self._hop = self._length if hop is None else hop
    if type(self._hop) is not int or self._hop < 1:
      raise errors.UserError(f'the hop is {hop}; it must be 1 row or more.')
    self.overlap = -(-self._length // self._hop)
    self._rows = np.zeros((0, self._channels), np.float32)
    self._skip = 0

  def push(self, rows: Any) -> list[np.ndarray]:
    """Adds rows `[channels]` or `[n, channels]`; returns the finished windows.

    Raises:
      UserError: the rows are not finite numbers, or have the wrong width. Then
        none of them is added. Call `clear` if this leaves a gap in time.
    """
    array = as_float32(rows, 'the rows')
    if array.ndim == 1:
      array = array[None]
    if array.ndim != 2 or array.shape[1] != self._channels:
      raise errors.UserError(
        f'the rows have shape {list(np.shape(rows))}, not'
        f' [{self._channels}] or [n, {self._channels}].'
      )
    skipped = min(self._skip, len(array))
    self._skip -= skipped
    stored = np.concatenate([self._rows, array[skipped:]])
    windows = []
    while len(stored) >= self._length:
      windows.append(stored[None, : self._length].copy())
      self._skip = max(0, self._hop - len(stored))
      stored = stored[self._hop :]
    self._rows = stored.copy()
    return windows

  def clear(self) -> None:
    """Drops the rows of the unfinished window."""
    self._rows = self._rows[:0]
    self._skip = 0


def as_float32(value: Any, name: str) -> np.ndarray:
  """Returns `value` as a float32 array.

  Args:
    value: an array, or nested lists.
    name: its name in error messages, a plural.

  Raises:
    UserError: it does not hold real numbers, or one is not finite in float32.
  """
  try:
    array = np.asarray(value)
  except ValueError as e:  # Lists of unequal lengths.
    raise errors.UserError(f'{name} have unequal lengths.') from e
  if array.dtype.kind not in 'iuf':
    raise errors.UserError(
      f'{name} have dtype {array.dtype}; real numbers are needed.'
    )
  with np.errstate(over='ignore'):
    array = array.astype(np.float32)
  if not np.isfinite(array).all():
    raise errors.UserError(f'{name} hold NaN or infinity.')
  return array
