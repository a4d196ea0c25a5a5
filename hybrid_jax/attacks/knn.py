"""Nearest neighbours among noisy training vectors."""

import functools
from collections.abc import Iterator

import ml_collections
import numpy as np

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

# Numbers of a vector up to which a tree is faster than all distances: of many
# noisy numbers it leaves out hardly any distance.
_TREE, _TREE_OF_NOISY = 15, 6
_MOST_BRUTE = 50_000  # noisy vectors
_LEAF = 40  # vectors of a leaf


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
    count = min(max(config.neighbours), len(gallery))
    search = _search(view(gallery), count, problem.noise_scale is not None)
    nearest = {}
    for fold in (dataset.VALIDATION, dataset.TEST):
      x = problem.viewed(name, fold)
      flat = x.reshape(-1, x.shape[-1])
      neighbours = rows[search(flat)]
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


def _search(gallery, count, is_noisy):
  """Returns a function from `[n, d]` to the nearest vectors `[n, count]`."""
  import scipy.spatial  # Imported here: it is slow.
  import sklearn.neighbors  # Imported here: it is slow.

  most = _TREE
  if is_noisy and len(gallery) <= _MOST_BRUTE:
    most = _TREE_OF_NOISY
  if gallery.shape[1] <= most:
    tree = scipy.spatial.KDTree(gallery, leafsize=_LEAF)
    return lambda x: tree.query(x, range(1, count + 1))[1]
  every = sklearn.neighbors.NearestNeighbors(
    n_neighbors=count, algorithm='brute', n_jobs=1
  ).fit(gallery)
  return functools.partial(every.kneighbors, return_distance=False)


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
