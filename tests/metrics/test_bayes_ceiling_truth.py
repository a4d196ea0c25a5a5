"""Bounds against the truth: populations whose law is known exactly."""

import dataclasses

import numpy as np
import pytest
import scipy.stats

from hybrid_jax.metrics import bayes_ceiling


@dataclasses.dataclass(frozen=True)
class Law:
  """Person s of class y sends N(means[y, s], spread^2 I) plus unit noise."""

  means: np.ndarray  # [classes, people, d]
  spread: float
  shares: np.ndarray  # [people], the same in every class

  def sample(self, n, seed):
    """`n` inputs of each class: released, primary, sensitive."""
    rng = np.random.default_rng(seed)
    classes, people, d = self.means.shape
    y = np.repeat(np.arange(classes), n)
    s = rng.choice(people, len(y), p=self.shares)
    noise = rng.standard_normal((len(y), d))
    return self.means[y, s] + self.spread * noise, y, s

  def posterior(self, mean, y, releases):
    """`[n, people]` given the mean of k releases, and the class."""
    variance = self.spread**2 + 1 / releases
    squared = np.square(mean[:, None] - self.means[y]).sum(axis=-1)
    log = np.log(self.shares) - squared / (2 * variance)
    joint = np.exp(log - log.max(axis=1, keepdims=True))
    return joint / joint.sum(axis=1, keepdims=True)

  def population(self, n, seed, radii=(1.0, 2.0)):
    released, y, s = self.sample(n, seed)
    cell = bayes_ceiling.cells(released, self.means.mean(axis=1), radii)
    return bayes_ceiling.Population(
      released, y, s, np.arange(len(y)) // 8, cell
    )


def _law(seed, classes, people, d, apart=1.0, spread=0.4, even=True):
  rng = np.random.default_rng(seed)
  means = apart * rng.standard_normal((classes, people, d))
  means += 4 * rng.standard_normal((classes, 1, d))
  shares = np.ones(people) if even else np.arange(1.0, people + 1)
  return Law(means, spread, shares / shares.sum())


def _integrated(law, releases):
  """Accuracy and bits of one class in one dimension, by a fine grid."""
  sd = np.sqrt(law.spread**2 + 1 / releases)
  mean = law.means[0, :, 0]
  grid = np.linspace(mean.min() - 9 * sd, mean.max() + 9 * sd, 20001)
  joint = law.shares[:, None] * scipy.stats.norm.pdf(grid, mean[:, None], sd)
  total = joint.sum(axis=0)
  accuracy = np.trapezoid(joint.max(axis=0), grid)
  plogp = np.where(joint > 0, joint * np.log2(np.maximum(joint, 1e-300)), 0)
  left = plogp.sum(axis=0) - total * np.log2(np.maximum(total, 1e-300))
  left = -np.trapezoid(left, grid)  # H(s | r)
  return accuracy, scipy.stats.entropy(law.shares, base=2) - left


@pytest.mark.parametrize('releases', [1, 4])
@pytest.mark.parametrize('even', [True, False])
def test_no_bound_is_below_the_truth_in_one_dimension(releases, even):
  law = _law(3, 1, 4, 1, apart=0.5, spread=0.3, even=even)
  accuracy, bits = _integrated(law, releases)
  assert law.shares.max() + 0.05 < accuracy < 0.9
  found = bayes_ceiling.bounds(law.population(3000, 1), releases)
  for name in bayes_ceiling.BOUNDS:
    assert found[name][0] >= accuracy - 0.01
  assert bits - 0.01 <= found['bits'][0] <= bits + 0.5
  # Nor are they idle.
  assert min(found[name][0] for name in bayes_ceiling.BOUNDS) < accuracy + 0.25


@pytest.mark.parametrize('releases', [1, 4])
@pytest.mark.parametrize('seed', range(4))
def test_no_bound_is_below_the_truth_in_two_dimensions(releases, seed):
  law = _law(seed, 2, 5, 2, even=seed % 2 == 0)
  released, y, _ = law.sample(20000, 7)
  noise = np.random.default_rng(8).standard_normal(released.shape)
  seen = released + noise / np.sqrt(releases)
  post = law.posterior(seen, y, releases)
  best = post.max(axis=1)
  error = 4 * best.std() / np.sqrt(len(best))
  found = bayes_ceiling.bounds(law.population(1500, seed), releases)
  for name in bayes_ceiling.BOUNDS:
    assert found[name][0] >= best.mean() - error
  entropy = scipy.stats.entropy(law.shares, base=2)
  bits = entropy - scipy.stats.entropy(post, base=2, axis=1).mean()
  assert found['bits'][0] >= bits - 0.02


