"""The rank measure at 20,000 x 20,000, beside PyTorch and scikit-learn.

Ours adds up squared differences and averages ties. PyTorch's blocks are as
large, so that memory is bounded alike: `count` compares `cdist`'s distances
with the true one's, `sort` sorts them. scikit-learn goes through
`pairwise_distances_chunked`. That all give the same ranks is checked first, on
whole numbers, of which a matrix product makes exact distances.
"""

import numpy as np
from sklearn import metrics

from benchmarks import timing
from hybrid_jax import errors, progress
from hybrid_jax.metrics import ranking

SIDE = 20_000
DIM = 6  # as many numbers as the watch study sends
_FEW = 1000  # probes that are sorted, or that scikit-learn ranks
_CHUNK_MIB = 512 * SIDE * 8 / 2**20  # scikit-learn's: 512 probes at a time


def measure(bench: timing.Bench) -> list[timing.Row]:
  """A row for each of the others."""
  check_same(bench)
  progress.say(f'ranks, {SIDE} x {SIDE}')
  probes, candidates, truth = _vectors(SIDE)
  timers = {
    'JAX': lambda: timing.seconds(ranking.linkage, probes, candidates, truth)
  }
  for way, count in (('count', SIDE), ('sort', _FEW)):
    timers[f'PyTorch cdist, {way}{_scaled(count)}'] = bench.torch.timer(
      'ranks.linkage',
      share=count / SIDE,
      way=way,
      probes=count,
      candidates=SIDE,
      dim=DIM,
    )
  few = probes[:_FEW], candidates, truth[:_FEW]
  timers[f'scikit-learn, count{_scaled(_FEW)}'] = lambda: (
    timing.seconds(sklearn_ranks, *few) * SIDE / _FEW
  )
  return bench.compare(f'ranks of {SIDE} among {SIDE}, {DIM} numbers', timers)


def sklearn_ranks(
  probes: np.ndarray, candidates: np.ndarray, truth: np.ndarray
) -> np.ndarray:
  """Ranks `[n]` of `probes [n, d]` among `candidates [m, d]`, as ours."""

  def reduce(distance, start):
    index = truth[start : start + len(distance), None]
    own = np.take_along_axis(distance, index, axis=1)
    tied = (distance == own).sum(axis=1) - 1
    return 1 + (distance < own).sum(axis=1) + tied / 2

  return np.concatenate(
    list(
      metrics.pairwise_distances_chunked(
        probes, candidates, reduce_func=reduce, working_memory=_CHUNK_MIB
      )
    )
  )


def check_same(bench: timing.Bench, side: int = 300) -> None:
  """Ranks small whole numbers by all ways.

  Raises:
    UserError: they differ; then there is nothing to compare.
  """
  # So many values that hardly any tie, which a sort would order as it likes.
  probes, candidates, truth = (
    np.round(a * 256) if a.ndim == 2 else a for a in _vectors(side)
  )
  ours = ranking.linkage(probes, candidates, truth)
  found = {'scikit-learn': sklearn_ranks(probes, candidates, truth)}
  for way in ('count', 'sort'):
    given = {
      'probes': probes.tolist(),
      'candidates': candidates.tolist(),
      'truth': truth.tolist(),
    }
    arguments = {'way': way, **given}
    found[f'PyTorch, {way}'] = np.asarray(
      bench.torch.call('ranks.ranks', **arguments)
    )
  for name, theirs in found.items():
    if (far := np.abs(theirs - ours).max()) > 0.5:  # The half is a tie's.
      raise errors.UserError(f'{name} ranks otherwise, by {far:g} places.')


def _vectors(side):
  rng = np.random.default_rng(0)
  candidates = rng.standard_normal((side, DIM), np.float32)
  truth = rng.permutation(side)
  noise = rng.standard_normal((side, DIM), np.float32)
  return candidates[truth] + noise, candidates, truth


def _scaled(count):
  return f' ({count}, scaled)' if count < SIDE else ''
