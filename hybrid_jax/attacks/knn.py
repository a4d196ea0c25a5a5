"""Nearest neighbours among noisy training vectors."""

from collections.abc import Iterator

import ml_collections
import numpy as np
import sklearn.neighbors

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset

OPTIONS = {
  'neighbours': plugins.Option(
    (1, 3, 9, 27, 81),
    'Numbers of neighbours to try.',
    low=1,
    filled=True,
  ),
}

_MOST_BRUTE = 50_000  # vectors


def attack(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> Iterator[adversary.Attack]:
  """Yields one attack for each view, number of neighbours and label.

  Args:
    problem: the attack problem.
    config: see `OPTIONS`; and `noise_copies`, the number of noisy copies of
      each training vector.
    seed: for the noise of the copies.
  """
  copies = problem.copies(dataset.TRAIN, config.noise_copies, 100 + seed)
  rows = np.tile(np.flatnonzero(problem.rows(dataset.TRAIN)), len(copies))
  gallery = copies.reshape(-1, copies.shape[-1])
  for name, view in problem.views.items():
    if not any(
      problem.wants(_name(k, name), attribute)
      for k in config.neighbours
      for attribute in problem.sensitive
    ):
      continue
    index = sklearn.neighbors.NearestNeighbors(
      n_neighbors=min(max(config.neighbours), len(gallery)),
      algorithm=_algorithm(problem, len(gallery)),
      n_jobs=1,
    ).fit(view(gallery))
    nearest = {}
    for fold in (dataset.VALIDATION, dataset.TEST):
      x = problem.viewed(name, fold)
      flat = x.reshape(-1, x.shape[-1])
      neighbours = rows[index.kneighbors(flat, return_distance=False)]
      nearest[fold] = neighbours.reshape(*x.shape[:2], -1)
    for attribute, labels in problem.sensitive.items():
      for k in config.neighbours:
        if not problem.wants(_name(k, name), attribute):
          continue
        votes = {
          fold: _log_votes(labels[neighbours[..., :k]], int(labels.max()) + 1)
          for fold, neighbours in nearest.items()
        }
        yield adversary.Attack(
          _name(k, name),
          attribute,
          votes[dataset.VALIDATION],
          votes[dataset.TEST],
        )


def _algorithm(problem, vectors):
  """A tree of many noisy numbers leaves out hardly any of the distances."""
  is_wide = problem.noise_scale is not None and problem.clean.shape[1] > 6
  return 'brute' if is_wide and vectors <= _MOST_BRUTE else 'auto'


def _name(neighbours, view):
  return f'{neighbours} nearest neighbours, {view}'


def _log_votes(neighbours, classes):
  """Smoothed log-shares of the votes: `[..., k]` labels to `[..., classes]`."""
  # Nearer neighbours weigh a little more, which only breaks ties.
  k = neighbours.shape[-1]
  weight = 1 + 1e-3 * (k - np.arange(k)) / k
  votes = np.stack(
    [((neighbours == c) * weight).sum(-1) for c in range(classes)], axis=-1
  )
  smooth = votes + 0.5
  return np.log(smooth / smooth.sum(-1, keepdims=True))
