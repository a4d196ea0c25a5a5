"""Linear discriminant analysis with a shrunken covariance, in closed form."""

from collections.abc import Iterator

import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset

OPTIONS = {
  'shrinkages': plugins.Option(
    (0.3,),
    'Shares of the covariance that are replaced by a multiple of the identity.',
    low=0.0,
    high=1.0,
    filled=True,
  ),
}

_MOST = 512  # numbers of a vector; more are projected first


def attack(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> Iterator[adversary.Attack]:
  """Yields one attack for each shrinkage and label, on standardised vectors.

  Args:
    problem: the attack problem.
    config: see `OPTIONS`; and `noise_copies`, the number of noisy copies of
      each training vector.
    seed: for the noise of the copies.
  """
  import sklearn.discriminant_analysis  # Imported here: it is slow.

  names = {
    s: f'linear discriminant, shrinkage {s:g}' for s in config.shrinkages
  }
  wanted = problem.wanted(names)
  if not wanted:
    return
  if problem.clean.shape[1] > _MOST:
    view = problem.views['standardised']
  else:
    view = adversary.View(problem.mean, np.diag(1 / problem.std))
  copies = view(problem.copies(dataset.TRAIN, config.noise_copies, 400 + seed))
  x = copies.reshape(-1, copies.shape[-1])
  train = problem.rows(dataset.TRAIN)
  released = [
    view(problem.evaluation_draws[fold])
    for fold in (dataset.VALIDATION, dataset.TEST)
  ]
  for attribute, shrinkage in wanted:
    labels = problem.sensitive[attribute]
    y = np.tile(labels[train], len(copies))
    classes = np.unique(y)
    if len(classes) < 2:
      continue
    model = sklearn.discriminant_analysis.LinearDiscriminantAnalysis(
      solver='lsqr', shrinkage=shrinkage
    ).fit(x, y)
    validation, test = (
      model.predict_log_proba(r.reshape(-1, r.shape[-1]))
      .reshape(*r.shape[:2], len(classes))
      .astype(np.float32)
      for r in released
    )
    yield adversary.Attack(
      names[shrinkage],
      attribute,
      # A probability of 0 would be minus infinity.
      *(np.maximum(logs, -100) for logs in (validation, test)),
      columns=None if len(classes) == labels.max() + 1 else classes,
    )
