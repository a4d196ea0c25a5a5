"""Folds by chance: each class shared out, and what belongs together kept so."""

import hashlib
from collections.abc import Sequence

import numpy as np

from hybrid_jax import errors

_RARE = 5  # units that a pair of classes must have to be balanced for itself


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
    UserError: `fractions` are not three positive shares.
  """
  if len(fractions) != 3 or min(fractions) <= 0:
    raise errors.UserError(
      f'fractions {tuple(fractions)} must be three positive shares.'
    )
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
