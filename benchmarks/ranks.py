"""The rank measure at 20,000 x 20,000, compared with PyTorch and scikit-learn.

Our measure adds up squared differences and averages ties. PyTorch has blocks of
the same size, and so the same bound on memory: `count` compares the distances
of `cdist` with that of the true candidate, `sort` sorts them. scikit-learn has
`pairwise_distances_chunked`. A check first shows that all give the same ranks.
It takes whole numbers, whose distances are exact in a matrix product.
"""

import numpy as np
from sklearn import metrics

from benchmarks import timing
from hybrid_jax import errors, progress
from hybrid_jax.metrics import ranking

SIDE = 20_000
DIM = 6  # length of the vectors of the watch study
_FEW = 1000  # number of probes of `sort` and of scikit-learn
_CHUNK_MIB = 512 * SIDE * 8 / 2**20  # scikit-learn's: 512 probes at a time


def measure(bench: timing.Bench) -> list[timing.Row]:
  """Returns a row for each other implementation."""
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
  """Returns ranks `[n]` of `probes [n, d]` among `candidates [m, d]`."""

  def reduce(distance, start):
    index = truth[start : start + len(distance), None]
    true = np.take_along_axis(distance, index, axis=1)
    tied = (distance == true).sum(axis=1) - 1
    return 1 + (distance < true).sum(axis=1) + tied / 2

  return np.concatenate(
    list(
      metrics.pairwise_distances_chunked(
        probes, candidates, reduce_func=reduce, working_memory=_CHUNK_MIB
      )
    )
  )


def check_same(bench: timing.Bench, side: int = 300) -> None:
  """Checks that all implementations give the same ranks.

  Raises:
    UserError: they differ, so that they cannot be compared.
  """
  # Large numbers hardly ever tie; a sort orders ties arbitrarily.
  probes, candidates, truth = (
    np.round(a * 256) if a.ndim == 2 else a for a in _vectors(side)
  )
  ours = ranking.linkage(probes, candidates, truth)
  ranks = {'scikit-learn': sklearn_ranks(probes, candidates, truth)}
  for way in ('count', 'sort'):
    arguments = {
      'way': way,
      'probes': probes.tolist(),
      'candidates': candidates.tolist(),
      'truth': truth.tolist(),
    }
    ranks[f'PyTorch, {way}'] = np.asarray(
      bench.torch.call('ranks.ranks', **arguments)
    )
  for name, theirs in ranks.items():
    # A tie may differ by a half.
    if (difference := np.abs(theirs - ours).max()) > 0.5:
      raise errors.UserError(f'the ranks of {name} differ by {difference:g}.')


def _vectors(side):
  rng = np.random.default_rng(0)
  candidates = rng.standard_normal((side, DIM), np.float32)
  truth = rng.permutation(side)
  noise = rng.standard_normal((side, DIM), np.float32)
  return candidates[truth] + noise, candidates, truth


def _scaled(count):
  return f' ({count}, scaled)' if count < SIDE else ''
