"""One input released several times: what averaging the noise away reveals."""

import dataclasses

import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.audit import leakage

OPTIONS = {
  'counts': plugins.Option(
    (1, 2, 4, 8, 16, 32, 64),
    'Numbers of releases of one input that are averaged.',
    low=1,
    filled=True,
  ),
  'adversaries': plugins.Option(
    ('kde', 'trees'),
    'Adversaries that attack.',
    plugin='adversary',
    filled=True,
  ),
  'limit': plugins.Option(
    0.1,
    'Advantage over chance that should not be passed.',
    unit='share',
    low=0,
    high=1,
  ),
}


def measure(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> dict[str, dict] | None:
  """Leakage against k, where an attacker averages k releases of one input.

  The mean of k releases has all that they tell together, and noise of a kth of
  the variance.

  Args:
    problem: what is attacked.
    config: `measures.releases`: `counts`, the numbers k; `adversaries`, who
      attacks; `limit`, the advantage over chance that should not be passed.
    seed: of all attackers.

  Returns:
    For each sensitive label `by_count`, k to its figures, and `budget`, the
    most releases that stay within the limit: 0 if one passes it, `None` if none
    does. `None` for a release without noise, where one tells all.
  """
  if problem.noise_scale is None:
    return None
  settings = config.measures.releases
  curves = {attribute: {} for attribute in problem.sensitive}
  for count in sorted(settings.counts):
    averaged = dataclasses.replace(
      problem, noise_scale=problem.noise_scale / np.float32(np.sqrt(count))
    )
    found = leakage.quick(averaged, settings.adversaries, config, seed)
    for attribute, figures in found.items():
      curves[attribute][str(count)] = figures
  return {
    attribute: {
      'by_count': curve,
      'limit': settings.limit,
      'budget': budget(curve, settings.limit),
    }
    for attribute, curve in curves.items()
  }


def budget(curve: dict[str, dict], limit: float) -> int | None:
  """The most releases before the advantage first passes `limit`."""
  within = 0
  for count, figures in curve.items():
    if figures['advantage'] > limit:
      return within
    within = int(count)
  return None
