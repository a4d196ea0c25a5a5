"""Reads the CSV files of recordings: their channels, and their time."""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

import ml_collections
import numpy as np

from hybrid_jax import errors
from hybrid_jax.datasets import (
  clocks,
  csv_table,
  dataset,
  number_checks,
  time_names,
)

_LISTED = 3  # files that a message lists
_NOT_TIME = "If {name!r} is no time, give --config.data.time='none'."


@dataclasses.dataclass(frozen=True)
class Signals:
  """The samples of all recordings.

  Attributes:
    channels: their names.
    x: each recording's `[samples, channels]`, float32.
    starts: for each recording, the first sample of each part without a gap.
    hertz: samples a second; None if the files do not tell.
    remarks: one line each.
  """

  channels: list[str]
  x: list[np.ndarray]
  starts: list[tuple[int, ...]]
  hertz: float | None
  remarks: list[str]


@dataclasses.dataclass(frozen=True)
class _Layout:
  """The columns, which all files share.

  Attributes:
    path: the first file.
    header: the names of all columns.
    times: the columns of times, the clock first.
    channels: the names of the channels.
  """

  path: pathlib.Path
  header: list[str]
  times: list[str]
  channels: list[str]


@dataclasses.dataclass(frozen=True)
class _Recording:
  """One file.

  Attributes:
    x: `[samples, channels]`, float32.
    starts: the first sample of each part without a gap.
    clock: of the rows in the file; None without a time.
    unit: of the time; empty for date-times.
    rising: for each channel, whether it rises, or falls, from row to row.
    counting: whether it does so in equal steps.
    losses: channel to a sentence, see `number_checks.losses`.
  """

  x: np.ndarray
  starts: tuple[int, ...]
  clock: clocks.Clock | None
  unit: str
  rising: np.ndarray
  counting: np.ndarray
  losses: dict[int, str]


def read(
  folder: pathlib.Path, files: Sequence[str], config: ml_collections.ConfigDict
) -> Signals:
  """Reads all recordings; their headers must be the same.

  Args:
    folder: the folder.
    files: the recordings.
    config: `channels`, and see `clocks.OPTIONS`.

  Raises:
    UserError: a column or value is missing or wrong, the time of a file goes
      back, or the files have different rates; the message names the file.
  """
  layout = _read_layout(folder / files[0], config)
  read = [_read_file(folder / file, layout, config) for file in files]
  read_clocks = [r.clock for r in read if r.clock is not None]
  _check_rates(files, read_clocks, config.hertz)
  kept, remarks = _channels(layout, read, dataset.as_tuple(config.channels))
  for file, recording in zip(files, read, strict=True):
    for k in kept:
      if k in recording.losses and not recording.rising[k]:
        raise errors.UserError(
          f'{folder / file}, column {layout.channels[k]!r}:'
          f' {recording.losses[k]}'
        )
  rates = [clock.hertz for clock in read_clocks if clock.hertz]
  hertz = config.hertz or (float(np.median(rates)) if rates else None)
  if layout.times:
    remarks = [
      *_describe_time(layout, read[0].unit, read_clocks, config.hertz),
      *_describe_gaps(files, read_clocks),
      *remarks,
    ]
  return Signals(
    channels=[layout.channels[k] for k in kept],
    x=[r.x if len(kept) == r.x.shape[1] else r.x[:, kept] for r in read],
    starts=[r.starts for r in read],
    hertz=hertz if layout.times else None,
    remarks=remarks,
  )


def _read_layout(path, config) -> _Layout:
  header, _ = csv_table.read_head(path)
  times = clocks.find_columns(header, config.time)
  channels = list(dataset.as_tuple(config.channels))
  for name in channels:
    if channels.count(name) > 1:
      raise errors.UserError(f'data.channels names {name!r} twice.')
    if name in times:
      raise errors.UserError(
        f'data.channels names {name!r}, a time, which is no channel.'
        f' {_NOT_TIME.format(name=name)}'
      )
  channels = channels or [name for name in header if name not in times]
  if '' in channels:
    raise errors.UserError(
      f'{path}, row 1: column {header.index("") + 1} has no name, like the'
      ' index that pandas writes; name it, or set data.channels.'
    )
  if not channels:
    raise errors.UserError(
      f'{path} has no channel, only the time: {", ".join(header)}.'
      f' {_NOT_TIME.format(name=header[0])}'
    )
  if config.hertz and not times:
    raise errors.UserError(
      f'data.hertz is {config.hertz:g}, and {path} has no column of times among'
      f' {", ".join(header)}; name it by data.time.'
    )
  return _Layout(path, header, times, channels)


