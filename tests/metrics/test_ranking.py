import math

import numpy as np
import pytest
import scipy.special
import scipy.stats

from hybrid_jax import errors
from hybrid_jax.metrics import ranking

# Correlated noise of unequal scale: the order is not the Euclidean one.
NOISE = np.array([[0.3, 0, 0], [2.0, 1.0, 0], [-0.5, 0.4, 5.0]])


def _vectors(n, m, d, seed=0):
  rng = np.random.default_rng(seed)
  return (
    rng.standard_normal((n, d)).astype(np.float32),
    rng.standard_normal((m, d)).astype(np.float32),
  )


def _brute(probes, candidates, truth, scale):
  """By scipy's densities, one at a time."""
  scores = np.array(
    [
      [
        scipy.stats.multivariate_normal(y, scale @ scale.T).logpdf(x)
        for y in candidates.astype(np.float64)
      ]
      for x in probes.astype(np.float64)
    ]
  )
  own = scores[np.arange(len(truth)), truth]
  return 1 + (scores > own[:, None]).sum(axis=1)


def test_ranks_of_scores_by_hand():
  low = -np.inf
  scores = np.array(
    [
      [0.1, 0.3, 0.2, 0.0],
      [0.1, 0.3, 0.3, 0.0],  # A tie for the first place.
      [5.0, 5.0, 5.0, 5.0],
      [low, 1.0, low, low],  # Three are impossible alike.
      [low, 1.0, low, low],
    ]
  )
  found = ranking.from_scores(scores, np.array([2, 1, 3, 0, 1]))
  np.testing.assert_array_equal(found, [2, 1.5, 2.5, 3, 1])


def test_ranks_of_scores_are_not_those_of_nan():
  with pytest.raises(errors.UserError, match='NaN'):
    ranking.from_scores(np.array([[np.nan, 1.0]]), np.array([0]))


@pytest.mark.parametrize('truth', [[2], [-1], [0, 0]])
def test_the_truth_is_among_the_candidates(truth):
  x, y = np.zeros((1, 3), np.float32), np.eye(2, 3, dtype=np.float32)
  for call in (
    lambda: ranking.from_scores(np.zeros((1, 2)), np.array(truth)),
    lambda: ranking.linkage(x, y, np.array(truth)),
    lambda: ranking.class_form(x, x, np.array(truth), 2, 1.0),
  ):
    with pytest.raises(errors.UserError, match='0 to 1'):
      call()


@pytest.mark.parametrize('scale', [None, NOISE], ids=['plain', 'noise'])
def test_linkage_is_that_of_the_densities(scale):
  probes, candidates = _vectors(40, 30, 3)
  truth = np.arange(40) * 7 % 30
  want = _brute(
    probes, candidates, truth, np.eye(3) if scale is None else scale
  )
  found = ranking.linkage(probes, candidates, truth, scale, block=16)
  np.testing.assert_array_equal(found, want)
  other = _brute(
    probes, candidates, truth, NOISE if scale is None else np.eye(3)
  )
  assert (want != other).any()


def test_noise_moves_the_ranks_up_from_certainty():
  _, candidates = _vectors(1, 200, 3)
  truth = np.arange(200)
  rng = np.random.default_rng(1)
  means = []
  for sigma in (1e-3, 0.3, 100):
    e = rng.standard_normal(candidates.shape)
    found = ranking.linkage(
      candidates + sigma * e, candidates, truth, sigma * np.eye(3)
    )
    means.append(found.mean() / 200)
  assert means[0] == 1 / 200
  assert 0.02 < means[1] < 0.2
  assert means[2] == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize('d', [3, 40])
def test_a_probe_equal_to_its_candidate_comes_first(d):
  # Far from the origin and close together: a Gram matrix would see noise, and
  # so would float32 without the offset taken off first.
  rng = np.random.default_rng(2)
  candidates = 1e5 + 1e-4 * rng.standard_normal((300, d))
  truth = rng.permutation(300)
  found = ranking.linkage(candidates[truth], candidates, truth, block=64)
  np.testing.assert_array_equal(found, 1)
  whole = candidates.astype(np.float32)
  gram = (whole**2).sum(1)[:, None] + (whole**2).sum(1) - 2 * whole @ whole.T
  assert (ranking.from_scores(-gram, np.arange(300)) > 1).any()


