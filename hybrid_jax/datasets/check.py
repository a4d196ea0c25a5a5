"""What a data set holds, and what in it should be looked at before a study."""

import dataclasses
import hashlib
import math
from collections.abc import Sequence

import numpy as np
import rich.table

from hybrid_jax import progress
from hybrid_jax.datasets import dataset, remarks, sources

_BLOCK = 1024  # examples in memory at once
_MANY = 12  # classes that a table shows
_SAMPLE = 2_000_000  # values of which quartiles are taken; all, where fewer


@dataclasses.dataclass(frozen=True)
class Found:
  """What a data set holds.

  Attributes:
    shape: of `x`, `[n, ...]`.
    dtype: of `x`.
    names: label to what its classes are called.
    counts: label to `[3, classes]`, how many examples each fold has.
    recordings: how many recordings, or groups, have examples in each fold.
    shared: how many of these have examples in another fold too.
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
  shared: list[int]
  channels: list[str]
  values: np.ndarray
  copies: list[list[int]]
  faults: list[str]
  remarks: list[str]


def chance(counts: np.ndarray) -> list[float]:
  """Each fold's share of the class that is largest there: `[3, k]` to 3."""
  return (counts.max(axis=1) / np.maximum(counts.sum(axis=1), 1)).tolist()


def examine(data: dataset.Dataset) -> Found:
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
  values, where, quartiles, copies = _read(data)
  channels = list(data.channels) or [f'channel {i}' for i in range(len(values))]
  held = [set(data.recording[data.fold == fold].tolist()) for fold in range(3)]
  recordings = [len(one) for one in held]
  shared = [
    len(one & set().union(*held[:fold], *held[fold + 1 :]))
    for fold, one in enumerate(held)
  ]
  return Found(
    shape=tuple(data.x.shape),
    dtype=str(data.x.dtype),
    names=names,
    counts=counts,
    recordings=recordings,
    shared=shared,
    channels=channels,
    values=values,
    copies=copies,
    faults=[
      *_missing(names, counts),
      *_copied(data, copies),
      *_constant(channels, values),
    ],
    remarks=[
      *remarks.axes(data.x.shape, bool(data.channels)),
      *remarks.scales(data.x.shape, values),
      *remarks.outliers(channels, values, where, quartiles),
      *(r for n in names for r in remarks.names_alike(n, names[n])),
      *remarks.recordings(data, recordings, shared),
    ],
  )


def _read(data):
  """Each channel's values, and equal examples in more than one fold.

  Returns:
    Least, most, mean and deviation `[channels, 4]`; the examples that hold the
    least and the most `[channels, 2]`; the quartiles `[channels, 3]`, of a
    sample where there are many values; and the groups of equal examples.
  """
  total, squares, offset = 0.0, 0.0, None
  ends = np.empty((2, 0))
  seen, row, sample = {}, 0, []
  rng = np.random.default_rng(0)
  per_example = int(np.prod(data.x.shape[1:-1]))
  share = _SAMPLE / (len(data.x) * per_example * data.x.shape[-1])
  for block in sources.iter_blocks(data.x, _BLOCK):
    flat = block.reshape(-1, block.shape[-1]).astype(np.float64)
    if offset is None:
      # Around the first example, so that a large offset takes no digits.
      offset = flat[0]
      ends = np.stack([offset, offset])
      where = np.zeros((2, len(offset)), int)
    total = total + (flat - offset).sum(axis=0)
    squares = squares + np.square(flat - offset).sum(axis=0)
    for side, (arg, beyond) in enumerate(
      ((np.argmin, np.less), (np.argmax, np.greater))
    ):
      at = arg(flat, axis=0)
      end = np.take_along_axis(flat, at[None], axis=0)[0]
      further = beyond(end, ends[side])
      ends[side] = np.where(further, end, ends[side])
      where[side] = np.where(further, row + at // per_example, where[side])
    chosen = rng.integers(len(flat), size=math.ceil(len(flat) * share))
    sample.append(flat if share >= 1 else flat[chosen])
    for example in block:
      digest = hashlib.blake2b(np.ascontiguousarray(example).data).digest()
      seen.setdefault(digest, []).append(row)
      row += 1
  mean = total / (count := row * per_example)
  std = np.sqrt(np.maximum(squares / count - np.square(mean), 0))
  quartiles = np.quantile(np.concatenate(sample), (0.25, 0.5, 0.75), axis=0)
  copies = [r for r in seen.values() if len(set(data.fold[r])) > 1]
  return np.stack([*ends, mean + offset, std], 1), where.T, quartiles.T, copies


def _missing(names, counts):
  for label, table in counts.items():
    for fold, name in enumerate(dataset.FOLDS):
      lacking = [names[label][i] for i in np.flatnonzero(table[fold] == 0)]
      if lacking:
        yield (
          f'the {name} fold has no example of {len(lacking)} of the'
          f' {len(names[label])} classes of {label!r}: {_some(lacking)}.'
        )


def _copied(data, copies):
  if copies:
    where = [f'{row} ({dataset.FOLDS[data.fold[row]]})' for row in copies[0]]
    yield (
      f'{len(copies)} examples have equal copies in another fold; the first are'
      f' the examples {_some(where)}.'
    )


def _constant(channels, values):
  if still := [channels[i] for i in np.flatnonzero(values[:, 3] == 0)]:
    yield f'{len(still)} channels never change: {_some(still)}.'


def _some(items) -> str:
  items = [str(item) for item in items]
  return ', '.join(items[:5]) + (', ...' if len(items) > 5 else '')


def terminal(found: Found) -> str:
  """The tables of what was found, then faults and remarks."""
  classes = [_classes(found, label) for label in found.counts]
  return ''.join(
    [
      f'x: {list(found.shape)}, {found.dtype}\n',
      progress.render_text(
        _folds(found), *classes, _channels(found), fallback_width=100
      ),
      *(f'look at: {fault}\n' for fault in found.faults),
      *(f'note: {remark}\n' for remark in found.remarks),
    ]
  )


def _folds(found):
  table = _table('Folds', 'fold', *dataset.FOLDS)
  sizes = next(iter(found.counts.values())).sum(axis=1)
  table.add_row('examples', *map(str, sizes))
  table.add_row('recordings', *map(str, found.recordings))
  table.add_row('recordings in another fold too', *map(str, found.shared))
  for label, counts in found.counts.items():
    table.add_row(f'classes of {label}', *map(str, (counts > 0).sum(axis=1)))
  return table


def _classes(found, label):
  counts, names = found.counts[label], found.names[label]
  table = _table(f'{label}: {len(names)} classes', 'class', *dataset.FOLDS)
  # Of many classes the largest.
  order = np.argsort(-counts.sum(axis=0), kind='stable')[:_MANY]
  for i in sorted(order):
    table.add_row(str(names[i]), *map(str, counts[:, i]))
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
    table.add_row(name, *numbers)
  if len(found.values) > _MANY:
    table.add_row(f'{len(found.values) - _MANY} others')
  return table


def _table(title, *columns):
  table = rich.table.Table(title=title)
  for i, column in enumerate(columns):
    table.add_column(column, justify='right' if i else 'left')
  return table
