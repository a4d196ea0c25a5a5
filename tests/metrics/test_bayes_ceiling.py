import dataclasses

import numpy as np
import pytest
import scipy.stats

from hybrid_jax.metrics import bayes_ceiling


def _population(released, sensitive, primary=None, cell=None, recording=None):
  n = len(released)
  zeros = np.zeros(n, int)
  return bayes_ceiling.Population(
    np.asarray(released, float).reshape(n, -1),
    zeros if primary is None else np.asarray(primary),
    np.asarray(sensitive),
    np.arange(n) if recording is None else np.asarray(recording),
    zeros if cell is None else np.asarray(cell),
  )


def _random(n=90, people=3, d=2, seed=0):
  rng = np.random.default_rng(seed)
  who = np.arange(n) % people
  released = 0.8 * rng.standard_normal((people, d))[who]
  released += 0.5 * rng.standard_normal((n, d))
  return _population(
    released,
    who,
    rng.integers(0, 2, n),
    rng.integers(0, 2, n),
    np.arange(n) // 6,
  )


# Class 0 has variance 3 along one axis, det(I + Cov) = 4, 1 bit; class 1 has
# 15 and 3, det = 16 * 4, 3 bits; two examples of six are of class 0.
CORNERS = np.array([[3, 0], [-3, 0], [15, 3], [15, -3], [-15, 3], [-15, -3]])
CORNERS = np.sign(CORNERS) * np.sqrt(np.abs(CORNERS))
CLASSES = np.array([0, 0, 1, 1, 1, 1])


def test_gaussian_bits_by_hand():
  found = bayes_ceiling.gaussian_bits(CORNERS + 50, CLASSES)
  assert found == pytest.approx((2 * 1 + 4 * 3) / 6, abs=1e-9)
  # Five releases: 1 + 15 = 16; (1 + 75) * (1 + 15).
  found = bayes_ceiling.gaussian_bits(CORNERS, CLASSES, releases=5)
  want = (2 * 0.5 * np.log2(16) + 4 * 0.5 * np.log2(76 * 16)) / 6
  assert found == pytest.approx(want, abs=1e-9)


@pytest.mark.parametrize('releases', [1, 3, 16])
def test_a_gaussian_attains_the_bits(releases):
  """I(p; p + e) of a Gaussian p: by its covariance's eigenvalues."""
  rng = np.random.default_rng(1)
  p = rng.standard_normal((200, 3)) @ rng.standard_normal((3, 3)) + 7
  primary = np.arange(200) % 4 // 3
  want = 0.0
  for y in (0, 1):
    values = np.linalg.eigvalsh(np.cov(p[primary == y].T, bias=True))
    mine = 0.5 * np.log2(1 + releases * values).sum()
    want += mine * (primary == y).mean()
  found = bayes_ceiling.gaussian_bits(p, primary, releases)
  assert found == pytest.approx(want, rel=1e-9)


def test_equal_vectors_are_guessed_by_share():
  who = np.array([0] * 5 + [1] * 3 + [2] * 2)
  found = bayes_ceiling.bounds(_population(np.full(10, 4.0), who), releases=9)
  for name in ('people', 'cells'):
    assert found[name] == pytest.approx(0.5, abs=1e-6)
  assert found['bits'] == 0
  assert 0.5 <= found['fano'] < 1
  # For equal shares Fano's inequality gives the same.
  found = bayes_ceiling.bounds(_population(np.full(8, 4.0), np.arange(8) % 4))
  for name in bayes_ceiling.BOUNDS:
    assert found[name] == pytest.approx(0.25, abs=1e-5)


def test_people_far_apart_are_always_found():
  who = np.arange(20) % 4
  apart = np.eye(4)[who] * 1e3
  for cell in (np.zeros(20, int), who):
    found = bayes_ceiling.bounds(_population(apart, who, cell=cell))
    for name in bayes_ceiling.BOUNDS:
      assert found[name] == 1
    assert found['bits'] == pytest.approx(2)


