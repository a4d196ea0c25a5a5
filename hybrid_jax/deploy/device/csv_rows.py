"""Reads sensor rows from CSV text, with its columns in the bundle's order."""

import csv
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence

from hybrid_jax import errors
from hybrid_jax.datasets import time_names
from hybrid_jax.deploy.formats import device

_STEPS = 25  # of which the median is the usual one
_MAX_STEP = 3  # usual steps; a longer one is a gap
_RATE_STEPS = 25  # different times after which the rate is compared
_RATE_TOLERANCE = 0.1
_MISSING = ('', 'na', 'n/a', 'none', 'null', '-')


def read(
  lines: Iterable[str],
  channels: Sequence[str] = (),
  hertz: float | None = None,
) -> Iterator[list[float] | None]:
  """Yields the rows in the order of the channels, and None at a gap in time.

  A first line without any number is the header. Its names and units must be
  those of the channels, in any order; other columns are passed over, but one of
  times tells the gaps: steps of more than three usual ones. Its rate must be
  that of the bundle. Without a header, or without channels, the columns stay as
  they are.

  Args:
    lines: of the file; a byte order mark is passed over.
    channels: of the bundle, with units; empty if they are unknown.
    hertz: rows a second, of the bundle; None if unknown.

  Raises:
    UserError: the header does not fit, a value is no finite number, the time
      goes back, or the rate is another; the message names the line.
  """
  order, is_first, clock = None, True, None
  width = 0
  for number, cells in enumerate(csv.reader(_without_mark(lines)), 1):
    if not any(cell.strip() for cell in cells) and len(cells) < 2:
      continue
    if is_first and _is_header(cells):
      order, width = _order(cells, channels), len(cells)
      clock = _Clock.of(cells, order, hertz)
    else:
      if clock and clock.has_gap(number, cells):
        yield None
      yield _numbers(number, cells, order, width)
    is_first = False


class _Clock:
  """Finds gaps in a column of times, and checks its rate."""

  def __init__(self, column: int, name: str, hertz: float | None):
    self._column, self._name, self._hertz = column, name, hertz
    self._last: float | None = None
    self._steps: list[float] = []
    # Since the rate was last compared: rows, different times, and their span.
    self._rows, self._moves, self._span = 0, 0, 0.0
    self._unit: str | None = None

  @classmethod
  def of(cls, header, order, hertz) -> '_Clock | None':
    """Returns the clock of a header; None without a column of times."""
    for i, name in enumerate(header):
      if order is not None and i not in order and time_names.is_time(name):
        return cls(i, name, hertz)
    return None

  def has_gap(self, number: int, cells: Sequence[str]) -> bool:
    """Returns whether a gap is before this row."""
    if len(cells) <= self._column:
      return False
    text = cells[self._column]
    now, last = _time(number, text), self._last
    self._last = now
    if last is None:
      self._unit = 's' if time_names.is_date(text) else None
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
    self._check_rate(number, now, step)
    return False

  def _check_rate(self, number, now, step):
    self._rows += 1
    self._moves += bool(step)
    self._span += step
    if not self._hertz or self._moves < _RATE_STEPS:
      return
    self._unit = self._unit or time_names.find_unit(
      self._name, now, statistics.median(self._steps)
    )
    if self._unit is None:
      raise errors.UserError(
        f'line {number} of the rows: nothing tells the unit of the times'
        f' {self._name!r}; name it, as time_s or time_ms.'
      )
    rate = self._rows / (self._span * time_names.UNITS[self._unit])
    if abs(rate / self._hertz - 1) > _RATE_TOLERANCE:
      raise errors.UserError(
        f'line {number} of the rows: there are {rate:.4g} rows a second, by the'
        f' times {self._name!r}, and the bundle takes {self._hertz:g}; resample'
        ' them.'
      )
    self._rows, self._moves, self._span = 0, 0, 0.0


def _time(number, text) -> float:
  """Returns a time as a number, of ISO 8601 in seconds."""
  try:
    return time_names.parse(text)
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