def _read_file(path, layout, config) -> _Recording:
  header, first_row = csv_table.read_head(path)
  if header != layout.header:
    raise errors.UserError(
      f'{path} has the columns {", ".join(header)}, and {layout.path} has'
      f' {", ".join(layout.header)}; all files need the same columns, in the'
      ' same order.'
    )
  if not layout.times:
    values = csv_table.read_numbers(path, layout.channels)
    return _Recording(
      values.astype(np.float32),
      (0,),
      None,
      '',
      *_rising(values),
      number_checks.losses(values[None]),
    )
  name = layout.times[0]
  is_date = time_names.is_date(first_row[header.index(name)])
  values = csv_table.read_numbers(
    path,
    [name, *layout.channels],
    {name: time_names.parse} if is_date else None,
  )
  times, values = values[:, 0], values[:, 1:]
  try:
    unit = 's' if is_date else clocks.unit_of(name, times, config.time_unit)
  except errors.UserError as e:
    raise errors.UserError(f'{path}: {e}') from e
  try:
    clock = clocks.read(times, unit, config.max_step)
  except clocks.BackwardsError as e:
    row = csv_table.row_number(path, e.row)
    raise errors.UserError(
      f'{path}, row {row}: the time {name!r} goes back from'
      f' {times[e.row - 1]:.15g} to {times[e.row]:.15g}; the rows must be in'
      f' order. {_NOT_TIME.format(name=name)}'
    ) from e
  rising = _rising(values)
  starts = clock.starts
  if config.hertz:
    values, starts = clocks.resample(values, clock, config.hertz)
  return _Recording(
    values.astype(np.float32),
    starts,
    clock,
    '' if is_date else unit,
    *rising,
    number_checks.losses(values[None]),
  )


def _rising(values) -> tuple[np.ndarray, np.ndarray]:
  """Returns for each channel whether it only rises or falls; and evenly.

  A clock of whole seconds repeats its values, so steps of 0 count as both.
  """
  steps = np.diff(values, axis=0)
  steady = (steps >= 0).all(axis=0) | (steps <= 0).all(axis=0)
  steady &= (steps != 0).any(axis=0)
  return steady, steady & (steps == steps[:1]).all(axis=0)


def _check_rates(files, read_clocks, hertz) -> None:
  """Checks that the recordings have one rate, or are resampled to one."""
  rates = np.array([clock.hertz or np.nan for clock in read_clocks])
  if hertz or np.isnan(rates).all():
    return
  usual = float(np.nanmedian(rates))
  other = np.flatnonzero(np.abs(rates / usual - 1) > clocks.RATE_TOLERANCE)
  if len(other):
    listed = [f'{files[i]} {rates[i]:.4g}' for i in other[:_LISTED]]
    more = f', and {len(other) - _LISTED} more' if len(other) > _LISTED else ''
    raise errors.UserError(
      f'most recordings have {usual:.4g} Hz (rows a second), but'
      f' {", ".join(listed)}{more}: give --config.data.hertz={usual:.4g} to'
      ' resample them, or leave these files out.'
    )
  for file, clock in zip(files, read_clocks, strict=True):
    slow, fast = clock.rates or (1, 1)
    if fast > clocks.RATE_CHANGE * slow:
      raise errors.UserError(
        f'the rate of {file} changes between {slow:.4g} and {fast:.4g} rows a'
        f' second: give --config.data.hertz={usual:.4g} to resample all'
        ' recordings, or leave this one out.'
      )


def _channels(layout, read, chosen) -> tuple[list[int], list[str]]:
  """Returns the columns that are kept, and remarks.

  A column that numbers the rows, by its name and its values, is left out,
  unless the setting names it.
  """
  rising = np.all([r.rising for r in read], axis=0)
  counting = np.all([r.counting for r in read], axis=0)
  kept, remarks = [], []
  for k, name in enumerate(layout.channels):
    if counting[k] and clocks.is_index(name) and not chosen:
      remarks.append(
        f'the column {name!r} numbers the rows of every file; it is left out.'
      )
      continue
    kept.append(k)
    if rising[k]:
      remarks.append(
        f'the channel {name!r} only rises or falls in every file: it looks like'
        ' time or an index, which tells the recording; leave it out by'
        ' data.channels.'
      )
  if not kept:
    raise errors.UserError(
      f'{layout.path} has no channel, only an index: {layout.channels}.'
    )
  return kept, remarks


def _describe_time(layout, unit, read_clocks, hertz) -> Iterator[str]:
  name, *others = layout.times
  rates = [clock.hertz for clock in read_clocks if clock.hertz]
  rate = f', about {np.median(rates):.4g} rows a second' if rates else ''
  resampled = f'; recordings are resampled to {hertz:g} Hz' if hertz else ''
  yield (
    f'the column {name!r} is the time, in'
    f' {unit or "date-times"}{rate}{resampled}; it is no channel.'
  )
  if others:
    listed = ', '.join(map(repr, others))
    yield f'other columns of times are no channels: {listed}.'


def _describe_gaps(files, read_clocks) -> Iterator[str]:
  gaps = [len(clock.starts) - 1 for clock in read_clocks]
  if not any(gaps):
    return
  longest = int(np.argmax([clock.longest_gap for clock in read_clocks]))
  yield (
    f'{sum(gaps)} gaps in time, in {sum(g > 0 for g in gaps)} of'
    f' {len(files)} recordings; no window crosses them. The longest is in'
    f' {files[longest]}, {read_clocks[longest].longest_gap:.4g} s.'
  )
