"""Describes a data set, with its faults and with remarks, each a line.

A fault makes the results of a study wrong or incomplete. A remark is worth
knowing, and may be no mistake.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import rich.table

from hybrid_jax import progress
from hybrid_jax.datasets import (
  copies,
  dataset,
  label_encoding,
  number_checks,
  sources,
)

_BLOCK = 1024  # examples in memory at once
_SAMPLE = 2_000_000  # values from which quartiles are computed, at most
_TABLE_ROWS = 12  # classes or channels in a table
_LISTED = 5  # items that a line lists; outliers that have a line

# Thresholds of the remarks.
_OUTLIER_RANGES = 20  # interquartile ranges from the median
_OUTLIER_DEVIATIONS = 100  # from the mean, where the interquartile range is 0
_BRIGHTEST = 16  # of images from 0 to 1, or normalized
_CLOCK_STEPS = 8  # of a series that never falls, to look like a clock
_CLOCK_SHARE = 0.99  # of the examples, in which a clock never falls
_FEW_RECORDINGS = 20  # in the test fold
_IMAGE_CHANNELS = 4  # that an image usually has at most


@dataclasses.dataclass(frozen=True)
class Channels:
  """Statistics of each channel.

  Attributes:
    names: of the channels; numbers if the data set does not name them.
    values: `[channels, 4]`, minimum, maximum, mean and standard deviation.
    examples: `[channels, 2]`, the examples with the minimum and the maximum.
    quartiles: `[channels, 3]`; of a random sample if there are many values.
    is_clock: `[channels]`, whether a channel of a series never falls, or never
      rises, in nearly every example, and is rarely constant there.
    is_index: the columns of a table (the samples of a series of one channel)
      that only rise, or only fall, from each example to the next.
  """

  names: list[str]
  values: np.ndarray
  examples: np.ndarray
  quartiles: np.ndarray
  is_clock: np.ndarray
  is_index: list[int]


@dataclasses.dataclass(frozen=True)
class Report:
  """What a data set holds.

  Attributes:
    shape: of `x`, `[n, ...]`.
    dtype: of `x`.
    names: label to the names of its classes.
    counts: label to `[3, classes]`, the examples of each class in each fold.
    recordings: the number of recordings in each fold.
    shared: how many of them are in another fold, too.
    channels: statistics of the channels.
    copies: examples with a copy in another fold.
    faults: one line each.
    remarks: one line each.
  """

  shape: tuple[int, ...]
  dtype: str
  names: Mapping[str, Sequence[str]]
  counts: Mapping[str, np.ndarray]
  recordings: list[int]
  shared: list[int]
  channels: Channels
  copies: copies.Copies
  faults: list[str]
  remarks: list[str]


def examine(data: dataset.Dataset) -> Report:
  """Computes the report of a data set; its examples are read once, in blocks.

  Args:
    data: as its `load` returns it.
  """
  counts = {
    label: _count_classes(values, data.fold, len(data.names()[label]))
    for label, values in data.labels().items()
  }
  recordings, shared = _count_recordings(data)
  channels, found = _scan(data)
  return Report(
    shape=tuple(data.x.shape),
    dtype=str(data.x.dtype),
    names=data.names(),
    counts=counts,
    recordings=recordings,
    shared=shared,
    channels=channels,
    copies=found,
    faults=[
      *_missing_classes(data.names(), counts),
      *found.equal_line('examples'),
      *_constant_channels(channels),
    ],
    remarks=[
      *data.remarks,
      *found.near_line('examples'),
      *_axes(data),
      *_clocks(data, channels),
      *_columns(data.x),
      *_scales(data.x.shape, channels.values),
      *_outliers(channels),
      *_label_names(data.names()),
      *_recordings(data, recordings, shared),
      *_varying_labels(data),
    ],
  )


def majority_shares(counts: np.ndarray) -> list[float]:
  """Returns the share of the largest class in each fold.

  Args:
    counts: `[3, classes]`.
  """
  return (counts.max(axis=1) / np.maximum(counts.sum(axis=1), 1)).tolist()


def _count_classes(values, fold, classes):
  """Returns `[3, classes]`, the examples of each class in each fold."""
  folds = range(len(dataset.FOLDS))
  return np.stack(
    [np.bincount(values[fold == f], minlength=classes) for f in folds]
  )


def _count_recordings(data):
  """Returns the recordings of each fold, and how many are in another, too."""
  folds = [
    set(data.recording[data.fold == fold].tolist())
    for fold in range(len(dataset.FOLDS))
  ]
  shared = [
    len(fold & set().union(*folds[:i], *folds[i + 1 :]))
    for i, fold in enumerate(folds)
  ]
  return [len(fold) for fold in folds], shared


def _scan(data):
  """Reads all examples once: the channels' statistics, and the copies."""
  scan = _ChannelScan(data.x.shape)
  finder = copies.Finder(data.x, data.fold)
  row = 0
  for block in sources.iter_blocks(data.x, _BLOCK):
    scan.add(block, row)
    finder.add(block)
    row += len(block)
  return scan.finish(data.channels), finder.finish()


