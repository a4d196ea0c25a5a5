"""Folds by chance: each class shared out, and what belongs together kept so."""

import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np

from hybrid_jax import errors

NAMES = ('train', 'validation', 'test')  # in the order of their numbers

_CODES = {
  **{name: i for i, name in enumerate(NAMES)},
  **{str(i): i for i in range(len(NAMES))},
}
_VALID = '0 or train, 1 or validation, 2 or test'
_RARE = 5  # units that a pair of classes must have to be balanced for itself


def encode(values: np.ndarray, what: str) -> np.ndarray:
  """`[n]` int8 of folds that are given as 0, 1 and 2, or by their names.

  Args:
    values: `[n]` whole numbers or text.
    what: whose values they are, for messages.

  Raises:
    UserError: a value is no fold; it names the value, and its row from 0.
  """
  if values.dtype.kind not in 'iuUS':
    raise errors.UserError(f'{what} is {values.dtype}; {_VALID}.')
  if values.dtype.kind == 'S':
    values = np.char.decode(values, 'utf-8', 'replace')
  found, codes = np.unique(values, return_inverse=True)
  folds = np.array([_CODES.get(str(value), -1) for value in found], np.int8)
  fold = folds[codes]
  if (fold < 0).any():
    row = int(np.argmax(fold < 0))
    raise errors.UserError(
      f'{what} is {values[row].item()!r} in row {row}; {_VALID}.'
    )
  return fold


def code(value: str, what: str) -> int:
  """The number of a fold that is given as text, see `encode`."""
  errors.check_known(what, value, _CODES)
  return _CODES[value]


def duplicates(x: np.ndarray) -> np.ndarray:
  """`[n]`: a number for each distinct example of `x [n, ...]`."""
  seen: dict[bytes, int] = {}
  return np.array(
    [
      seen.setdefault(hashlib.blake2b(row.tobytes()).digest(), len(seen))
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
  """Folds by chance, in which every class has nearly its share of units.

  Classes, and pairs of one of the first label and one of another that are not
  rare, are dealt out from the rarest on, each unit to a fold that lacks it and
  is most behind in the unit's other classes. A class of one unit trains. After
  Sechidis and others, "On the stratification of multi-label data", ECML 2011.

  Args:
    labels: each `[n]`, classes from 0.
    fractions: shares of train, validation and test.
    seed: of the order in which the units are dealt out.
    unit: `[n]`, examples that must be in one fold; each for itself by default.

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
  shares = np.array(fractions, float) / sum(fractions)
  unit = np.arange(len(labels[0])) if unit is None else unit
  _, unit = np.unique(unit, return_inverse=True)
  holds = _memberships(labels, unit)
  left = holds.sum(axis=0)
  wanted = shares[:, None] * left
  fold = np.full(len(holds), -1, np.int8)
  order = np.random.default_rng(seed).permutation(len(holds))
  while left.any():
    rarest = int(np.argmin(np.where(left > 0, left, len(holds) + 1)))
    for one in order[holds[order, rarest] & (fold[order] < 0)]:
      lack = wanted[:, rarest].round(9)
      # Of the folds that lack the rarest, the one that is behind in the others.
      behind = (wanted - shares[:, None] * left)[:, holds[one]].sum(axis=1)
      able = lack >= min(lack.max(), 0.5)
      chosen = int(np.argmax(np.where(able, behind.round(9), -np.inf)))
      fold[one] = chosen
      wanted[chosen] -= holds[one]
      left = left - holds[one]
  return fold[unit]


def _memberships(labels, unit):
  """`[units, classes]` bool: which classes each unit holds an example of."""
  first = labels[0].astype(np.int64)
  columns = [np.ones((unit.max() + 1, 1), bool)]  # of all, so folds fill evenly
  for i, label in enumerate(labels):
    for values, least in (
      (label, 1),
      (first * (int(label.max()) + 1) + label, _RARE if i else len(unit) + 1),
    ):
      _, codes = np.unique(values, return_inverse=True)
      table = np.zeros((unit.max() + 1, codes.max() + 1), bool)
      table[unit, codes] = True
      columns.append(table[:, table.sum(axis=0) >= least])
  return np.concatenate(columns, axis=1)


def check_groups(
  place: object, group: np.ndarray, names: Sequence[str], fold: np.ndarray
) -> None:
  """Refuses folds that part a group.

  Args:
    place: the file, for messages.
    group: `[n]`, which group each example is of, from 0.
    names: what the groups are called.
    fold: `[n]`.

  Raises:
    UserError: a group is in two folds; it names both.
  """
  for i, name in enumerate(names):
    held = np.unique(fold[group == i])
    if len(held) > 1:
      raise errors.UserError(
        f'{place}: group {name!r} is in the folds'
        f' {" and ".join(NAMES[f] for f in held)}; it must be in one.'
        ' Parts of a recording that are apart in time are groups of their own.'
      )


def check_divisible(
  place: object,
  labels: Mapping[str, np.ndarray],
  names: Mapping[str, Sequence[str]],
  group: np.ndarray,
) -> None:
  """Refuses groups that cannot be split with each class in training.

  Args:
    place: the file, for messages.
    labels: name to `[n]`, classes from 0.
    names: name to what its classes are called.
    group: `[n]`, which group each example is of, from 0.

  Raises:
    UserError: there are too few groups, or most classes of a label are in one
      group only; it names the label.
  """
  count = int(group.max()) + 1
  if count < len(NAMES):
    raise errors.UserError(
      f"{place}: 'group' names {count} only; the folds need 3 or more."
    )
  for label, values in labels.items():
    pairs = np.unique(np.stack([values, group]), axis=1)[0]
    alone = int((np.bincount(pairs) == 1).sum())
    if len(names[label]) > 1 and 2 * alone > len(names[label]):
      raise errors.UserError(
        f'{place}: {alone} of the {len(names[label])} classes of {label!r} are'
        " in one group only, so whole groups cannot be split. 'group' must name"
        " recordings, several of each class, or 'fold' must be given."
      )