def _brute_people(p, who):
  """The bound by a loop over pairs, an input with itself among them."""
  q = p - p.mean(axis=0)
  total, shares = 0.0, []
  for s in np.unique(who):
    rows = np.flatnonzero(who == s)
    shares.append(len(rows) / len(who))
    terms = [np.exp(q[i] @ q[j]) for i in rows for j in rows]
    total += shares[-1] ** 2 * max(np.mean(terms) - 1, 0)
  return min(max(shares) + np.sqrt(total), 1)


@pytest.mark.parametrize('seed', [0, 1])
def test_the_density_bound_equals_a_loop_over_pairs(seed):
  people = _random(seed=seed)
  rows = np.random.default_rng(seed).choice(90, 70, replace=False)
  people = people.take(rows)
  member = np.eye(3)[people.sensitive]
  bound = bayes_ceiling.Block(people.released, member).density_bound()
  expected = _brute_people(people.released, people.sensitive)
  assert 0.4 < expected < 1
  assert bound == pytest.approx(expected, rel=1e-9)


def test_the_density_bound_sees_a_far_input():
  who = np.repeat(np.arange(10), 8)
  p = np.zeros((80, 10))
  p[::8] = 8 * np.eye(10)  # One of eight of each, apart from all others.
  block = bayes_ceiling.Block(p, np.eye(10)[who])
  # An eighth of the inputs identify their person.
  assert block.density_bound() == 1 == _brute_people(p, who)


@pytest.mark.parametrize(('mean', 'spread'), [(0.5, 0.5), (0.5, 0.3)])
def test_the_density_bound_of_gaussians_in_closed_form(mean, spread):
  """`E exp(q q') = exp(m^2 / (1 - t^2)) / sqrt(1 - t^4)`, q, q' ~ N(m, t^2)."""
  grid = scipy.stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
  p = np.concatenate([mean + spread * grid, -mean + spread * grid])
  who = np.repeat([0, 1], 2000)
  chi2 = np.exp(mean**2 / (1 - spread**2)) / np.sqrt(1 - spread**4) - 1
  found = bayes_ceiling.bounds(_population(p, who))['people']
  want = min(0.5 + np.sqrt(2 * 0.25 * chi2), 1.0)
  assert want < 1
  assert found == pytest.approx(want, abs=3e-3)


# Class 0: two cells of three, in each of which two agree; class 1: one cell,
# of the same number as one of those, and all of one person.
TABLE = {
  'primary': np.array([0, 0, 0, 0, 0, 0, 1, 1]),
  'cell': np.array([5, 5, 5, 9, 9, 9, 5, 5]),
  'sensitive': np.array([3, 3, 4, 4, 4, 7, 7, 7]),
}


@pytest.mark.parametrize('releases', [1, 2])
def test_the_bound_of_cells_alone_is_that_of_all_bounds(releases):
  population = _random(seed=5)
  # Cells whose numbers have gaps.
  population = dataclasses.replace(population, cell=7 * population.cell - 3)
  alone = bayes_ceiling.cells_bound(population, releases)
  assert alone == bayes_ceiling.bounds(population, releases)['cells']
  assert alone < 1


def test_noiseless_by_hand():
  found = bayes_ceiling.noiseless_bounds(**TABLE)
  assert found['cells'] == pytest.approx(6 / 8)
  # H(s | y) less H(s | y, cell), of six examples of eight.
  before = scipy.stats.entropy([2, 3, 1], base=2)
  within = scipy.stats.entropy([2, 1], base=2)
  assert found['bits'] == pytest.approx(6 / 8 * (before - within))
  assert found['fano'] == found['people'] == 1


def test_cells_and_distinct_by_hand():
  centres = np.array([[0.0, 0], [10, 0]])
  points = np.array(
    [[0.5, 0], [0, 2], [0, 6], [11, 0], [10, 4], [6, 0], [0, 1]]
  )
  np.testing.assert_array_equal(
    bayes_ceiling.cells(points, centres), [0, 0, 0, 1, 1, 1, 0]
  )
  # Within 1, between 1 and 4.5, beyond: two more cells each.
  np.testing.assert_array_equal(
    bayes_ceiling.cells(points, centres, (1.25, 4.5)), [0, 2, 4, 1, 3, 3, 0]
  )
  rows = np.array([[1.0, 2], [1, 3], [1, 2], [0, 9]])
  found = bayes_ceiling.distinct(rows)
  assert found.shape == (4,)
  assert found[0] == found[2]
  assert len(set(found)) == 3