class _ChannelScan:
  """Computes the statistics of the channels block by block."""

  def __init__(self, shape):
    self._per_example = int(np.prod(shape[1:-1]))
    self._count = shape[0] * self._per_example  # values of a channel
    self._sampled_share = _SAMPLE / (self._count * shape[-1])
    self._rng = np.random.default_rng(0)
    self._sample = []
    # Sums are of differences to the first value: a large offset costs no
    # digits.
    self._offset = None
    self._sum = self._squares = 0.0
    self._ends = np.empty((2, 0))  # minimum and maximum
    self._examples = np.zeros((2, shape[-1]), int)
    is_series = len(shape) == 4 and shape[1] == 1
    self._has_steps = is_series and shape[2] >= _CLOCK_STEPS
    # Examples in which a channel rises; falls; is constant.
    self._ways = np.zeros((3, shape[-1]), int)
    self._is_table = is_series and 1 in shape[2:]
    self._last = np.empty((0, self._per_example * shape[-1]))
    # Whether a column rises, and falls, from each example to the next.
    self._one_way = np.ones((2, self._last.shape[1]), bool)

  def add(self, block, first_row):
    """Adds a block of examples, the first of which is `first_row`."""
    if self._has_steps:
      steps = np.diff(block[:, 0], axis=1)
      up, down = (steps >= 0).all(axis=1), (steps <= 0).all(axis=1)
      ways = up & ~down, down & ~up, up & down
      self._ways += [way.sum(axis=0) for way in ways]
    if self._is_table:
      rows = np.concatenate([self._last, block.reshape(len(block), -1)])
      steps, self._last = np.diff(rows, axis=0), rows[-1:]
      self._one_way &= [(steps > 0).all(axis=0), (steps < 0).all(axis=0)]
    flat = block.reshape(-1, block.shape[-1]).astype(np.float64)
    if self._offset is None:
      self._offset = flat[0]
      self._ends = np.stack([flat[0], flat[0]])
    self._sum = self._sum + (flat - self._offset).sum(axis=0)
    self._squares = self._squares + np.square(flat - self._offset).sum(axis=0)
    self._update_end(0, flat, first_row, np.argmin, np.less)
    self._update_end(1, flat, first_row, np.argmax, np.greater)
    if self._sampled_share < 1:
      size = math.ceil(len(flat) * self._sampled_share)
      flat = flat[self._rng.integers(len(flat), size=size)]
    self._sample.append(flat)

  def _update_end(self, end, flat, first_row, argument, beyond):
    place = argument(flat, axis=0)
    values = np.take_along_axis(flat, place[None], axis=0)[0]
    further = beyond(values, self._ends[end])
    rows = first_row + place // self._per_example
    self._ends[end] = np.where(further, values, self._ends[end])
    self._examples[end] = np.where(further, rows, self._examples[end])

  def finish(self, names) -> Channels:
    """Returns the statistics of all examples."""
    mean = self._sum / self._count
    variance = self._squares / self._count - np.square(mean)
    std = np.sqrt(np.maximum(variance, 0))
    quartiles = np.quantile(
      np.concatenate(self._sample), (0.25, 0.5, 0.75), axis=0
    )
    return Channels(
      names=list(names) or [f'channel {i}' for i in range(len(mean))],
      values=np.stack([*self._ends, mean + self._offset, std], axis=1),
      examples=self._examples.T,
      quartiles=quartiles.T,
      is_clock=self._clocks(),
      is_index=np.flatnonzero(
        self._one_way.any(axis=0) & (self._is_table and len(self._last) > 0)
      ).tolist(),
    )

  def _clocks(self):
    one_way = self._ways[:2].max(axis=0)
    still = self._ways[2]
    least = _CLOCK_SHARE * self._count / self._per_example
    return self._has_steps & (one_way + still >= least) & (one_way > still)


