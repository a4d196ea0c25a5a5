"""Leakage to an attacker that has only a part of the training data."""

import dataclasses

import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset
from hybrid_jax.measures import leakage

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
    'Names of the adversaries.',
    plugin='adversary',
    filled=True,
  ),
}


def measure(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> dict[str, dict]:
  """Measures leakage against the attacker's share of the training fold.

  A share is the first part of every recording, as if it had been recorded for a
  shorter time. Windows drawn at random would be nearly as good as all of them,
  since windows of one recording are alike. The attackers do not learn again
  from validation, which is more than a small share.

  Args:
    problem: the attack problem.
    config: `measures.attacker_data`: `shares`, and `adversaries`, the names of
      the adversaries.
    seed: for all attackers.

  Returns:
    For each sensitive label `by_share`, the share to its figures with
    `examples`, the number of training examples.
  """
  settings = config.measures.attacker_data
  curves = {attribute: {} for attribute in problem.sensitive}
  # What attackers learn from is the training fold here, and no other window.
  learning = np.where(problem.fold == dataset.TRAIN, -1, problem.fold)
  learning[problem.rows(dataset.TRAIN)] = dataset.TRAIN
  for share in sorted(settings.shares):
    fold = first_part(learning, problem.recording, share)
    part = dataclasses.replace(problem, fold=fold)
    figures = leakage.measure_best(
      part, settings.adversaries, config, seed, again=False
    )
    for attribute, point in figures.items():
      curves[attribute][f'{share:g}'] = point | {
        'examples': int(part.rows(dataset.TRAIN).sum())
      }
  return {name: {'by_share': curve} for name, curve in curves.items()}


def first_part(
  fold: np.ndarray, recording: np.ndarray, share: float
) -> np.ndarray:
  """Takes training examples beyond a share of their recording out of the fold.

  Args:
    fold: `[n]`.
    recording: `[n]`.
    share: the share of each recording that stays, at least one example.

  Returns:
    `fold` with -1 for the examples that are taken out.
  """
  out = fold.copy()
  for value in np.unique(recording):
    rows = np.flatnonzero((recording == value) & (fold == dataset.TRAIN))
    out[rows[max(1, round(share * len(rows))) :]] = -1
  return out