def test_the_bits_of_proportional_columns_far_apart():
  """A determinant in doubles gives 0 bits here."""
  rng = np.random.default_rng(0)
  column = 1e9 * rng.standard_normal(60)
  released = np.stack([column, 2 * column], axis=1)
  bits = bayes_ceiling.gaussian_bits(released, np.zeros(60, int))
  variance = 5 * column.var()
  assert bits == pytest.approx(0.5 * np.log2(1 + variance), rel=1e-6)
  population = _population(released, np.arange(60) % 3)
  assert bayes_ceiling.measure(population)['value'] == 1


def test_the_confidence_margin_by_hand():
  # Shares 1/2, 1/4, 1/4: the sum of squares is 3/8.
  margin = bayes_ceiling.confidence_margin(np.array([7, 7, 3, 9]))
  assert margin == pytest.approx(np.sqrt(np.log(40) / 2 * 3 / 8))
  assert bayes_ceiling.confidence_margin(np.zeros(5)) > 1


def test_a_stream_by_hand():
  # One class, two people, variance 3 along one axis: 1 bit a window.
  p = np.sqrt(3) * np.array([[1.0, 0], [-1, 0]] * 50)
  who = np.arange(100) // 2 % 2
  curve = bayes_ceiling.stream(_population(p, who), (1, 2), 20)
  assert curve[1]['value'] == 1  # one bit tells two people apart
  # A tenth of a bit: Fano's inequality with H = 1.
  p *= np.sqrt((2**0.2 - 1) / 3)
  curve = bayes_ceiling.stream(_population(p, who), (1, 4, 16), 200)
  assert curve[1]['value'] == pytest.approx(
    float(bayes_ceiling.fano(0.1, 1.0, 2)), abs=1e-6
  )
  assert curve[4]['value'] == pytest.approx(
    float(bayes_ceiling.fano(0.4, 1.0, 2)), abs=1e-6
  )
  assert curve[16] == {'value': 1, 'high': 1}
  for figures in curve.values():
    assert figures['value'] <= figures['high']
  high = curve[4]['high']
  assert bayes_ceiling.budget(curve, high) == 4
  assert bayes_ceiling.budget(curve, high - 1e-9) == 1
  assert bayes_ceiling.budget(curve, 0.5) == 0


@pytest.mark.parametrize('count', [2, 8])
def test_the_best_attacker_on_a_stream_stays_below_it(count):
  """Bayes' decisions on k windows of one person, whose law is known."""
  rng = np.random.default_rng(count)
  means, spread = 0.35 * rng.standard_normal((4, 2)), 0.3
  who = rng.integers(0, 4, 4000)
  p = means[who] + spread * rng.standard_normal((4000, 2))
  curve = bayes_ceiling.stream(_population(p, who), (count,), 2)
  stream_of = rng.integers(0, 4, 4000)
  shape = (4000, count, 2)
  windows = means[stream_of][:, None] + np.sqrt(
    spread**2 + 1
  ) * rng.standard_normal(shape)
  squared = np.square(windows[:, :, None] - means).sum(axis=(1, 3))
  accuracy = (squared.argmin(axis=1) == stream_of).mean()
  assert 0.4 < accuracy <= curve[count]['value']
  assert curve[count]['value'] < 1


def test_a_stream_without_noise():
  zeros = np.zeros(12)
  varied = _population(np.arange(12.0), np.arange(12) % 3)
  constant = _population(zeros, np.arange(12) % 3)
  for population, expected in ((varied, 1), (constant, 1 / 3)):
    noiseless = dataclasses.replace(
      population,
      noisy=False,
      cell=bayes_ceiling.distinct(population.released),
    )
    curve = bayes_ceiling.stream(noiseless, (1, 64))
    assert curve[64]['value'] == pytest.approx(expected, abs=1e-4)
