"""Extra trees on noisy copies: different in kind, often best on few numbers."""

from collections.abc import Iterator

import ml_collections
import numpy as np
import sklearn.ensemble

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset

OPTIONS = {
  'count': plugins.Option(80, 'Trees of a forest.', low=1),
  'leaves': plugins.Option(
    (1, 2),
    'Least sizes of a leaf to try.',
    unit='examples',
    low=1,
    filled=True,
  ),
}


def attack(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> Iterator[adversary.Attack]:
  """One attack for each size of leaf and label, on standardised vectors.

  Args:
    problem: what is attacked.
    config: see `OPTIONS`; and `noise_copies`, how many noisy copies of each
      training vector to keep.
    seed: of the forest, and of the copies' noise.
  """
  copies = problem.copies(dataset.TRAIN, config.noise_copies, 200 + seed)
  view = problem.views['standardised']
  x = view(copies.reshape(-1, copies.shape[-1]))
  train = problem.rows(dataset.TRAIN)
  for attribute, labels in problem.sensitive.items():
    y = np.tile(labels[train], len(copies))
    for leaf in config.leaves:
      forest = sklearn.ensemble.ExtraTreesClassifier(
        config.count,
        min_samples_leaf=leaf * len(copies),
        n_jobs=1,
        random_state=seed,
      ).fit(x, y)
      found = {
        fold: _log_shares(forest, view(scored), int(labels.max()) + 1)
        for fold, scored in problem.scored.items()
      }
      yield adversary.Attack(
        f'extra trees, leaf {leaf}',
        attribute,
        found[dataset.VALIDATION],
        found[dataset.TEST],
      )


def _log_shares(forest, x, classes):
  """`[draws, n, d]` to `[draws, n, classes]`; those not learnt get least."""
  shares = np.zeros((*x.shape[:2], classes))
  found = forest.predict_proba(x.reshape(-1, x.shape[-1]))
  shares[..., forest.classes_] = found.reshape(*x.shape[:2], -1)
  return np.log(shares + 1e-3)
