"""Leakage of several releases of one input, whose noise averages out."""

import dataclasses

import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.measures import leakage

OPTIONS = {
  'counts': plugins.Option(
    (1, 2, 4, 8, 16, 32, 64),
    'Numbers of releases of one input that are averaged.',
    low=1,
    filled=True,
  ),
  'adversaries': plugins.Option(
    ('kde', 'trees'),
    'Names of the adversaries.',
    plugin='adversary',
    filled=True,
  ),
  'limit': plugins.Option(
    0.1,
    'Largest acceptable advantage over chance.',
    unit='share',
    low=0,
    high=1,
  ),
}


def measure(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> dict[str, dict] | None:
  """Measures leakage against k, the number of releases of one input.

  The attacker averages the k releases. Their mean holds all information of
  them, and its noise has a kth of the variance.

  Args:
    problem: the attack problem.
    config: `measures.releases`: `counts`, the numbers k; `adversaries`, the
      names of the adversaries; `limit`, the largest acceptable advantage over
      chance.
    seed: for all attackers.

  Returns:
    For each sensitive label `by_count`, k to its figures; `limit`; and
    `budget`, the largest number of releases within the limit: 0 if one release
    exceeds it, `None` if no number does. `None` for a release without noise,
    of which one is as good as many.
  """
  if problem.noise_scale is None:
    return None
  settings = config.measures.releases
  curves = {attribute: {} for attribute in problem.sensitive}
  for count in sorted(settings.counts):
    averaged = dataclasses.replace(
      problem, noise_scale=problem.noise_scale / np.float32(np.sqrt(count))
    )
    figures = leakage.measure_best(averaged, settings.adversaries, config, seed)
    for attribute, point in figures.items():
      curves[attribute][str(count)] = point
  return {
    attribute: {
      'by_count': curve,
      'limit': settings.limit,
      'budget': budget(curve, settings.limit),
    }
    for attribute, curve in curves.items()
  }


def budget(curve: dict[str, dict], limit: float) -> int | None:
  """Returns the last count of the curve before the advantage exceeds `limit`.

  It is 0 if the first count exceeds the limit, and `None` if no count does.
  """
  within = 0
  for count, figures in curve.items():
    if figures['advantage'] > limit:
      return within
    within = int(count)
  return None
