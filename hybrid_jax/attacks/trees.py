"""Extra trees on noisy copies; often the best attack on short vectors."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset

if TYPE_CHECKING:
  import sklearn.ensemble

OPTIONS = {
  'count': plugins.Option(80, 'Trees in the forest.', low=1),
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
  """Yields one attack for each label and leaf size, on standardised vectors.

  One forest learns all labels. Its trees have the smallest leaf size; a larger
  one is read from them by joining the leaves that are too small.

  Args:
    problem: the attack problem.
    config: see `OPTIONS`; and `noise_copies`, the number of noisy copies of
      each training vector.
    seed: for the forest and the noise of the copies.
  """
  import sklearn.ensemble  # Imported here: it is slow.

  names = {leaf: f'extra trees, leaf {leaf}' for leaf in config.leaves}
  wanted = problem.wanted(names)
  if not wanted:
    return
  copies = problem.copies(dataset.TRAIN, config.noise_copies, 200 + seed)
  view = problem.views['standardised']
  x = view(copies.reshape(-1, copies.shape[-1]))
  train = problem.rows(dataset.TRAIN)
  labels = np.stack(
    [np.tile(y[train], len(copies)) for y in problem.sensitive.values()], axis=1
  )
  forest = sklearn.ensemble.ExtraTreesClassifier(
    config.count,
    min_samples_leaf=min(config.leaves) * len(copies),
    n_jobs=1,
    random_state=seed,
  ).fit(x, labels if labels.shape[1] > 1 else labels[:, 0])
  released = [
    problem.viewed('standardised', fold)
    for fold in (dataset.VALIDATION, dataset.TEST)
  ]
  sizes = [leaf * len(copies) for leaf in names]
  shares = [
    dict(zip(names, vote_shares(forest, r, sizes), strict=True))
    for r in released
  ]
  for attribute, leaf in wanted:
    output = list(problem.sensitive).index(attribute)
    classes = np.unique(labels[:, output])
    count = int(problem.sensitive[attribute].max()) + 1
    validation, test = (
      _log_shares(by_leaf[leaf][..., output, :], classes, count)
      for by_leaf in shares
    )
    yield adversary.Attack(names[leaf], attribute, validation, test)


def _log_shares(shares, classes, count):
  """Log-shares `[..., count]`; classes without examples get the lowest."""
  out = np.zeros((*shares.shape[:-1], count), np.float32)
  out[..., classes] = shares[..., : len(classes)]
  return np.log(out + 1e-3)


def vote_shares(
  forest: 'sklearn.ensemble.ExtraTreesClassifier',
  x: np.ndarray,
  least: Sequence[int],
) -> list[np.ndarray]:
  """Returns the mean of the trees' shares of classes, by smallest leaf size.

  Args:
    forest: trained, for one output or several.
    x: `[draws, n, d]`, float32.
    least: the smallest numbers of training examples in a leaf. A smaller node
      counts as its nearest ancestor that is large enough.

  Returns:
    For each of `least` an array `[draws, n, outputs, classes]`. Classes are
    those of the training labels, in order; outputs with fewer end in zeros.
  """
  import scipy.sparse  # Imported here: it is slow.

  leaves = forest.apply(x.reshape(-1, x.shape[-1]))
  trees = [tree.tree_ for tree in forest.estimators_]
  first_node = np.cumsum([0] + [tree.node_count for tree in trees[:-1]])
  values = np.concatenate([tree.value for tree in trees])
  values /= values.sum(axis=-1, keepdims=True) * len(trees)
  values = values.astype(np.float32)
  start = np.arange(leaves.size + 1, step=len(trees))
  out = []
  for size in least:
    nodes = np.stack(
      [
        _ancestors(tree, size)[leaf] + first
        for tree, leaf, first in zip(trees, leaves.T, first_node, strict=True)
      ],
      axis=1,
    )
    votes = scipy.sparse.csr_array(
      (np.ones(nodes.size, np.float32), nodes.ravel(), start),
      (len(nodes), len(values)),
    )
    shares = votes @ values.reshape(len(values), -1)
    out.append(shares.reshape(*x.shape[:2], *values.shape[1:]))
  return out


def _ancestors(tree, least):
  """Maps each node to its nearest ancestor of at least `least` examples."""
  parent = np.zeros(tree.node_count, int)
  for children in (tree.children_left, tree.children_right):
    inner = np.flatnonzero(children >= 0)
    parent[children[inner]] = inner
  out = np.arange(tree.node_count)
  while (small := (tree.n_node_samples[out] < least) & (out > 0)).any():
    out[small] = parent[out[small]]
  return out