@pytest.mark.parametrize('size', [1e-30, 1e30])
def test_the_unit_does_not_matter_without_noise(size):
  probes, candidates = _vectors(20, 30, 3)
  truth = np.arange(20)
  np.testing.assert_array_equal(
    ranking.linkage(probes * size, candidates * size, truth),
    ranking.linkage(probes, candidates, truth),
  )
  np.testing.assert_array_equal(
    ranking.nearest(probes * size, candidates * size, np.arange(30)),
    ranking.nearest(probes, candidates, np.arange(30)),
  )


@pytest.mark.parametrize('scale', [None, NOISE], ids=['plain', 'noise'])
def test_duplicated_candidates_tie(scale):
  # 61 distinct, each three times, in no order, one written with -0.
  probes, distinct = _vectors(50, 61, 3)
  distinct[0] = 0
  order = np.random.default_rng(3).permutation(183) % 61
  candidates = distinct[order]
  candidates[np.flatnonzero(order == 0)[1]] = -0.0
  once = ranking.linkage(probes, distinct, np.arange(50), scale)
  where = np.array([np.flatnonzero(order == i) for i in range(50)])
  for column in where.T:
    # Those closer count thrice, and two others tie.
    np.testing.assert_array_equal(
      ranking.linkage(probes, candidates, column, scale), 3 * (once - 1) + 2
    )


def test_equal_candidates_tie_however_the_whitening_rounds(monkeypatch):
  scaled, rng = ranking._scaled, np.random.default_rng(9)

  def rough(*arguments):
    x, y = scaled(*arguments)
    return x, y * (1 + 1e-6 * rng.standard_normal(y.shape, np.float32))

  monkeypatch.setattr(ranking, '_scaled', rough)
  probes, distinct = _vectors(20, 30, 3)
  found = [
    ranking.linkage(probes, np.repeat(distinct, 3, axis=0), first, NOISE)
    for first in (np.arange(0, 60, 3), np.arange(2, 60, 3))
  ]
  np.testing.assert_array_equal(*found)
  np.testing.assert_array_equal(found[0] % 3, 2)


def test_small_values_keep_their_digits_beside_a_large_one():
  candidates = np.array([[0], [1e-9], [2e-9], [3e-9], [1]], np.float32)
  found = ranking.linkage(candidates, candidates, np.arange(5))
  np.testing.assert_array_equal(found, 1)


def test_equal_distances_tie_on_a_grid():
  # About 3, 4 and 2 are as far, and 9 and -3; whole numbers in an odd range.
  candidates = np.array([[4.0], [2.0], [9.0], [-3.0], [101.0]])
  probes = np.full((5, 1), 3.0)
  found = ranking.linkage(probes, candidates, np.arange(5))
  np.testing.assert_array_equal(found, [1.5, 1.5, 3.5, 3.5, 5])


def _log_likelihoods(probes, gallery, label, k, scale):
  """In float64, by loops."""
  out = np.full((len(probes), k), -np.inf)
  for i, x in enumerate(probes.astype(np.float64)):
    e = np.linalg.solve(scale, (gallery.astype(np.float64) - x).T)
    log = -0.5 * np.square(e).sum(axis=0)
    for c in np.unique(label):
      mine = log[label == c]
      out[i, c] = scipy.special.logsumexp(mine) - np.log(len(mine))
  return out


@pytest.mark.parametrize('scale', [0.4, NOISE], ids=['kernel', 'noise'])
def test_class_form_is_a_mean_of_densities(scale):
  probes, gallery = _vectors(30, 41, 3)
  # Unequal classes out of order; 2 has no member.
  label = np.random.default_rng(4).choice(
    [0, 1, 3, 4], 41, p=[0.6, 0.2, 0.1, 0.1]
  )
  assert len(set(np.bincount(label)[[0, 1, 3, 4]])) > 2
  found = ranking.class_form(probes, gallery, label, 6, scale, block=16)
  matrix = scale if np.ndim(scale) else scale * np.eye(3)
  want = _log_likelihoods(probes, gallery, label, 6, matrix)
  assert found.shape == (30, 6)
  np.testing.assert_array_equal(np.isneginf(found), np.isneginf(want))
  np.testing.assert_array_equal(np.isneginf(found[:, [2, 5]]), True)
  np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-4)


