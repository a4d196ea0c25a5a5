"""Sensor rows to windows, and what sensors may not send."""

from typing import Any

import numpy as np

from hybrid_jax.deploy.device import failures


class Windows:
  """Gathers rows into windows of a fixed length. Holds less than one of them.

  Attributes:
    overlap: in how many windows a row is at most.
  """

  def __init__(self, shape: tuple[int, ...], hop: int | None = None):
    """Begins empty.

    Args:
      shape: of a window: `[1, time, channels]`.
      hop: rows from one window's start to the next one's; None for `time`, so
        that no row is in two windows. More leaves rows out.

    Raises:
      BadInput: `shape` is not that of a signal, or `hop` is below 1.
    """
    if len(shape) != 3 or shape[0] != 1:
      raise failures.BadInput(
        f'rows make windows of [1, time, channels], not of {list(shape)}; give'
        ' whole examples instead.'
      )
    _, self._length, self._channels = shape
    self._hop = self._length if hop is None else hop
    if type(self._hop) is not int or self._hop < 1:
      raise failures.BadInput(f'the hop is {hop}; it must be 1 row or more.')
    self.overlap = -(-self._length // self._hop)
    self._rows = np.zeros((0, self._channels), np.float32)
    self._skip = 0

  def push(self, rows: Any) -> list[np.ndarray]:
    """Takes rows `[channels]` or `[n, channels]`; gives the windows they end.

    Raises:
      BadInput: they are no finite numbers, or of another width. None of them
        is taken then; `clear` where this leaves a gap in time.
    """
    array = numbers(rows, 'the rows')
    if array.ndim == 1:
      array = array[None]
    if array.ndim != 2 or array.shape[1] != self._channels:
      raise failures.BadInput(
        f'the rows have shape {list(np.shape(rows))}, not'
        f' [{self._channels}] or [n, {self._channels}].'
      )
    skipped = min(self._skip, len(array))
    self._skip -= skipped
    held = np.concatenate([self._rows, array[skipped:]])
    windows = []
    while len(held) >= self._length:
      windows.append(held[None, : self._length].copy())
      self._skip = max(0, self._hop - len(held))
      held = held[self._hop :]
    self._rows = held.copy()
    return windows

  def clear(self) -> None:
    """Forgets the rows of the window that is not yet full."""
    self._rows = self._rows[:0]
    self._skip = 0


def numbers(value: Any, name: str) -> np.ndarray:
  """`value` as float32.

  Raises:
    BadInput: it holds what is no number, or is not finite, also in float32.
  """
  try:
    array = np.asarray(value)
  except ValueError as e:  # Lists of unequal lengths.
    raise failures.BadInput(f'{name} have unequal lengths.') from e
  if array.dtype.kind not in 'iuf':
    raise failures.BadInput(
      f'{name} have dtype {array.dtype}; real numbers are needed.'
    )
  with np.errstate(over='ignore'):
    array = array.astype(np.float32)
  if not np.isfinite(array).all():
    raise failures.BadInput(f'{name} hold NaN or infinity.')
  return array
