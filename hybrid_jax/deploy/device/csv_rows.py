"""Reads sensor rows from CSV text, with its columns in the bundle's order."""

import csv
import datetime
import math
import re
import statistics
from collections.abc import Iterable, Iterator, Sequence

from hybrid_jax import errors
from hybrid_jax.deploy.formats import device

_TIMES = {'time', 'timestamp', 'datetime', 'clock', 'epoch', 'elapsed'}
_STEPS = 25  # of which the median is the usual one
_MAX_STEP = 3  # usual steps; a longer one is a gap
_MISSING = ('', 'na', 'n/a', 'none', 'null', '-')


def read(
  lines: Iterable[str], channels: Sequence[str] = ()
) -> Iterator[list[float] | None]:
  """Yields the rows in the order of the channels, and None at a gap in time.

  A first line without any number is the header. Its names and units must be
  those of the channels, in any order; other columns are passed over, but one of
  times tells the gaps: steps of more than three usual ones. Without a header,
  or without channels, the columns stay as they are.

  Args:
    lines: of the file; a byte order mark is passed over.
    channels: of the bundle, with units; empty if they are unknown.

  Raises:
    UserError: the header does not fit, a value is no finite number, or the
      time goes back; the message names the line.
  """
  order, is_first, clock = None, True, None
  width = 0
  for number, cells in enumerate(csv.reader(_without_mark(lines)), 1):
    if not any(cell.strip() for cell in cells) and len(cells) < 2:
      continue
    if is_first and _is_header(cells):
      order, width = _order(cells, channels), len(cells)
      clock = _Clock.of(cells, order)
    else:
      if clock and clock.has_gap(number, cells):
        yield None
      yield _numbers(number, cells, order, width)
    is_first = False


class _Clock:
  """Finds gaps in a column of times."""

  def __init__(self, column: int):
    self._column = column
    self._last: float | None = None
    self._steps: list[float] = []

  @classmethod
  def of(cls, header, order) -> '_Clock | None':
    """Returns the clock of a header; None without a column of times."""
    for i, name in enumerate(header):
      words = re.findall('[a-z]+', name.lower())
      is_time = _TIMES & set(words) or words[:1] == ['t']
      if is_time and order is not None and i not in order:
        return cls(i)
    return None

  def has_gap(self, number: int, cells: Sequence[str]) -> bool:
    """Returns whether a gap is before this row."""
    if len(cells) <= self._column:
      return False
    now, last = _time(number, cells[self._column]), self._last
    self._last = now
    if last is None:
      return False
    step = now - last
    if step < 0:
      raise errors.UserError(
        f'line {number} of the rows: the time goes back by {-step:g}; the rows'
        ' must be in order.'
      )
    usual = statistics.median(self._steps) if self._steps else 0
    if usual and step > _MAX_STEP * usual:
      return True
    if step:
      self._steps = [*self._steps, step][-_STEPS:]
    return False


def _time(number, text) -> float:
  """Returns a time as a number, of ISO 8601 in seconds."""
  try:
    return float(text)
  except ValueError:
    pass
  try:
    return datetime.datetime.fromisoformat(text.strip()).timestamp()
  except ValueError:
    raise errors.UserError(
      f'line {number} of the rows: {text!r} is no time.'
    ) from None


def _without_mark(lines):
  for i, line in enumerate(lines):
    yield line if i else line.removeprefix('\ufeff')


def _is_header(cells) -> bool:
  """Returns whether the cells are names: no numbers, nor signs for none."""
  return not any(map(_is_number, cells)) and not all(
    cell.strip().lower() in _MISSING for cell in cells
  )


def _is_number(cell) -> bool:
  try:
    float(cell)
  except ValueError:
    return False
  return True


def _order(header, channels) -> list[int] | None:
  if not channels:
    return None
  try:
    return device.order_columns([cell.strip() for cell in header], channels)
  except ValueError as e:
    raise errors.UserError(
      f'line 1 of the rows: {e}. Name the columns and units as the bundle does.'
    ) from e


def _numbers(number, cells, order, width) -> list[float]:
  if order is not None:
    if len(cells) != width:
      raise errors.UserError(
        f'line {number} of the rows has {len(cells)} values; the header has'
        f' {width}.'
      )
    cells = [cells[i] for i in order]
  try:
    row = [float(cell) for cell in cells]
  except ValueError:
    raise errors.UserError(
      f'line {number} of the rows is not numbers.'
    ) from None
  if not all(map(math.isfinite, row)):
    raise errors.UserError(f'line {number} of the rows holds NaN or infinity.')
  return row