def test_log_likelihoods_do_not_underflow():
  # Classes on a line at 1,000, 1,001, ... sigma, and the other side.
  gallery = np.array([[1000.0], [1001], [-1500], [1002], [1000]])
  label = np.array([0, 1, 2, 1, 3])
  found = ranking.class_form(np.zeros((1, 1)), gallery, label, 4, 1.0)
  want = _log_likelihoods(np.zeros((1, 1)), gallery, label, 4, np.eye(1))
  assert np.isfinite(found).all()
  np.testing.assert_allclose(found, want, rtol=1e-6)
  assert ranking.from_scores(found, np.array([1])) == 3


def test_random_features_are_at_chance():
  rng = np.random.default_rng(5)
  k, n = 10, 2000
  gallery, label = rng.standard_normal((1000, 4)), rng.integers(0, k, 1000)
  scores = ranking.class_form(
    rng.standard_normal((n, 4)), gallery, label, k, ranking.bandwidth(gallery)
  )
  rank = ranking.from_scores(scores, rng.integers(0, k, n))
  figures = ranking.summarise(rank, k, np.arange(n) // 5)
  by_chance = {
    'mean_rank': (k + 1) / (2 * k),
    'log_rank': math.lgamma(k + 1) / (k * math.log(k)),
    'top1': 1 / k,
  }
  for name, figure in figures.items():
    assert figure['low'] <= by_chance[name] <= figure['high'], name
    assert figure['high'] - figure['low'] < 0.05, name


def test_random_features_cannot_be_linked():
  probes, candidates = _vectors(600, 600, 4, seed=6)
  rank = ranking.linkage(probes, candidates, np.arange(600), np.eye(4))
  figure = ranking.summarise(rank, 600, np.arange(600))['mean_rank']
  assert figure['low'] <= 0.5 <= figure['high']
  assert figure['high'] - figure['low'] < 0.06


def test_a_planted_identity_is_found():
  rng = np.random.default_rng(7)
  k = 20
  centres = 10 * rng.standard_normal((k, 4))
  label, truth = np.arange(100) % k, rng.integers(0, k, 300)
  gallery = centres[label] + rng.standard_normal((100, 4))
  probes = centres[truth] + rng.standard_normal((300, 4))
  scores = ranking.class_form(probes, gallery, label, k, 1.0)
  figures = ranking.summarise(
    ranking.from_scores(scores, truth), k, np.arange(300)
  )
  assert 0.999 / k < figures['mean_rank']['value'] < 1.1 / k
  assert figures['log_rank']['value'] < 0.03
  assert figures['top1']['low'] > 0.9
  assert (ranking.nearest(probes, gallery, label) == truth).mean() > 0.9


def test_nearest_is_the_first_of_the_nearest():
  probes, gallery = _vectors(50, 33, 5)
  # All twice, the second time with another label.
  twice, label = np.concatenate([gallery, gallery]), np.arange(66) * 10
  squared = np.square(probes[:, None] - gallery).sum(axis=-1)
  found = ranking.nearest(probes, twice, label, block=16)
  np.testing.assert_array_equal(found, 10 * squared.argmin(axis=1))
  assert len(set(found)) > 10


@pytest.mark.parametrize('block', [1, 7, 100])
def test_the_block_does_not_matter(block):
  probes, candidates = _vectors(33, 37, 20)
  truth, label = np.arange(33), np.arange(37) % 5
  for call in (
    lambda **b: ranking.linkage(probes, candidates, truth, **b),
    lambda **b: ranking.nearest(probes, candidates, label, **b),
  ):
    np.testing.assert_array_equal(call(block=block), call())
  np.testing.assert_allclose(
    ranking.class_form(probes, candidates, label, 5, 0.5, block=block),
    ranking.class_form(probes, candidates, label, 5, 0.5),
    rtol=1e-5,
  )


def test_scotts_rule():
  # Variances 2 and 8 with one degree of freedom less: the mean is 5.
  gallery = np.array([[0.0, 3.0], [2.0, 7.0]], np.float32) + 100
  assert ranking.bandwidth(gallery) == pytest.approx(5**0.5 * 2 ** (-1 / 6))
  x = np.random.default_rng(8).standard_normal((50, 1))
  kernel = scipy.stats.gaussian_kde(x.T)  # Its default is Scott's rule.
  want = math.sqrt(kernel.covariance.item())
  assert ranking.bandwidth(x) == pytest.approx(want)
  assert ranking.bandwidth(np.ones((4, 2), np.float32)) == 0


def test_figures_by_hand():
  figures = ranking.summarise(
    np.array([1, 1, 4, 1.5]), 4, np.array([3, 3, 8, 8])
  )
  # The groups alone give the ends: 1 and 1, against 4 and 1.5.
  log = math.log(4 * 1.5) / math.log(4)
  want = {
    'mean_rank': (7.5 / 16, 2 / 8, 5.5 / 8),
    'log_rank': (log / 4, 0, log / 2),
    'top1': (0.5, 0, 1),
  }
  assert set(figures) == set(want)
  for name, ends in want.items():
    expected = dict(zip(('value', 'low', 'high'), ends, strict=True))
    assert figures[name] == pytest.approx(expected), name


@pytest.mark.parametrize(
  ('rank', 'candidates'), [([1, 5], 4), ([0.5, 1], 4), ([1, 1], 1)]
)
def test_figures_of_impossible_ranks(rank, candidates):
  with pytest.raises(errors.UserError, match='ranks'):
    ranking.summarise(np.array(rank), candidates, np.arange(2))


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_vectors_are_finite(value):
  # NaN compares as the nearest of all.
  x, y = _vectors(4, 4, 2)
  x[1, 1] = value
  zero = np.zeros(4, int)
  with np.errstate(invalid='ignore'):
    for pair in ((x, y), (y, x)):
      for call in (
        lambda a, b: ranking.linkage(a, b, zero),
        lambda a, b: ranking.linkage(a, b, zero, np.eye(2)),
        lambda a, b: ranking.nearest(a, b, zero),
        lambda a, b: ranking.class_form(a, b, zero, 1, 1.0),
      ):
        with pytest.raises(errors.UserError, match='within'):
          call(*pair)


@pytest.mark.parametrize('scale', [0.0, np.diag([1.0, 0.0]), 1e-30])
def test_a_scale_is_not_nothing(scale):
  x, y = _vectors(4, 4, 2)
  with pytest.raises(errors.UserError, match='scale'):
    ranking.class_form(x, y, np.zeros(4, int), 1, scale)


@pytest.mark.parametrize('d', [8, 40])
@pytest.mark.parametrize('name', ['_count_closer', '_by_class', '_nearest'])
def test_memory_stays_flat(monkeypatch, name, d):
  """At 20,000 times 20,000, compiled and not run."""
  program, used = getattr(ranking, name), []

  class Compiled(Exception):
    pass

  def measured(*arguments):
    compiled = program.lower(*arguments).compile()
    used.append(compiled.memory_analysis().temp_size_in_bytes)
    raise Compiled

  n = 20_000
  x, y = _vectors(n, n, d)
  label = np.arange(n) % 50
  call = {
    '_count_closer': lambda **b: ranking.linkage(x, y, np.arange(n), **b),
    '_by_class': lambda **b: ranking.class_form(x, y, label, 50, 1.0, **b),
    '_nearest': lambda **b: ranking.nearest(x, y, label, **b),
  }[name]
  monkeypatch.setattr(ranking, name, measured)
  for block in ({}, {'block': n}):
    with pytest.raises(Compiled):
      call(**block)
  assert used[0] < 200e6
  if d == 40:  # So that it is seen; of 8 the compiler keeps nothing itself.
    assert used[1] >= 4 * n * n
