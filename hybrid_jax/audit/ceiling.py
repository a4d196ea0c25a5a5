"""The certified ceiling of each sensitive label, that no attacker can pass."""

import itertools

import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset
from hybrid_jax.metrics import bayes_ceiling

OPTIONS = {
  'releases': plugins.Option(
    (1, 4, 16, 64), 'Numbers of releases of one input.', low=1
  ),
  'resamples': plugins.Option(
    400, "Resamples of the bootstrap behind the ceiling's interval.", low=1
  ),
}

# Of the validation examples' distances to their nearest centre.
_QUANTILES = (0.5, 0.7, 0.8, 0.9, 0.98)


def measure(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> dict[str, dict]:
  """`ceiling.measure` on the test fold, for one release and for several.

  What the examples of a cell have in common is chosen on validation: the
  nearest mean of a primary class of the training fold, and up to two radii
  around it.

  Args:
    problem: what is released.
    config: `measures.ceiling`: `releases`, the numbers of releases of one
      input, and `resamples` of the bootstrap.
    seed: not used; there is no chance in it.

  Returns:
    For each sensitive label the figures of `ceiling.measure` for one release,
    and `by_releases`, the number of releases to `value` and `high`. Without
    noise the ceiling is that of the distinct vectors themselves.
  """
  del seed
  settings = config.measures.ceiling
  released = _in_units_of_noise(problem)
  train = problem.rows(dataset.TRAIN)
  centres = np.stack(
    [
      released[train & (problem.primary == y)].mean(axis=0)
      for y in np.unique(problem.primary[train])
    ]
  )
  out = {}
  for attribute, labels in problem.sensitive.items():
    curve = {}
    for count in sorted({1, *settings.releases}):
      if problem.noise_scale is None and curve:
        curve[count] = curve[1]  # One release tells all there is.
        continue
      whole = bayes_ceiling.Population(
        released,
        problem.primary,
        labels,
        problem.recording,
        bayes_ceiling.distinct(released)
        if problem.noise_scale is None
        else _choose_cells(problem, released, centres, labels, count),
        noisy=problem.noise_scale is not None,
      )
      test = whole.take(problem.rows(dataset.TEST))
      curve[count] = bayes_ceiling.measure(test, count, settings.resamples)
    out[attribute] = curve[1] | {'by_releases': _monotone(curve)}
  return out


def _monotone(curve):
  """A bound for more releases holds for fewer, which tell less."""
  out, value, high = {}, 1.0, 1.0
  for count, found in sorted(curve.items(), reverse=True):
    value, high = min(value, found['value']), min(high, found['high'])
    out[str(count)] = {'value': value, 'high': high}
  return dict(reversed(out.items()))


def _in_units_of_noise(problem):
  clean = problem.clean.astype(np.float64)
  if problem.noise_scale is None:
    return clean
  scale = problem.noise_scale.astype(np.float64)
  return np.linalg.solve(scale, clean.T).T


def _choose_cells(problem, released, centres, labels, releases):
  held = problem.rows(dataset.VALIDATION)
  squared = np.square(released[held][:, None] - centres).sum(axis=-1)
  radii = np.quantile(np.sqrt(squared.min(axis=1)), _QUANTILES)
  options = [
    (),
    *itertools.combinations(radii, 1),
    *itertools.combinations(radii, 2),
  ]

  def score(option):
    found = bayes_ceiling.bounds(
      bayes_ceiling.Population(
        released[held],
        problem.primary[held],
        labels[held],
        problem.recording[held],
        bayes_ceiling.cells(released[held], centres, option),
      ),
      releases,
    )
    return found['cells'][0]

  return bayes_ceiling.cells(released, centres, min(options, key=score))
