"""What a data set holds, and what in it should be looked at before a study."""

import dataclasses
import hashlib
import io
import shutil
from collections.abc import Sequence

import numpy as np
import rich.console
import rich.table
from rich import markup

from hybrid_jax import sources
from hybrid_jax.datasets import base as datasets

# Labels that tell who it is: how many there are is told for each fold.
PEOPLE = ('person', 'people', 'subject', 'speaker', 'user', 'identity')

_BLOCK = 1024  # examples in memory at once
_MANY = 12  # classes that a table shows
_WIDE = 1e3  # widest over narrowest channel, and values over deviations
_BRIGHT = 16  # of images from 0 to 1, or normalized
_FEW = 20  # recordings in the test fold


@dataclasses.dataclass(frozen=True)
class Found:
  """What a data set holds.

  Attributes:
    shape: of `x`, `[n, ...]`.
    dtype: of `x`.
    names: label to what its classes are called.
    counts: label to `[3, classes]`, how many examples each fold has.
    recordings: how many recordings have examples in each fold.
    channels: the channels' names; numbers where they have none.
    values: `[channels, 4]`: least, most, mean and standard deviation of each.
    copies: groups of equal examples that are in more than one fold.
    faults: what makes a study's figures wrong or incomplete, a sentence each.
    remarks: what is worth knowing, a sentence each.
  """

  shape: tuple[int, ...]
  dtype: str
  names: dict[str, Sequence[str]]
  counts: dict[str, np.ndarray]
  recordings: list[int]
  channels: list[str]
  values: np.ndarray
  copies: list[list[int]]
  faults: list[str]
  remarks: list[str]


def chance(counts: np.ndarray) -> list[float]:
  """Each fold's share of the class that is largest there: `[3, k]` to 3."""
  return (counts.max(axis=1) / np.maximum(counts.sum(axis=1), 1)).tolist()


def examine(data: datasets.Dataset) -> Found:
  """Looks through what a data set's `load` gives, read once in blocks."""
  names = {'primary': data.primary_names, **data.sensitive_names}
  counts = {
    label: np.stack(
      [
        np.bincount(values[data.fold == fold], minlength=len(names[label]))
        for fold in range(3)
      ]
    )
    for label, values in data.labels().items()
  }
  values, copies = _read(data)
  channels = list(data.channels) or [f'channel {i}' for i in range(len(values))]
  recordings = [
    len(np.unique(data.recording[data.fold == fold])) for fold in range(3)
  ]
  return Found(
    shape=tuple(data.x.shape),
    dtype=str(data.x.dtype),
    names=names,
    counts=counts,
    recordings=recordings,
    channels=channels,
    values=values,
    copies=copies,
    faults=[
      *_missing(names, counts),
      *_copied(data, copies),
      *_constant(channels, values),
    ],
    remarks=[
      *_unusual(data, channels, values),
      *_about_recordings(data, recordings),
    ],
  )


def _read(data):
  """Each channel's values, and equal examples in more than one fold."""
  total, squares, least, most = 0.0, 0.0, np.inf, -np.inf
  seen, row, offset = {}, 0, None
  for block in sources.blocks(data.x, _BLOCK):
    flat = block.reshape(-1, block.shape[-1]).astype(np.float64)
    # Around the first example, so that a large offset takes no digits.
    offset = flat[0] if offset is None else offset
    total = total + (flat - offset).sum(axis=0)
    squares = squares + np.square(flat - offset).sum(axis=0)
    least = np.minimum(least, flat.min(axis=0))
    most = np.maximum(most, flat.max(axis=0))
    for example in block:
      digest = hashlib.blake2b(np.ascontiguousarray(example).data).digest()
      seen.setdefault(digest, []).append(row)
      row += 1
  mean = total / (count := row * int(np.prod(data.x.shape[1:-1])))
  std = np.sqrt(np.maximum(squares / count - np.square(mean), 0))
  values = np.stack([least, most, mean + offset, std], axis=1)
  return values, [r for r in seen.values() if len(set(data.fold[r])) > 1]


def _missing(names, counts):
  for label, table in counts.items():
    for fold, name in enumerate(datasets.FOLDS):
      lacking = [names[label][i] for i in np.flatnonzero(table[fold] == 0)]
      if lacking:
        yield (
          f'the {name} fold has no example of {len(lacking)} of the'
          f' {len(names[label])} classes of {label!r}: {_some(lacking)}.'
        )


