"""How much an attacker finds with only a part of the attacker's data."""

import dataclasses

import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.audit import leakage
from hybrid_jax.datasets import dataset

OPTIONS = {
  'shares': plugins.Option(
    (0.05, 0.1, 0.25, 0.5, 1.0),
    'Shares of the training fold that the attacker has.',
    above=0,
    high=1,
    filled=True,
  ),
  'adversaries': plugins.Option(
    ('kde', 'trees'),
    'Adversaries that attack.',
    plugin='adversary',
    filled=True,
  ),
}


def measure(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> dict[str, dict]:
  """Leakage against the share of the training fold that an attacker has.

  A share is the first part of every recording, as if it had been watched for
  less long; not windows here and there, which would nearly be the whole.

  Args:
    problem: what is attacked.
    config: `measures.attacker_data`: `shares`, and `adversaries`, who attacks.
    seed: of all attackers.

  Returns:
    For each sensitive label `by_share`, the share to its figures, each with
    `examples`.
  """
  settings = config.measures.attacker_data
  curves = {attribute: {} for attribute in problem.sensitive}
  for share in sorted(settings.shares):
    fold = first_part(problem.fold, problem.recording, share)
    part = dataclasses.replace(problem, fold=fold)
    found = leakage.quick(part, settings.adversaries, config, seed)
    for attribute, figures in found.items():
      curves[attribute][f'{share:g}'] = figures | {
        'examples': int(part.rows(dataset.TRAIN).sum())
      }
  return {name: {'by_share': curve} for name, curve in curves.items()}


def first_part(
  fold: np.ndarray, recording: np.ndarray, share: float
) -> np.ndarray:
  """`fold [n]`, with -1 for training examples beyond a recording's share.

  One example of each recording is kept at least.
  """
  out = fold.copy()
  for one in np.unique(recording):
    rows = np.flatnonzero((recording == one) & (fold == dataset.TRAIN))
    out[rows[max(1, round(share * len(rows))) :]] = -1
  return out
