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
    assert found[name] >= accuracy - 0.01
  assert bits - 0.01 <= found['bits'] <= bits + 0.5
  # Nor are they idle.
  assert min(found[name] for name in bayes_ceiling.BOUNDS) < accuracy + 0.25


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
    assert found[name] >= best.mean() - error
  entropy = scipy.stats.entropy(law.shares, base=2)
  bits = entropy - scipy.stats.entropy(post, base=2, axis=1).mean()
  assert found['bits'] >= bits - 0.02


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
  found = bayes_ceiling.measure(law.population(400, seed), releases)
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
      assert found[name] >= best.mean() - 4 * best.std() / 400**0.5 / 6
    assert best.mean() > 0.3


def test_measure_names_the_least_and_looks_upwards():
  population = _law(5, 2, 6, 2).population(480, 5)
  found = bayes_ceiling.measure(population, 2)
  each = found['by_bound']
  assert tuple(each) == bayes_ceiling.BOUNDS
  plain = bayes_ceiling.bounds(population, 2)
  for name, figures in each.items():
    assert figures['value'] == pytest.approx(plain[name])
    assert figures['value'] <= figures['high'] <= 1
  assert found['value'] == min(figures['value'] for figures in each.values())
  assert each[found['bound']]['value'] == found['value']
  assert found['value'] < found['high'] < 1
  assert found['bits'] == pytest.approx(plain['bits'])


# Populations of recordings whose best attacker's accuracy is known. A recording
# is drawn as one: all its windows, with its labels.


def _tight(rng):
  """Each recording is one cell; three people, one of which it belongs to.

  The release tells the cell, and in a cell the people have 0.5, 0.3 and 0.2.
  """
  cell = rng.integers(0, 3)
  who = (cell + rng.choice(3, p=[0.5, 0.3, 0.2])) % 3
  return np.full((4, 1), 50.0 * cell), np.full(4, who)


def _rare(rng):
  """One recording in twenty has a vector that names its person."""
  who = rng.integers(0, 4)
  rare = rng.uniform() < 0.05
  return np.full((3, 1), 50.0 * (who + 1) * rare), np.full(3, who)


def _heavy(rng):
  """Student's t with 1.5 degrees of freedom, rounded to apart cells."""
  where = np.clip(np.round(rng.standard_t(1.5)), -9, 9)
  who = rng.integers(0, 2) if abs(where) < 2 else int(where > 0)
  return np.full((2, 1), 50.0 * where), np.full(2, who)


def _mixed(rng):
  """Labels vary within a recording: two windows of two people each."""
  cell = rng.integers(0, 2, 4)
  who = np.where(rng.uniform(size=4) < 0.6, cell, 1 - cell)
  return 50.0 * cell[:, None], who


def _heavy_truth():
  each = scipy.stats.t(1.5)
  inner = each.cdf(1.5) - each.cdf(-1.5)
  return 0.5 * inner + (1 - inner)


LAWS = {
  'tight': (_tight, 0.5),
  'rare': (_rare, 0.95 * 0.25 + 0.05),
  'heavy': (_heavy, _heavy_truth()),
  'mixed': (_mixed, 0.6),
}


@pytest.mark.parametrize('count', [3, 10, 30])
@pytest.mark.parametrize('name', LAWS)
def test_the_ceiling_covers_the_truth(name, count):
  """The upper end is below Bayes' accuracy in at most 2.5 % of draws."""
  draw, accuracy = LAWS[name]
  rng = np.random.default_rng(count)
  draws, misses, values = 200, 0, []
  for _ in range(draws):
    recordings = [draw(rng) for _ in range(count)]
    released = np.concatenate([p for p, _ in recordings])
    sizes = [len(p) for p, _ in recordings]
    figures = bayes_ceiling.measure(
      bayes_ceiling.Population(
        released,
        np.zeros(len(released), int),
        np.concatenate([who for _, who in recordings]),
        np.repeat(np.arange(count), sizes),
        bayes_ceiling.distinct(released),
      )
    )
    misses += figures['high'] < accuracy
    values.append(figures['value'])
  assert misses <= scipy.stats.binom.ppf(0.999, draws, 0.025)
  # On average the estimate itself is not below the truth.
  assert np.mean(values) >= accuracy - 4 * np.std(values) / np.sqrt(draws)


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
  found = bayes_ceiling.measure(population)
  assert found['value'] == pytest.approx(3 / 5)
  assert found['bound'] == 'cells'
  assert not population.take(np.arange(3)).noisy