def _copied(data, copies):
  if copies:
    where = [f'{row} ({datasets.FOLDS[data.fold[row]]})' for row in copies[0]]
    yield (
      f'{len(copies)} examples have equal copies in another fold; the first are'
      f' the examples {_some(where)}.'
    )


def _constant(channels, values):
  if still := [channels[i] for i in np.flatnonzero(values[:, 3] == 0)]:
    yield f'{len(still)} channels never change: {_some(still)}.'


def _unusual(data, channels, values):
  deviations = values[values[:, 3] > 0, 3]
  ratio = deviations.max() / deviations.min() if len(deviations) else 1
  if ratio > _WIDE:
    yield (
      f'the widest channel deviates {ratio:.0f} times as much as the narrowest;'
      ' a study normalizes each for itself.'
    )
  for name, (least, most, mean, std) in zip(channels, values, strict=True):
    if std and max(most - mean, mean - least) > _WIDE * std:
      yield (
        f'{name} holds {least:.3g} to {most:.3g}, and deviates by {std:.2g}'
        ' only: an outlier, or a code for what is missing.'
      )
  largest = np.abs(values[:, :2]).max()
  if data.x.shape[1] > 1 and len(data.x.shape) == 4 and largest > _BRIGHT:
    yield (
      f'images hold values up to {largest:.3g}; pixels are usually 0 to 1.'
    )


def _about_recordings(data, recordings):
  count = len(np.unique(data.recording))
  if count == len(data.recording):
    yield 'every example is a recording: intervals take them as independent.'
  elif sum(recordings) > count:
    yield 'recordings are in more than one fold: they were cut in time.'
  if recordings[datasets.TEST] < _FEW:
    yield (
      f'the test fold has {recordings[datasets.TEST]} recordings, so intervals'
      ' over them are wide.'
    )
  for label, values in data.labels().items():
    order = np.lexsort([values, data.recording])
    same = np.diff(data.recording[order]) == 0
    if label != 'primary' and (np.diff(values[order])[same] != 0).any():
      yield (
        f'{label!r} varies within a recording; figures by recording take its'
        ' first example.'
      )


def _some(items) -> str:
  items = [str(item) for item in items]
  return ', '.join(items[:5]) + (', ...' if len(items) > 5 else '')


def terminal(found: Found) -> str:
  """The tables of what was found, then faults and remarks."""
  stream = io.StringIO()
  stream.write(f'x: {list(found.shape)}, {found.dtype}\n')
  width = shutil.get_terminal_size((100, 24)).columns
  console = rich.console.Console(file=stream, width=width)
  classes = [_classes(found, label) for label in found.counts]
  for table in (_folds(found), *classes, _channels(found)):
    console.print(table)
  stream.writelines(f'look at: {fault}\n' for fault in found.faults)
  stream.writelines(f'note: {remark}\n' for remark in found.remarks)
  return stream.getvalue()


def _folds(found):
  table = _table('Folds', 'fold', *datasets.FOLDS)
  sizes = next(iter(found.counts.values())).sum(axis=1)
  table.add_row('examples', *map(str, sizes))
  table.add_row('recordings', *map(str, found.recordings))
  for label in set(PEOPLE) & set(found.counts):
    people = (found.counts[label] > 0).sum(axis=1)
    table.add_row(f'of label {label}', *map(str, people))
  return table


def _classes(found, label):
  counts, names = found.counts[label], found.names[label]
  table = _table(f'{label}: {len(names)} classes', 'class', *datasets.FOLDS)
  # Of many classes the largest.
  order = np.argsort(-counts.sum(axis=0), kind='stable')[:_MANY]
  for i in sorted(order):
    table.add_row(markup.escape(str(names[i])), *map(str, counts[:, i]))
  if len(names) > _MANY:
    rest = np.delete(counts, order, axis=1)
    table.add_row(f'{rest.shape[1]} others', *map(str, rest.sum(axis=1)))
  shares = [f'{100 * share:.1f}' for share in chance(counts)]
  table.add_row('largest share, %', *shares)
  return table


def _channels(found):
  table = _table('Values', 'channel', 'least', 'most', 'mean', 'deviation')
  for i, name in enumerate(found.channels[:_MANY]):
    numbers = [f'{value:.4g}' for value in found.values[i]]
    table.add_row(markup.escape(name), *numbers)
  if len(found.values) > _MANY:
    table.add_row(f'{len(found.values) - _MANY} others')
  return table


def _table(title, *columns):
  table = rich.table.Table(title=title)
  for i, column in enumerate(columns):
    table.add_column(column, justify='right' if i else 'left')
  return table
