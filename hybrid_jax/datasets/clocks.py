"""The time in recordings: its column, its unit, its rate, and its gaps."""

import dataclasses
import math
import re
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from scipy import signal

from hybrid_jax import errors, plugins
from hybrid_jax.datasets import time_names

NONE = 'none'

# Settings of the data sets whose recordings may have a column of times.
OPTIONS = {
  'time': plugins.Option(
    '',
    "Column of the time; empty to know it by its name, 'none' for none.",
  ),
  'time_unit': plugins.Option(
    'auto',
    'Unit of the time; auto: by its name or its size.',
    choices=('auto', *time_names.UNITS),
  ),
  'hertz': plugins.Option(
    0.0,
    'Rate to which recordings are resampled; 0: they must have one rate.',
    unit='samples a second',
    low=0,
  ),
  'max_step': plugins.Option(
    3.0,
    'Longest step in time within a window, relative to the median step.',
    above=1,
  ),
}

RATE_TOLERANCE = 0.05  # Recordings whose rates differ by less have one rate.
_RATE_BLOCK = 64  # rows
RATE_CHANGE = 1.25  # Blocks of one recording differ by less.
_SAME_RATE = 0.01  # Recordings this close to data.hertz are not resampled.
_LARGEST_FACTOR = 1000  # of the whole numbers in a ratio of two rates

_INDEX_NAMES = re.compile(
  r'(|#|no|nr|id|idx|index|counter|count|row|frame|sample|seq|sequence|packet'
  r'|unnamed:? ?\d+|(row|sample|frame|packet)[ _]?(no|nr|id|idx|index|number))',
  re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class Clock:
  """When the rows of a recording were measured.

  Attributes:
    seconds: `[rows]` float64, from the first row, never falling.
    hertz: rows a second, without the gaps; None if it cannot be known.
    starts: the first row of each part without a gap; the first one is 0.
    longest_gap: seconds; 0 without gaps.
    rates: the lowest and the highest rate of its blocks of 64 rows, without the
      gaps; None where there are fewer than two such blocks.
  """

  seconds: np.ndarray
  hertz: float | None
  starts: tuple[int, ...]
  longest_gap: float
  rates: tuple[float, float] | None = None


class BackwardsError(Exception):
  """The time goes back; `row` is the first such row, from 0."""

  def __init__(self, row: int):
    super().__init__(row)
    self.row = row


def is_index(name: str) -> bool:
  """Returns whether a column's name says that it numbers the rows."""
  return bool(_INDEX_NAMES.fullmatch(name.strip()))


def find_columns(header: Sequence[str], setting: str) -> list[str]:
  """Returns the columns of times; the first one is the clock.

  Args:
    header: the names of the columns.
    setting: `data.time`.

  Raises:
    UserError: the column of the setting does not exist.
  """
  if setting == NONE:
    return []
  known = [name for name in header if time_names.is_time(name)]
  # A date is a day at most.
  known.sort(key=lambda name: time_names.split_words(name) == ['date'])
  if not setting:
    return known
  errors.check_known('column (data.time)', setting, header)
  return [setting, *(name for name in known if name != setting)]


def unit_of(name: str, values: np.ndarray, setting: str) -> str:
  """Returns the unit of a column of times, one of `time_names.UNITS`.

  Args:
    name: its name, which may have the unit.
    values: `[rows]`.
    setting: `data.time_unit`; `'auto'` for `time_names.find_unit`.

  Raises:
    UserError: nothing tells the unit.
  """
  if setting != 'auto':
    return setting
  step = _median_step(values)
  unit = time_names.find_unit(name, float(values[0]), step)
  if unit is None:
    raise errors.UserError(
      f'the column of times {name!r} has steps of {step:g}, and its name has no'
      ' unit: is it one row a second, or a thousand? Give'
      f' --config.data.time_unit, one of {", ".join(time_names.UNITS)}.'
    )
  return unit


def read(values: np.ndarray, unit: str, max_step: float) -> Clock:
  """Returns the clock of a recording.

  Args:
    values: `[rows]` of times.
    unit: one of `time_names.UNITS`.
    max_step: a step this many times as long as the median one is a gap.

  Raises:
    BackwardsError: a time is before the one of the row above.
  """
  seconds = (values - values[0]) * time_names.UNITS[unit]
  steps = np.diff(seconds)
  if (steps < 0).any():
    raise BackwardsError(int(np.argmax(steps < 0)) + 1)
  # Several rows may have the same time, where the clock counts seconds.
  median = _median_step(seconds)
  is_gap = steps > max_step * median
  starts = (0, *(np.flatnonzero(is_gap) + 1).tolist())
  measured = float(steps[~is_gap].sum())
  rows = int((~is_gap).sum())
  return Clock(
    seconds=seconds,
    hertz=rows / measured if measured > 0 else None,
    starts=starts,
    longest_gap=float(steps[is_gap].max()) if is_gap.any() else 0.0,
    rates=_block_rates(steps[~is_gap]),
  )


def _block_rates(steps):
  """The lowest and the highest rate of blocks of steps; None without two."""
  # A clock of whole seconds moves once in many rows.
  moving = float((steps > 0).mean()) if len(steps) else 0.0
  if not moving:
    return None
  size = max(_RATE_BLOCK, math.ceil(_RATE_BLOCK / 2 / moving))
  blocks = len(steps) // size
  if blocks < 2:
    return None
  rates = size / steps[: blocks * size].reshape(blocks, size).sum(axis=1)
  return float(rates.min()), float(rates.max())


def resample(
  x: np.ndarray, clock: Clock, hertz: float
) -> tuple[np.ndarray, tuple[int, ...]]:
  """Resamples a recording; each part without a gap for itself.

  The rows are interpolated linearly at even times of their own rate, and then
  resampled by a polyphase filter, which removes frequencies that the new rate
  cannot hold.

  Args:
    x: `[rows, channels]` float64.
    clock: of the rows.
    hertz: the new rate.

  Returns:
    `[new rows, channels]`, and the first row of each part. A recording whose
    rate is less than 1 % from the new one stays as it is.
  """
  if clock.hertz is None or abs(clock.hertz / hertz - 1) < _SAME_RATE:
    return x, clock.starts
  ratio = Fraction(hertz / clock.hertz).limit_denominator(_LARGEST_FACTOR)
  parts, starts, row = [], [], 0
  for first, last in zip(
    clock.starts, (*clock.starts[1:], len(x)), strict=True
  ):
    part = _even(x[first:last], clock.seconds[first:last], clock.hertz)
    if len(part) > 1:
      part = signal.resample_poly(
        part, ratio.numerator, ratio.denominator, axis=0, padtype='line'
      )
    parts.append(part)
    starts.append(row)
    row += len(part)
  return np.concatenate(parts), tuple(starts)


def _even(x, seconds, hertz):
  """Interpolates rows at even times."""
  first = np.flatnonzero(np.diff(seconds, prepend=-np.inf) > 0)
  if len(first) < len(seconds):  # Rows of one time are spread evenly.
    places = np.arange(len(seconds))
    seconds = (
      np.interp(places, first, seconds[first])
      + np.maximum(places - first[-1], 0) / hertz
    )
  count = int(np.floor((seconds[-1] - seconds[0]) * hertz + 1e-6)) + 1
  times = seconds[0] + np.arange(count) / hertz
  return np.stack([np.interp(times, seconds, c) for c in x.T], axis=1)


def _median_step(values):
  """Returns the median step between different times; 0 if there is none."""
  steps = np.diff(values)
  steps = steps[steps > 0]
  return float(np.median(steps)) if len(steps) else 0.0