@pytest.mark.parametrize('seed', range(12))
def test_the_best_attacker_never_passes_the_value(seed):
  """Bayes' own decisions on fresh draws, of laws drawn at random."""
  rng = np.random.default_rng(seed)
  law = _law(
    100 + seed,
    classes=int(rng.integers(1, 4)),
    people=int(rng.integers(2, 9)),
    d=int(rng.integers(1, 5)),
    apart=rng.uniform(0.05, 1.2),
    spread=rng.uniform(0.1, 0.9),
    even=seed % 2 == 0,
  )
  releases = int(rng.choice([1, 2, 4]))
  found = bayes_ceiling.measure(law.population(400, seed), releases, 50)
  released, y, s = law.sample(4000, 50 + seed)
  noise = rng.standard_normal(released.shape)
  post = law.posterior(released + noise / np.sqrt(releases), y, releases)
  right = (post.argmax(axis=1) == s).mean()
  # The draws' error, and that of 400 examples of each class.
  assert right <= found['value'] + 3 * 0.5 / np.sqrt(len(s))
  assert right >= law.shares.max() - 3 * 0.5 / np.sqrt(len(s))


def test_every_bound_holds_for_these_very_examples():
  """An attacker who knows every vector of a handful of examples."""
  rng = np.random.default_rng(4)
  for _ in range(10):
    p = rng.uniform(0.3, 2) * rng.standard_normal((40, 2))
    who = rng.integers(0, 4, 40)
    zeros = np.zeros(40, int)
    found = bayes_ceiling.bounds(
      bayes_ceiling.Population(p, zeros, who, np.arange(40), zeros)
    )
    seen = p + rng.standard_normal((400, 40, 2))
    density = np.exp(-np.square(seen[..., None, :] - p).sum(axis=-1) / 2)
    best = (density @ np.eye(4)[who]).max(-1) / density.sum(-1)
    for name in bayes_ceiling.BOUNDS:
      assert found[name][0] >= best.mean() - 4 * best.std() / 400**0.5 / 6
    assert best.mean() > 0.3


def test_measure_names_the_least_and_looks_upwards():
  population = _law(5, 2, 6, 2).population(120, 5)
  found = bayes_ceiling.measure(population, 2, 200)
  each = found['by_bound']
  assert tuple(each) == bayes_ceiling.BOUNDS
  plain = bayes_ceiling.bounds(population, 2)
  for name, figures in each.items():
    assert figures['value'] == pytest.approx(plain[name][0])
    assert figures['value'] <= figures['high'] <= 1
  assert found['value'] == min(figures['value'] for figures in each.values())
  assert each[found['bound']]['value'] == found['value']
  assert found['value'] < found['high'] < 1
  assert found['bits'] == pytest.approx(plain['bits'][0])


def test_the_interval_is_that_of_a_loop_over_recordings():
  population = _law(6, 1, 4, 2).population(160, 6)
  rng = np.random.default_rng(1)
  rows = np.split(np.arange(160), 20)
  np.testing.assert_array_equal(population.recording[rows[3]], 3)
  values = [
    bayes_ceiling.bounds(
      population.take(np.concatenate([rows[i] for i in picked]))
    )['fano'][0]
    for picked in rng.integers(0, 20, (500, 20))
  ]
  found = bayes_ceiling.measure(population, 1, 1000)['by_bound']['fano']
  assert found['high'] == pytest.approx(np.percentile(values, 97.5), abs=0.01)
  assert found['high'] > found['value'] + 0.01


def test_one_recording_says_nothing_about_others():
  population = _law(7, 1, 3, 1).population(50, 7)
  one = dataclasses.replace(population, recording=np.zeros(50, int))
  found = bayes_ceiling.measure(one)
  assert found['high'] == 1
  assert found['value'] < 1
  assert all(figures['high'] == 1 for figures in found['by_bound'].values())


def test_without_noise_the_cells_alone_bound():
  # Two vectors: 2 of 3 of one and 1 of 2 of the other are found.
  released = np.array([[1.0], [1], [1], [5], [5]])
  population = bayes_ceiling.Population(
    released,
    np.zeros(5, int),
    np.array([0, 0, 1, 1, 2]),
    np.arange(5),
    bayes_ceiling.distinct(released),
    noisy=False,
  )
  found = bayes_ceiling.measure(population, 1, 50)
  assert found['value'] == pytest.approx(3 / 5)
  assert found['bound'] == 'cells'
  assert not population.take(np.arange(3)).noisy
