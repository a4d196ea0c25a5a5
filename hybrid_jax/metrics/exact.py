"""The ceiling without noise: all that the distinct vectors tell."""

import numpy as np


def bounds(
  primary: np.ndarray,
  sensitive: np.ndarray,
  cell: np.ndarray,
  weight: np.ndarray,
) -> dict[str, np.ndarray]:
  """The best guess in each cell of each primary class; see `ceiling.bounds`.

  Args:
    primary: `[n]`.
    sensitive: `[n]`, the label to hide.
    cell: `[n]`, one for each distinct vector.
    weight: `[w, n]`, how often each example counts.
  """
  _, cell = np.unique(np.stack([primary, cell]), axis=1, return_inverse=True)
  _, label = np.unique(sensitive, return_inverse=True)
  order = np.lexsort((label, cell.reshape(-1)))
  pairs = np.stack([cell.reshape(-1), label], axis=1)[order]
  starts = np.flatnonzero(np.any(np.diff(pairs, axis=0, prepend=-1), axis=1))
  joint = np.add.reduceat(weight[:, order], starts, axis=1)
  first = np.flatnonzero(np.diff(pairs[starts, 0], prepend=-1))
  total = weight.sum(axis=1)
  cells_right = np.maximum.reduceat(joint, first, axis=1).sum(axis=1) / total
  labels = [
    _entropy_of_counts(weight[:, primary == y], label, primary, y)
    for y in np.unique(primary)
  ]
  entropy = sum(labels) / total
  share = np.add.reduceat(joint, first, axis=1)
  left = (_counts(share) - _counts(joint)) / total
  ones = np.ones(len(weight))
  return {
    'fano': ones,
    'people': ones,
    'cells': cells_right,
    'bits': np.maximum(entropy - left, 0),
  }


def _entropy_of_counts(weight, label, primary, y):
  """`n H(s)` of one primary class, `[w]`."""
  own = label[primary == y]
  joint = weight @ np.eye(label.max() + 1)[own]
  return _counts(weight.sum(axis=1, keepdims=True)) - _counts(joint)


def _counts(counts):
  """`sum c log2 c` over the last axis."""
  return (counts * np.log2(np.maximum(counts, 1))).sum(axis=-1)
