"""Certified upper bound on the accuracy of any attacker on each label."""

import itertools

import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset
from hybrid_jax.metrics import bayes_ceiling, distances

OPTIONS = {
  'releases': plugins.Option(
    (1, 4, 16, 64), 'Numbers of releases of one input.', low=1
  ),
  'windows': plugins.Option(
    (1, 2, 4, 8, 16, 32, 64), 'Numbers of windows of one person.', low=1
  ),
  'stream_limit': plugins.Option(
    0.5,
    'Largest ceiling for a stream of windows; the budget of windows keeps it.',
    low=0.0,
    high=1.0,
  ),
  'resamples': plugins.Option(
    400, "Bootstrap resamples for the stream's interval.", low=1
  ),
}

# Candidate radii: quantiles of the distances to the nearest centre.
_QUANTILES = (0.5, 0.7, 0.8, 0.9, 0.98)


def measure(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> dict[str, dict]:
  """Computes the ceiling on the test fold, for one release and for several.

  A cell is the set of vectors that are nearest to the mean of one primary class
  of the training fold, divided by up to two radii around it. The radii are
  chosen on validation. Without noise each distinct vector is a cell.

  Args:
    problem: the attack problem.
    config: `measures.ceiling`: `releases`, the numbers of releases of one
      input; `windows`, the numbers of windows of one person, `stream_limit`
      and `resamples` of the bootstrap for them.
    seed: not used, since nothing is random.

  Returns:
    For each sensitive label the figures of `bayes_ceiling.measure` for one
    release, and `by_releases`: a dict from each number of releases, written as
    a string, to a dict of `value` and `high`. There a bound is lowered to those
    for more releases, which hold for fewer too. And `stream`: `by_windows`, the
    same for windows of one person; `limit`; and `budget`, the largest number of
    windows within the limit. And `by_class`, the same for the inputs of each
    primary class.
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
        curve[count] = curve[1]  # More releases add no information.
        continue
      population = bayes_ceiling.Population(
        released,
        problem.primary,
        labels,
        problem.recording,
        bayes_ceiling.distinct(released)
        if problem.noise_scale is None
        else _choose_cells(problem, released, centres, labels, count),
        noisy=problem.noise_scale is not None,
      )
      test = population.take(problem.rows(dataset.TEST))
      if count == 1:
        stream, by_class = _stream(test, settings), _by_class(test)
      curve[count] = bayes_ceiling.measure(test, count)
    out[attribute] = curve[1] | {
      'by_releases': _monotone(curve),
      'stream': stream,
      'by_class': by_class,
    }
  return out


def _by_class(population):
  """The `value` and `high` of each primary class alone."""
  out = {}
  for y in np.unique(population.primary):
    figures = bayes_ceiling.measure(population.take(population.primary == y))
    out[str(y)] = {name: figures[name] for name in ('value', 'high')}
  return out


def _stream(population, settings):
  windows = tuple(sorted({1, *settings.windows}))
  curve = bayes_ceiling.stream(population, windows, settings.resamples)
  return {
    'by_windows': {str(k): figures for k, figures in curve.items()},
    'limit': settings.stream_limit,
    'budget': bayes_ceiling.budget(curve, settings.stream_limit),
  }


def _monotone(curve):
  """Lowers each bound to those for more releases, which hold for fewer too."""
  out, value, high = {}, 1.0, 1.0
  for count, figures in sorted(curve.items(), reverse=True):
    value, high = min(value, figures['value']), min(high, figures['high'])
    out[str(count)] = {'value': value, 'high': high}
  return dict(reversed(out.items()))


def _in_units_of_noise(problem):
  clean = problem.clean.astype(np.float64)
  if problem.noise_scale is None:
    return clean
  scale = problem.noise_scale.astype(np.float64)
  return np.linalg.solve(scale, clean.T).T


def _choose_cells(problem, released, centres, labels, releases):
  """The cells `[n]` that give the lowest bound on validation."""
  rows = problem.rows(dataset.VALIDATION)
  squared = distances.squared(released[rows], centres)
  radii = np.quantile(np.sqrt(squared.min(axis=1)), _QUANTILES)
  options = [
    (),
    *itertools.combinations(radii, 1),
    *itertools.combinations(radii, 2),
  ]

  def score(option):
    population = bayes_ceiling.Population(
      released[rows],
      problem.primary[rows],
      labels[rows],
      problem.recording[rows],
      bayes_ceiling.cells(released[rows], centres, option),
    )
    return bayes_ceiling.cells_bound(population, releases)

  return bayes_ceiling.cells(released, centres, min(options, key=score))
