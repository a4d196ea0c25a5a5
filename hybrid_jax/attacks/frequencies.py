"""Counts how often each class has each vector, where few vectors occur.

Answers are such vectors: the counts hold all that one window tells. Another
attacker can do better only by luck on the validation fold.
"""

from collections.abc import Iterator

import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset

OPTIONS = {
  'pseudo_counts': plugins.Option(
    (0.1, 1.0),
    'Added to the count of each vector in each class, to try.',
    above=0,
    filled=True,
  ),
}

_MOST = 256  # different vectors of the training fold


def attack(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> Iterator[adversary.Attack]:
  """Yields one attack for each label and pseudo-count.

  None is yielded for vectors with noise, or of more than 256 values. A vector
  that does not occur in training has the count 0 in each class.

  Args:
    problem: the attack problem.
    config: see `OPTIONS`.
    seed: not used, since nothing is random.
  """
  del seed
  train = problem.rows(dataset.TRAIN)
  if problem.noise_scale is not None:
    return
  known, row = np.unique(problem.clean[train], axis=0, return_inverse=True)
  if len(known) > _MOST:
    return
  index = {vector.tobytes(): i for i, vector in enumerate(known)}
  column = {
    fold: np.array(
      [index.get(v.tobytes(), len(known)) for v in x.reshape(-1, x.shape[-1])]
    ).reshape(x.shape[:2])
    for fold, x in problem.evaluation_draws.items()
  }
  for attribute, labels in problem.sensitive.items():
    counts = np.zeros((int(labels.max()) + 1, len(known) + 1))
    np.add.at(counts, (labels[train], row.ravel()), 1)
    for pseudo_count in config.pseudo_counts:
      name = f'frequencies, pseudo-count {pseudo_count:g}'
      if not problem.wants(name, attribute):
        continue
      log_probs = _log_probs(counts, pseudo_count)
      validation, test = (
        log_probs[column[fold]] for fold in (dataset.VALIDATION, dataset.TEST)
      )
      yield adversary.Attack(name, attribute, validation, test)


def _log_probs(counts, pseudo_count):
  """Log-probabilities `[values, k]` of a value and its class.

  Args:
    counts: `[k, values]`; the last value stands for all that do not occur in
      training.
    pseudo_count: is added to them.
  """
  share = counts.sum(axis=1, keepdims=True) / counts.sum()
  smooth = counts + pseudo_count
  smooth *= share / smooth.sum(axis=1, keepdims=True)
  return np.log(np.maximum(smooth.T, 1e-12)).astype(np.float32)