def _missing_classes(names, counts) -> Iterator[str]:
  for label, table in counts.items():
    for fold, name in enumerate(dataset.FOLDS):
      missing = [names[label][i] for i in np.flatnonzero(table[fold] == 0)]
      if missing:
        yield (
          f'the {name} fold has no example of {len(missing)} of the'
          f' {len(names[label])} classes of {label!r}: {_listed(missing)}.'
        )


def _clocks(data, channels) -> Iterator[str]:
  """Channels that look like time or an index, unless the loader told them."""
  for name, is_clock in zip(channels.names, channels.is_clock, strict=True):
    if is_clock and not any(repr(name) in line for line in data.remarks):
      yield (
        f'{name!r} only rises or falls in nearly every example: it looks like'
        ' time or an index, which tells the recording; leave it out of x.'
      )
  if channels.is_index:
    is_named = len(channels.names) > 1
    columns = [
      repr(channels.names[i]) if is_named else i for i in channels.is_index
    ]
    yield (
      f'columns of x that only rise or fall from example to example:'
      f' {_listed(columns)}. They look like an index or a time, which tells the'
      ' example; leave them out of x.'
    )


def _constant_channels(channels) -> Iterator[str]:
  constant = np.flatnonzero(channels.values[:, 3] == 0)
  if len(constant):
    names = [channels.names[i] for i in constant]
    yield f'constant channels: {len(names)}: {_listed(names)}.'


def _listed(items) -> str:
  items = [str(item) for item in items]
  return ', '.join(items[:_LISTED]) + (', ...' if len(items) > _LISTED else '')


def _axes(data) -> Iterator[str]:
  """Shapes whose axes seem to be in another order than is assumed."""
  shape = data.x.shape
  if len(shape) != 4 or data.channels:
    return  # Names of the channels say which axis they are.
  _, height, width, depth = shape
  if depth > _IMAGE_CHANNELS and (
    1 < height <= _IMAGE_CHANNELS < width or (height == 1 and width == depth)
  ):
    yield (
      f'x {list(shape)} looks channels-first; images are [n, height, width,'
      f' channels], so these are read as {height} high and {width} wide, with'
      f' {depth} channels.'
    )
  elif height == 1 and depth > width > 1:
    yield (
      f'series of {width} samples have {depth} channels; series are [n, time,'
      ' channels], and spectrograms can be images: see data.layout.'
    )


def _columns(x) -> Iterator[str]:
  """Series of one channel whose samples seem to be columns of a table."""
  if len(x.shape) != 4 or x.shape[1] > 1 or x.shape[2] == 1 or x.shape[3] > 1:
    return
  rows = np.unique(np.linspace(0, len(x) - 1, _BLOCK).round().astype(int))
  ratio = number_checks.scale_ratio(
    sources.read_rows(x, rows).reshape(len(rows), -1)
  )
  if ratio > number_checks.SCALE_RATIO:
    yield (
      f'the samples of a series differ in scale by {ratio:.3g}, and have one'
      ' mean and deviation for normalization. If x is a table [n, columns], set'
      ' data.layout=table.'
    )


def _scales(shape, values) -> Iterator[str]:
  """Channels of very different scale, and images that are not from 0 to 1."""
  deviations = values[values[:, 3] > 0, 3]
  ratio = deviations.max() / deviations.min() if len(deviations) else 1
  if ratio > number_checks.SCALE_RATIO:
    yield (
      f'the largest standard deviation of a channel is {ratio:.0f} times the'
      ' smallest; a study normalizes each channel.'
    )
  largest = np.abs(values[:, :2]).max()
  if shape[1] > 1 and len(shape) == 4 and largest > _BRIGHTEST:
    yield f'images have values up to {largest:.3g}; pixels are usually 0 to 1.'


def _outliers(channels: Channels) -> Iterator[str]:
  """Channels whose minimum or maximum is far from all other values.

  The distance is in interquartile ranges, which one outlier does not change. It
  would change the standard deviation: of n values, none is further than sqrt(n)
  deviations from the mean.
  """
  lines = []
  for name, (low, high, mean, std), rows, (first, median, third) in zip(
    channels.names,
    channels.values,
    channels.examples,
    channels.quartiles,
    strict=True,
  ):
    end = int(high - median >= median - low)
    value = (low, high)[end]
    interquartile = third - first
    distance = abs(value - median)
    if interquartile and distance > _OUTLIER_RANGES * interquartile:
      reason = (
        f'{distance / interquartile:.3g} interquartile ranges from the median,'
        f' {median:.4g}'
      )
    elif (
      not interquartile
      and std
      and abs(value - mean) > _OUTLIER_DEVIATIONS * std
    ):
      reason = f'and {median:.4g} in nearly all others'
    else:
      continue
    lines.append(
      f'{name} is {value:.4g} in example {rows[end]}, {reason}: an outlier, or'
      ' a code for a missing value.'
    )
  yield from lines[:_LISTED]
  if len(lines) > _LISTED:
    yield f'{len(lines) - _LISTED} other channels have such values too.'


