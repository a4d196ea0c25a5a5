"""Random folds: stratified by class, with related examples kept together."""

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence

import ml_collections
import numpy as np

from hybrid_jax import errors, plugins
from hybrid_jax.datasets import dataset, label_encoding, sources

# Settings of the data sets with random folds.
OPTIONS = {
  'fractions': plugins.Option(
    (0.6, 0.2, 0.2),
    'Shares of training, validation and test.',
    above=0,
    lengths=(3,),
  ),
  'seed': plugins.Option(0, 'Seed of the random folds.', low=0, high=2**32 - 1),
}

_NUMBERS = {
  **{name: i for i, name in enumerate(dataset.FOLDS)},
  **{str(i): i for i in range(len(dataset.FOLDS))},
}
_MIN_WINDOWS = 4  # of a recording that is split in time
_LEFT_OUT = -1
_MIN_PAIR_UNITS = 5  # a pair of classes with fewer units is not balanced


def parse_folds(
  values: np.ndarray, what: str, more: Mapping[str, int] | None = None
) -> np.ndarray:
  """Returns folds that are stored as 0, 1 and 2 or as their names.

  Args:
    values: `[n]` whole numbers or text.
    what: the name of the array, for error messages.
    more: other valid names with their numbers; a number is a name, too.

  Returns:
    `[n]` int8.

  Raises:
    UserError: a value is no fold; the message names it and its row, from 0.
  """
  names = _NUMBERS | dict(more or {})
  by_fold: dict[int, list[str]] = {}
  for name, number in names.items():
    by_fold.setdefault(number, []).append(name)
  # The numbers of folds are shorter than their names.
  valid = ', '.join(' or '.join(sorted(n, key=len)) for n in by_fold.values())
  if values.dtype.kind not in 'iuUS':
    raise errors.UserError(f'{what} is {values.dtype}; it must be {valid}.')
  if values.dtype.kind in 'US':
    values = label_encoding.read_text(values, what)
  distinct, codes = np.unique(values, return_inverse=True)
  unknown = ~np.isin(distinct.astype(str), list(names))[codes]
  if unknown.any():
    row = int(np.argmax(unknown))
    raise errors.UserError(
      f'{what} is {values[row].item()!r} in row {row}; it must be {valid}.'
    )
  return np.array([names[str(value)] for value in distinct], np.int8)[codes]


def parse_fold(value: str, what: str) -> int:
  """Returns the number of one fold; see `parse_folds`."""
  errors.check_known(what, value, _NUMBERS)
  return _NUMBERS[value]


def group_duplicates(x: np.ndarray) -> np.ndarray:
  """Returns `[n]`, a number for each distinct example of `x [n, ...]`."""
  numbers: dict[bytes, int] = {}
  return np.array(
    [
      numbers.setdefault(hashlib.blake2b(row.tobytes()).digest(), len(numbers))
      for row in x
    ],
    np.int64,
  )


def stratified(
  labels: Sequence[np.ndarray],
  fractions: Sequence[float],
  seed: int,
  unit: np.ndarray | None = None,
) -> np.ndarray:
  """Assigns folds at random, so that each fold has its share of every class.

  Iterative stratification: Sechidis, Tsoumakas and Vlahavas, "On the
  stratification of multi-label data", ECML 2011. The rarest class is dealt out
  first. Pairs of a class of the first label and one of another label are
  balanced too, unless they are rare. A class of a single unit is in training.

  Args:
    labels: each `[n]`, classes from 0.
    fractions: shares of train, validation and test.
    seed: of the order in which the units are dealt out.
    unit: `[n]`, examples of one unit are in one fold. By default every example
      is a unit.

  Returns:
    `[n]` int8.

  Raises:
    UserError: `fractions` are not three positive shares, or `seed` is
      negative.
  """
  if len(fractions) != 3 or not all(0 < f < math.inf for f in fractions):
    raise errors.UserError(
      f'data.fractions is {tuple(fractions)}; it must be three positive shares,'
      ' of train, validation and test.'
    )
  if seed < 0:
    raise errors.UserError(f'data.seed is {seed}; it must be 0 or more.')
  if unit is None:
    unit = np.arange(len(labels[0]))
  unit = np.unique(unit, return_inverse=True)[1]
  members = _memberships(labels, unit)
  order = np.random.default_rng(seed).permutation(len(members))
  shares = np.array(fractions, float) / sum(fractions)
  return _deal(members, shares, order)[unit]


def _memberships(labels, unit):
  """Returns `[units, classes]` bool: which classes a unit has an example of.

  The columns are one for all units (so that the folds get their sizes), the
  classes of each label, and pairs of classes.
  """
  first = labels[0].astype(np.int64)
  columns = [_one_hot(np.zeros_like(unit), unit), _one_hot(first, unit)]
  for label in labels[1:]:
    pairs = _one_hot(first * (int(label.max()) + 1) + label, unit)
    frequent = pairs.sum(axis=0) >= _MIN_PAIR_UNITS
    columns += [_one_hot(label, unit), pairs[:, frequent]]
  return np.concatenate(columns, axis=1)


def _one_hot(values, unit):
  """Returns `[units, distinct values]` bool: which values a unit has."""
  codes = np.unique(values, return_inverse=True)[1]
  table = np.zeros((unit.max() + 1, codes.max() + 1), bool)
  table[unit, codes] = True
  return table


