"""Accuracy of an attack: per window, per recording, and against chance."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid_jax.metrics import bootstrap


def chance(labels: np.ndarray) -> float:
  """Returns the majority share of `labels [n]`, the best constant guess."""
  return float(np.bincount(labels).max() / len(labels))


def blind(labels: np.ndarray) -> float:
  """Returns the accuracy of guesses drawn from the shares in `labels [n]`.

  An attacker without any information lies between this and `chance`.
  """
  return float(np.square(np.bincount(labels) / len(labels)).sum())


def class_log_probs(
  log_probs: np.ndarray, columns: np.ndarray | None, classes: int
) -> np.ndarray:
  """Adds up the probabilities of a mixture's components by class.

  Args:
    log_probs: `[..., k]`, of each component, up to a constant.
    columns: `[k]`, the class of each component; `None` if the columns are the
      classes, which are then returned as they are.
    classes: the number of classes.

  Returns:
    `[..., classes]`, up to a constant; a class without a component has the
    least number of all others, minus 50.
  """
  if columns is None:
    return log_probs
  highest = log_probs.max(axis=-1, keepdims=True)
  present, index = np.unique(columns, return_inverse=True)
  onehot = np.eye(len(present), dtype=log_probs.dtype)[index.ravel()]
  sums = np.exp(log_probs - highest) @ onehot
  # Where all components of a class underflow, its best one stands for it.
  vanishes = sums < np.finfo(sums.dtype).tiny
  with np.errstate(divide='ignore'):
    logs = np.log(sums) + highest
  for i in np.flatnonzero(vanishes.reshape(-1, len(present)).any(axis=0)):
    rows = vanishes[..., i]
    logs[rows, i] = log_probs[rows][:, index.ravel() == i].max(axis=-1)
  out = np.full((*logs.shape[:-1], classes), logs.min() - 50, logs.dtype)
  out[..., present] = logs
  return out


def per_recording(
  log_probs: np.ndarray,
  labels: np.ndarray,
  recording: np.ndarray,
  columns: np.ndarray | None = None,
  log_prior: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
  """Adds up the log-likelihoods of all windows of a recording.

  Args:
    log_probs: `[draws, n, k]`; windows are added within one draw of the noise.
    labels: `[n]`, constant within a recording.
    recording: `[n]`.
    columns: `[k]`, see `class_log_probs`.
    log_prior: `[k]`, of each class before any window; it is added to each sum.

  Returns:
    The share of draws in which each recording was predicted correctly, and the
    recordings' labels, both `[recordings]`.
  """
  _, first, index = np.unique(recording, return_index=True, return_inverse=True)
  order = np.argsort(index, kind='stable')
  starts = np.searchsorted(index[order], np.arange(len(first)))
  total = np.add.reduceat(log_probs[:, order], starts, axis=1)
  total = total if log_prior is None else total + log_prior
  truth = labels[first]
  return (_predict(total, columns) == truth).mean(axis=0), truth


def _predict(log_probs, columns):
  """The most probable class: `[..., k]` to `[...]`."""
  if columns is None:
    return log_probs.argmax(-1)
  return class_log_probs(log_probs, columns, int(columns.max()) + 1).argmax(-1)


@dataclasses.dataclass(frozen=True)
class Sets:
  """Sets of rows of an array.

  Attributes:
    rows: the rows of all sets, one after the other.
    starts: `[sets + 1]`; set i has `rows[starts[i]:starts[i + 1]]`.
  """

  rows: np.ndarray
  starts: np.ndarray

  @property
  def sizes(self) -> np.ndarray:
    """The number of rows of each set, `[sets]`."""
    return np.diff(self.starts)

  def take(self, index: np.ndarray) -> 'Sets':
    """Returns some of the sets."""
    parts = np.split(self.rows, self.starts[1:-1])
    taken = [parts[i] for i in index]
    return Sets(np.concatenate(taken), np.cumsum([0, *map(len, taken)]))

  def sums(self, values: np.ndarray) -> np.ndarray:
    """Adds up the rows of each set: `[m, k]` to `[sets, k]`.

    It is one product with a sparse matrix of ones.
    """
    import scipy.sparse  # Imported here: it is slow.

    ones = np.ones(len(self.rows), np.float32)
    members = scipy.sparse.csr_array(
      (ones, self.rows, self.starts), (len(self.sizes), len(values))
    )
    return members @ values


class RecordingParts:
  """Random parts of each recording, drawn once for all attackers.

  There are few recordings, so that the accuracy on whole recordings would rank
  two attackers mostly by luck. The accuracy on parts of them chooses instead.
  """

  def __init__(
    self,
    recording: np.ndarray,
    shares: Sequence[float] = (0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1.0) * 4,
  ):
    """Draws the parts.

    Args:
      recording: `[n]`.
      shares: the share of each recording that is used, at least one window.
        Each entry uses another part of the recordings and the next draw of the
        noise.
    """
    rng = np.random.default_rng(0)
    self._n = len(recording)
    _, self._first, index, sizes = np.unique(
      recording, return_index=True, return_inverse=True, return_counts=True
    )
    windows, starts = [], []
    for share in shares:
      order = np.lexsort((rng.random(len(index)), index))
      place = np.arange(len(index)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
      used = np.ceil(share * sizes).astype(int)
      windows.append(order[place < used[index[order]]])
      starts.append(used)
    self._windows = np.concatenate(windows)
    self._part = np.repeat(np.arange(len(shares)), [len(w) for w in windows])
    self._starts = np.concatenate([[0], np.cumsum(np.concatenate(starts))])
    self._shape = len(shares), len(sizes)

  def accuracy(
    self,
    log_probs: np.ndarray,
    labels: np.ndarray,
    columns: np.ndarray | None = None,
    log_prior: np.ndarray | None = None,
  ) -> float:
    """Returns the mean accuracy over all parts.

    Args:
      log_probs: `[draws, n, k]`.
      labels: `[n]`, constant within a recording.
      columns: `[k]`, see `class_log_probs`.
      log_prior: `[k]`, see `per_recording`.
    """
    draws, n, k = log_probs.shape
    total = self.sets(draws).sums(log_probs.reshape(draws * n, k))
    total = total if log_prior is None else total + log_prior
    predicted = _predict(total.reshape(*self._shape, k), columns)
    return float((predicted == labels[self._first]).mean())

  def sets(self, draws: int) -> Sets:
    """Returns the parts as sets of rows of `[draws * n, ...]`.

    They are in the order of the shares, and within a share of the recordings.
    """
    rows = self._windows + self._n * (self._part % draws)
    return Sets(rows, self._starts)


def measure(
  log_probs: np.ndarray,
  labels: np.ndarray,
  recording: np.ndarray,
  columns: np.ndarray | None = None,
) -> dict[str, Any]:
  """Computes accuracy with its interval and chance, also per recording.

  Args:
    log_probs: `[draws, n, k]`, of fresh draws of the noise; finite.
    labels: `[n]`.
    recording: `[n]`.
    columns: `[k]`, see `class_log_probs`.

  Returns:
    `value`, `low`, `high`, `chance`, `blind` (see the functions of these
    names), `advantage` (value minus chance), and `per_recording` with the same.
  """
  correct, truth = per_recording(log_probs, labels, recording, columns)
  return per_window(log_probs, labels, recording, columns) | {
    'per_recording': figures(correct, truth)
  }


def per_window(
  log_probs: np.ndarray,
  labels: np.ndarray,
  recording: np.ndarray,
  columns: np.ndarray | None = None,
) -> dict[str, Any]:
  """Computes the figures of `measure` without `per_recording`."""
  correct = correct_windows(log_probs, labels, columns)
  return figures(correct, labels, recording)


def correct_windows(
  log_probs: np.ndarray,
  labels: np.ndarray,
  columns: np.ndarray | None = None,
) -> np.ndarray:
  """Returns the share of draws `[n]` in which each window was recognised.

  Args:
    log_probs: `[draws, n, k]`.
    labels: `[n]`.
    columns: `[k]`, see `class_log_probs`.
  """
  return (_predict(log_probs, columns) == labels).mean(axis=0)


class WindowSets:
  """Random sets of k windows of one group, drawn once for all attackers."""

  def __init__(
    self, group: np.ndarray, counts: Sequence[int], repeats: int = 16
  ):
    """Draws the sets.

    Args:
      group: `[n]`, the recording, or the person.
      counts: the numbers k. Groups with fewer than k windows are left out, and
        so is k if no group has enough.
      repeats: the number of random sets of k windows of each group and draw.
    """
    rng = np.random.default_rng(0)
    self._n = len(group)
    groups = [np.flatnonzero(group == g) for g in np.unique(group)]
    # k to the sets `[groups, repeats, k]`.
    self._sets: dict[int, np.ndarray] = {}
    for count in counts:
      sets = [
        rng.permuted(np.tile(rows, (repeats, 1)), axis=1)[:, :count]
        for rows in groups
        if len(rows) >= count
      ]
      if sets:
        self._sets[count] = np.stack(sets)

  def sets(self, count: int, draws: int) -> Sets | None:
    """Returns the sets of k windows as sets of rows of `[draws * n, ...]`.

    All sets of the first draw come first. It is `None` if no group has k
    windows.
    """
    if count not in self._sets:
      return None
    sets = self._sets[count]
    first = self._n * np.arange(draws)[:, None, None, None]
    return _equal_sets(sets + first)

  def figures(
    self,
    log_probs: np.ndarray,
    labels: np.ndarray,
    columns: np.ndarray | None = None,
    log_prior: np.ndarray | None = None,
  ) -> dict[str, dict[str, Any]]:
    """Adds up the log-likelihoods of k windows of one group.

    Args:
      log_probs: `[draws, n, k]`; windows are added within one draw of the
        noise.
      labels: `[n]`, constant within a group.
      columns: `[k]`, see `class_log_probs`.
      log_prior: `[k]`, see `per_recording`.

    Returns:
      k to `value`, `low`, `high`, `chance`, `blind`, `advantage` and `groups`,
      the number of groups.
    """
    of = log_probs, labels, columns, log_prior
    out = {}
    for count, sets in self._sets.items():
      correct, truth = self._correct(sets, *of)
      out[str(count)] = figures(correct, truth) | {'groups': len(truth)}
    return out

  def correct(
    self,
    log_probs: np.ndarray,
    labels: np.ndarray,
    columns: np.ndarray | None = None,
    log_prior: np.ndarray | None = None,
  ) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Returns k to the share of correct sets of each group, and its label."""
    of = log_probs, labels, columns, log_prior
    return {
      count: self._correct(sets, *of) for count, sets in self._sets.items()
    }

  def values(
    self,
    log_probs: np.ndarray,
    labels: np.ndarray,
    columns: np.ndarray | None = None,
    log_prior: np.ndarray | None = None,
  ) -> dict[int, float]:
    """Returns k to the `value` of `figures` alone."""
    of = log_probs, labels, columns, log_prior
    return {
      count: float(self._correct(sets, *of)[0].mean())
      for count, sets in self._sets.items()
    }

  def _correct(self, sets, log_probs, labels, columns, log_prior):
    """Returns the share of correct sets of each group, and its label."""
    draws, n, k = log_probs.shape
    total = _equal_sets(sets).sums(
      log_probs.transpose(1, 0, 2).reshape(n, draws * k)
    )
    total = total.reshape(len(sets), -1, k)
    total = total if log_prior is None else total + log_prior
    truth = labels[sets[:, 0, 0]]
    predicted = _predict(total, columns)
    return (predicted == truth[:, None]).mean(axis=1), truth


def _equal_sets(rows):
  """Sets of equal size: `[..., k]` rows."""
  return Sets(rows.ravel(), np.arange(rows.size + 1, step=rows.shape[-1]))


def figures(
  correct: np.ndarray, labels: np.ndarray, group: np.ndarray | None = None
) -> dict[str, float]:
  """Returns the accuracy with its interval and chance.

  Args:
    correct: `[m]`, the share of draws in which each example was recognised.
    labels: `[m]`.
    group: `[m]`, the recordings to resample; by default each example is one.

  Returns:
    `value`, `low`, `high`, `chance`, `blind` and `advantage`.
  """
  if group is None:
    group = np.arange(len(correct))
  estimate = bootstrap.accuracy(correct, group)
  floor = chance(labels)
  return dataclasses.asdict(estimate) | {
    'chance': floor,
    'blind': blind(labels),
    'advantage': estimate.value - floor,
  }