def _label_names(names) -> Iterator[str]:
  for label, classes in names.items():
    yield from label_encoding.remarks(repr(label), classes)


def _recordings(data, counts, shared) -> Iterator[str]:
  if len(np.unique(data.recording)) == len(data.recording):
    yield (
      'every example is a recording, so intervals take the examples as'
      ' independent.'
    )
  elif any(shared):
    yield (
      'recordings are in more than one fold:'
      f' {shared[dataset.TEST]} of the {counts[dataset.TEST]} of the test'
      ' fold. This is right only if each recording was split in time.'
    )
  if counts[dataset.TEST] < _FEW_RECORDINGS:
    yield (
      f'the test fold has {counts[dataset.TEST]} recordings, so intervals over'
      ' recordings are wide.'
    )


def _varying_labels(data) -> Iterator[str]:
  for label, values in data.sensitive.items():
    if find_varying(values, data.recording):
      yield (
        f'{label!r} varies within a recording; results by recording use the'
        ' label of its first example.'
      )


def find_varying(
  values: np.ndarray, recording: np.ndarray
) -> tuple[int, int] | None:
  """Returns two examples of one recording with different values of a label.

  Args:
    values: `[n]`, the label.
    recording: `[n]`.

  Returns:
    Their indices, or `None` if the label is constant within each recording.
  """
  order = np.lexsort([values, recording])
  varies = (np.diff(recording[order]) == 0) & (np.diff(values[order]) != 0)
  if not varies.any():
    return None
  first = int(np.argmax(varies))
  return int(order[first]), int(order[first + 1])


def format_report(report: Report) -> str:
  """Formats a report for a terminal.

  First the shape and dtype, then tables of folds, classes and channels (at most
  12 rows each), then a line `fault: ...` for each fault and a line `note: ...`
  for each remark.
  """
  tables = progress.render_text(
    _folds_table(report),
    *(_classes_table(report, label) for label in report.counts),
    _channels_table(report.channels),
    fallback_width=100,
  )
  return ''.join(
    [
      f'x: {list(report.shape)}, {report.dtype}\n',
      tables,
      *(f'fault: {fault}\n' for fault in report.faults),
      *(f'note: {remark}\n' for remark in report.remarks),
    ]
  )


def _folds_table(report):
  table = _table('Folds', 'fold', *dataset.FOLDS)
  sizes = next(iter(report.counts.values())).sum(axis=1)
  table.add_row('examples', *map(str, sizes))
  table.add_row('recordings', *map(str, report.recordings))
  table.add_row('recordings in another fold too', *map(str, report.shared))
  for label, counts in report.counts.items():
    table.add_row(f'classes of {label}', *map(str, (counts > 0).sum(axis=1)))
  return table


def _classes_table(report, label):
  counts, names = report.counts[label], report.names[label]
  table = _table(f'{label}: {len(names)} classes', 'class', *dataset.FOLDS)
  largest = np.argsort(-counts.sum(axis=0), kind='stable')[:_TABLE_ROWS]
  for i in sorted(largest):
    table.add_row(str(names[i]), *map(str, counts[:, i]))
  if len(names) > _TABLE_ROWS:
    others = np.delete(counts, largest, axis=1)
    table.add_row(f'{others.shape[1]} others', *map(str, others.sum(axis=1)))
  shares = [f'{100 * share:.1f}' for share in majority_shares(counts)]
  table.add_row('largest share, %', *shares)
  return table


def _channels_table(channels):
  table = _table('Values', 'channel', 'minimum', 'maximum', 'mean', 'deviation')
  for name, values in zip(channels.names, channels.values, strict=True):
    if table.row_count == _TABLE_ROWS:
      table.add_row(f'{len(channels.names) - _TABLE_ROWS} others')
      break
    numbers = [f'{value:.4g}' for value in values]
    table.add_row(name, *numbers)
  return table


def _table(title, *columns):
  table = rich.table.Table(title=title)
  for i, column in enumerate(columns):
    table.add_column(column, justify='right' if i else 'left')
  return table