def _deal(members, shares, order):
  """Deals out the units, those of the rarest class first.

  Args:
    members: `[units, classes]` bool.
    shares: `[3]`, they sum to 1.
    order: `[units]`, the order of the units of one class.

  Returns:
    The fold of each unit, `[units]` int8.
  """
  fold = np.full(len(members), -1, np.int8)
  remaining = members.sum(axis=0)  # Units of each class without a fold.
  demand = shares[:, None] * remaining  # Units that each fold still needs.
  while remaining.any():
    rarest = int(np.argmin(np.where(remaining > 0, remaining, len(fold) + 1)))
    for unit in order[members[order, rarest] & (fold[order] < 0)]:
      classes = members[unit]
      fold[unit] = _choose(demand, shares, remaining, classes, rarest)
      demand[fold[unit]] -= classes
      remaining = remaining - classes
  return fold


def _choose(demand, shares, remaining, classes, rarest):
  """Returns the fold for one unit.

  Of the folds that need a unit of the rarest class, it is the one whose demand
  for the unit's classes is furthest above its share of the remaining units.
  """
  need = demand[:, rarest].round(9)
  excess = (demand - shares[:, None] * remaining)[:, classes].sum(axis=1)
  candidates = need >= min(need.max(), 0.5)
  return int(np.argmax(np.where(candidates, excess.round(9), -np.inf)))


def check_groups(
  group: np.ndarray, names: Sequence[str], fold: np.ndarray
) -> None:
  """Checks that each group is in one fold.

  Args:
    group: `[n]`, the group of each example, from 0.
    names: of the groups.
    fold: `[n]`.

  Raises:
    UserError: a group is in two folds.
  """
  for i, name in enumerate(names):
    held = np.unique(fold[group == i])
    if len(held) > 1:
      raise errors.UserError(
        f'group {name!r} is in the folds'
        f' {" and ".join(dataset.FOLDS[f] for f in held)}; it must be in one.'
        ' If a recording was split in time, make each part a group.'
      )


def check_splittable(
  labels: Mapping[str, np.ndarray],
  names: Mapping[str, Sequence[str]],
  group: np.ndarray,
) -> None:
  """Checks that groups can be split so that the folds share the classes.

  Args:
    labels: label to `[n]`, classes from 0.
    names: label to the names of its classes.
    group: `[n]`, the group of each example, from 0.

  Raises:
    UserError: there are fewer than three groups, or most classes of a label are
      in one group only.
  """
  count = int(group.max()) + 1
  if count < len(dataset.FOLDS):
    raise errors.UserError(
      f"'group' has {count} groups; three folds need 3 or more."
    )
  for label, values in labels.items():
    pairs = np.unique(np.stack([values, group]), axis=1)[0]
    alone = int((np.bincount(pairs) == 1).sum())
    if len(names[label]) > 1 and 2 * alone > len(names[label]):
      raise errors.UserError(
        f'{alone} of the {len(names[label])} classes of {label!r} are in one'
        ' group only, so a split of whole groups leaves folds without them.'
        " Let 'group' name recordings, several of each class, or give 'fold'."
      )


def hold_back(
  data: dataset.Dataset, config: ml_collections.ConfigDict
) -> dataset.Dataset:
  """Moves a share of the training fold to the fold `dataset.ATTACK`.

  An attacker's labelled vectors come from use, not from the windows that the
  network was trained on, which training has drawn together. The last part of
  each recording is held back; windows that share samples with it are removed.
  Where most recordings have fewer than four windows, whole recordings
  are held back, with the same share of each class.

  Args:
    data: the data set.
    config: `attack_fold`, the share; and `window`, `hop` and `gap` in samples,
      where windows are cut from recordings.

  Raises:
    UserError: a class would have no example in one of the two folds.
  """
  share = config.get('attack_fold', 0)
  if not share:
    return data
  train = np.flatnonzero(data.fold == dataset.TRAIN)
  _, index, sizes = np.unique(
    data.recording[train], return_inverse=True, return_counts=True
  )
  fold = data.fold.copy()
  if np.median(sizes) < _MIN_WINDOWS:
    dealt = stratified(
      [labels[train] for labels in data.labels().values()],
      (1 - share, share / 2, share / 2),
      0,
      unit=index,
    )
    fold[train[dealt != dataset.TRAIN]] = dataset.ATTACK
  else:
    gap = 0
    if 'hop' in config:
      # Windows whose starts are so far apart share no sample.
      gap = math.ceil((config.window + config.gap) / config.hop) - 1
    for recording in range(len(sizes)):
      rows = train[index == recording]
      first = len(rows) - max(1, round(share * len(rows)))
      fold[rows[first:]] = dataset.ATTACK
      fold[rows[max(0, first - gap) : first]] = _LEFT_OUT
  _check_held(data, fold, share)
  kept = fold != _LEFT_OUT
  return dataclasses.replace(
    data,
    x=sources.select_rows(data.x, kept),
    primary=data.primary[kept],
    sensitive={name: v[kept] for name, v in data.sensitive.items()},
    recording=data.recording[kept],
    fold=fold[kept],
  )


def _check_held(data, fold, share):
  """Checks that the training and the attack fold have each class."""
  for label, values in data.labels().items():
    names = data.names()[label]
    for number, name in ((dataset.TRAIN, 'train'), (dataset.ATTACK, 'attack')):
      held = np.isin(np.arange(len(names)), values[fold == number])
      if not held.all():
        raise errors.UserError(
          f'data.attack_fold={share:g} leaves class'
          f' {names[int(np.argmin(held))]!r} of label {label!r}'
          f' without an example in the {name} fold; take another share, or 0.'
        )
