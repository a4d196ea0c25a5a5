"""Extra trees on noisy copies; often the best attack on short vectors."""

from collections.abc import Iterator

import ml_collections
import numpy as np
import sklearn.ensemble

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset

OPTIONS = {
  'count': plugins.Option(80, 'Trees in a forest.', low=1),
  'leaves': plugins.Option(
    (1, 2),
    'Smallest leaf sizes to try.',
    unit='examples',
    low=1,
    filled=True,
  ),
}


def attack(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> Iterator[adversary.Attack]:
  """Yields one attack for each leaf size and label, on standardised vectors.

  Args:
    problem: the attack problem.
    config: see `OPTIONS`; and `noise_copies`, the number of noisy copies of
      each training vector.
    seed: for the forest and the noise of the copies.
  """
  copies = problem.copies(dataset.TRAIN, config.noise_copies, 200 + seed)
  view = problem.views['standardised']
  x = view(copies.reshape(-1, copies.shape[-1]))
  train = problem.rows(dataset.TRAIN)
  for attribute, labels in problem.sensitive.items():
    y = np.tile(labels[train], len(copies))
    for leaf in config.leaves:
      name = f'extra trees, leaf {leaf}'
      if not problem.wants(name, attribute):
        continue
      forest = sklearn.ensemble.ExtraTreesClassifier(
        config.count,
        min_samples_leaf=leaf * len(copies),
        n_jobs=1,
        random_state=seed,
      ).fit(x, y)
      log_shares = {
        fold: _log_shares(forest, view(released), int(labels.max()) + 1)
        for fold, released in problem.evaluation_draws.items()
      }
      yield adversary.Attack(
        name,
        attribute,
        log_shares[dataset.VALIDATION],
        log_shares[dataset.TEST],
      )


def _log_shares(forest, x, classes):
  """Log-shares `[draws, n, classes]` of the trees' votes on `x [draws, n, d]`.

  Classes without training examples get the lowest share.
  """
  shares = np.zeros((*x.shape[:2], classes))
  predicted = forest.predict_proba(x.reshape(-1, x.shape[-1]))
  shares[..., forest.classes_] = predicted.reshape(*x.shape[:2], -1)
  return np.log(shares + 1e-3)
