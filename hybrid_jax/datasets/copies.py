"""Finds examples that have a copy in another fold.

A copy is equal in every byte. A near copy differs by at most 1 % of the
example's own distance from the mean, after each channel is divided by its
deviation: rounding and weak noise make one. Copies are found among all examples
by a hash. Near copies are found for a sample of the validation and test folds,
among all examples of the other folds: the nearest one by random projections,
whose distance is then measured in full.
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hybrid_jax.datasets import dataset, sources

NEAR = 0.01  # of the distance from the mean
_PROJECTIONS = 32
_BLOCK = 1024  # examples in memory at once
_SCALED_BY = 512  # examples from which the channels' deviations are computed
_QUERIES = 1000  # of the validation and of the test fold
_COMPARED = 2**22  # pairs of examples at once


@dataclasses.dataclass(frozen=True)
class Copies:
  """Examples with a copy in another fold.

  Attributes:
    groups: sets of equal examples (lists of rows) in two folds or more.
    equal: `[3]`, how many examples of each fold have an equal one in another.
    near: fold to how many examples of a sample have a near copy in another
      fold, without equal ones; for validation and test.
    sampled: fold to the size of the sample.
    pair: the rows of the first near copy; empty without one.
    fold: `[n]`, the fold of each example.
  """

  groups: Sequence[Sequence[int]]
  equal: Sequence[int]
  near: dict[int, int]
  sampled: dict[int, int]
  pair: tuple[int, ...]
  fold: np.ndarray

  def public(self) -> dict[str, Any]:
    """Returns the counts by the names of the folds, for JSON."""
    names = dataset.FOLDS
    return {
      'equal': {names[i]: count for i, count in enumerate(self.equal)},
      'near': {names[i]: count for i, count in self.near.items()},
      'sampled': {names[i]: count for i, count in self.sampled.items()},
    }

  def equal_line(self, what: str) -> Iterator[str]:
    """Yields a line if there are equal examples; `what` names the examples."""
    if not self.groups:
      return
    counts = ', '.join(
      f'{count} of {(self.fold == i).sum()} in {dataset.FOLDS[i]}'
      for i, count in enumerate(self.equal)
    )
    yield (
      f'{what} with equal copies in another fold: {counts}. The first are'
      f' {self._rows(self.groups[0])}. An attacker or network that learnt one'
      ' knows the answer for its copies.'
    )

  def near_line(self, what: str) -> Iterator[str]:
    """Yields a line if there are near copies."""
    if not self.pair:
      return
    counts = ', '.join(
      f'{count} of {self.sampled[i]} in {dataset.FOLDS[i]}'
      for i, count in self.near.items()
    )
    yield (
      f'{what} with near copies in another fold (they differ by less than'
      f' {NEAR:.0%} of their distance from the mean): {counts}. The first are'
      f' {self._rows(self.pair)}.'
    )

  def _rows(self, rows):
    listed = [f'{row} ({dataset.FOLDS[self.fold[row]]})' for row in rows[:5]]
    return ', '.join(listed) + (', …' if len(rows) > 5 else '')


class Finder:
  """Finds copies in examples that are added block by block."""

  def __init__(self, x: np.ndarray | sources.Source, fold: np.ndarray):
    """Reads a few examples of `x [n, ..., channels]` for the scales.

    Args:
      x: the examples; near copies are read again at the end.
      fold: `[n]`.
    """
    self._x, self._fold = x, fold
    rows = np.unique(np.linspace(0, len(x) - 1, _SCALED_BY).astype(int))
    sample = sources.read_rows(x, rows).astype(np.float64)
    axes = tuple(range(sample.ndim - 1))
    scale = sample.std(axis=axes)
    self._mean, self._scale = sample.mean(axis=0), np.where(scale, scale, 1)
    size = int(np.prod(x.shape[1:]))
    rng = np.random.default_rng(0)
    self._axes = rng.standard_normal((size, _PROJECTIONS)) / _PROJECTIONS**0.5
    self._axes = self._axes.astype(np.float32)
    self._projected: list[np.ndarray] = []
    self._rows_of: dict[bytes, list[int]] = {}
    self._row = 0

  def add(self, block: np.ndarray) -> None:
    """Adds the next examples."""
    for example in block:
      digest = hashlib.blake2b(np.ascontiguousarray(example).data).digest()
      self._rows_of.setdefault(digest, []).append(self._row)
      self._row += 1
    flat = self._normalize(block).astype(np.float32)
    self._projected.append(flat @ self._axes)

  def finish(self) -> Copies:
    """Returns the copies among all examples that were added."""
    fold = self._fold
    groups = [r for r in self._rows_of.values() if len(set(fold[r])) > 1]
    rows = np.array([row for group in groups for row in group], int)
    equal = [int((fold[rows] == i).sum()) for i in range(len(dataset.FOLDS))]
    is_equal = np.zeros(len(fold), bool)
    is_equal[rows] = True
    near, sampled, first = {}, {}, ()
    for i in (dataset.VALIDATION, dataset.TEST):
      queries = np.flatnonzero(fold == i)
      if len(queries) > _QUERIES:
        rng = np.random.default_rng(i)
        queries = np.sort(rng.choice(queries, _QUERIES, replace=False))
      sampled[i] = len(queries)
      pairs = self._near_pairs(queries[~is_equal[queries]], fold != i)
      near[i] = len(pairs)
      first = first or (pairs[0] if pairs else ())
    return Copies(groups, equal, near, sampled, first, fold)

  def _normalize(self, x):
    return ((x - self._mean) / self._scale).reshape(len(x), -1)

  def _near_pairs(self, queries, candidates):
    """Returns the pairs of a query and its near copy among the candidates."""
    others = np.flatnonzero(candidates)
    if not len(queries) or not len(others):
      return []
    nearest = self._nearest(queries, others)
    pairs = []
    for low in range(0, len(queries), _BLOCK):
      rows = queries[low : low + _BLOCK]
      partners = nearest[low : low + _BLOCK]
      a = self._normalize(sources.read_rows(self._x, rows))
      b = self._normalize(sources.read_rows(self._x, partners))
      # Of the larger one: a vector at the mean has no scale of its own.
      scale = np.maximum(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
      is_near = np.linalg.norm(a - b, axis=1) <= NEAR * scale
      pairs += zip(
        rows[is_near].tolist(), partners[is_near].tolist(), strict=True
      )
    return pairs

  def _nearest(self, queries, others):
    """Returns the row of the candidate nearest to each query, projected."""
    projected = np.concatenate(self._projected)
    reference = projected[others]
    squares = np.square(reference).sum(axis=1)
    step = max(1, _COMPARED // len(others))
    nearest = [
      np.argmin(
        squares - 2 * projected[queries[low : low + step]] @ reference.T, axis=1
      )
      for low in range(0, len(queries), step)
    ]
    return others[np.concatenate(nearest)]


def find(x: np.ndarray | sources.Source, fold: np.ndarray) -> Copies:
  """Finds the examples of `x [n, ...]` that have a copy in another fold.

  Args:
    x: `[n, ..., channels]`.
    fold: `[n]`, see `dataset.FOLDS`.
  """
  finder = Finder(x, fold)
  for block in sources.iter_blocks(x, _BLOCK):
    finder.add(block)
  return finder.finish()
