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
  order = np.argsort(columns, kind='stable')
  present, starts = np.unique(columns[order], return_index=True)
  sums = np.add.reduceat(
    np.exp(log_probs[..., order] - highest), starts, axis=-1
  )
  # Where all components of a class underflow, its best one stands for it.
  best = np.maximum.reduceat(log_probs[..., order], starts, axis=-1)
  with np.errstate(divide='ignore'):
    logs = np.maximum(np.log(sums) + highest, best)
  out = np.full((*logs.shape[:-1], classes), logs.min() - 50, logs.dtype)
  out[..., present] = logs
  return out


def per_recording(
  log_probs: np.ndarray,
  labels: np.ndarray,
  recording: np.ndarray,
  columns: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
  """Adds up the log-probabilities of all windows of a recording.

  Args:
    log_probs: `[draws, n, k]`; windows are added within one draw of the noise.
    labels: `[n]`, constant within a recording.
    recording: `[n]`.
    columns: `[k]`, see `class_log_probs`.

  Returns:
    The share of draws in which each recording was predicted correctly, and the
    recordings' labels, both `[recordings]`.
  """
  _, first, index = np.unique(recording, return_index=True, return_inverse=True)
  order = np.argsort(index, kind='stable')
  starts = np.searchsorted(index[order], np.arange(len(first)))
  total = np.add.reduceat(log_probs[:, order], starts, axis=1)
  truth = labels[first]
  return (_predict(total, columns) == truth).mean(axis=0), truth


def _predict(log_probs, columns):
  """The most probable class: `[..., k]` to `[...]`."""
  if columns is None:
    return log_probs.argmax(-1)
  return class_log_probs(log_probs, columns, int(columns.max()) + 1).argmax(-1)


def over_recordings(
  log_probs: np.ndarray,
  labels: np.ndarray,
  recording: np.ndarray,
  shares: Sequence[float] = (0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1.0) * 4,
  columns: np.ndarray | None = None,
) -> float:
  """Returns the mean accuracy over random parts of each recording.

  This score chooses an attacker. There are few recordings, so that the accuracy
  on whole recordings would rank two attackers mostly by luck.

  Args:
    log_probs: `[draws, n, k]`.
    labels: `[n]`.
    recording: `[n]`.
    shares: the share of each recording that is used, at least one window. Each
      entry uses another part of the recordings and the next draw.
    columns: `[k]`, see `class_log_probs`.
  """
  rng = np.random.default_rng(0)
  _, index, sizes = np.unique(
    recording, return_inverse=True, return_counts=True
  )
  accuracies = []
  for i, share in enumerate(shares):
    draw = log_probs[[i % len(log_probs)]]
    order = np.lexsort((rng.random(len(index)), index))
    place = np.empty(len(index), int)
    place[order] = np.arange(len(index)) - np.repeat(
      np.cumsum(sizes) - sizes, sizes
    )
    used = place < np.ceil(share * sizes)[index]
    correct, _ = per_recording(
      draw[:, used], labels[used], recording[used], columns
    )
    accuracies.append(correct.mean())
  return float(np.mean(accuracies))


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
    'per_recording': _figures(correct, truth, np.arange(len(truth)))
  }


def per_window(
  log_probs: np.ndarray,
  labels: np.ndarray,
  recording: np.ndarray,
  columns: np.ndarray | None = None,
) -> dict[str, Any]:
  """Computes the figures of `measure` without `per_recording`."""
  correct = correct_windows(log_probs, labels, columns)
  return _figures(correct, labels, recording)


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


def by_windows(
  log_probs: np.ndarray,
  labels: np.ndarray,
  group: np.ndarray,
  counts: Sequence[int],
  repeats: int = 16,
  columns: np.ndarray | None = None,
) -> dict[str, dict[str, Any]]:
  """Adds up the log-probabilities of k windows of one group.

  Args:
    log_probs: `[draws, n, k]`; windows are added within one draw of the noise.
    labels: `[n]`, constant within a group.
    group: `[n]`, the recording, or the person.
    counts: the numbers k. Groups with fewer than k windows are left out, and so
      is k if no group has enough.
    repeats: the number of random sets of k windows of each group and draw.
    columns: `[k]`, see `class_log_probs`.

  Returns:
    k to `value`, `low`, `high`, `chance`, `blind`, `advantage` and `groups`,
    the number of groups.
  """
  rng = np.random.default_rng(0)
  groups = [np.flatnonzero(group == g) for g in np.unique(group)]
  out = {}
  for count in counts:
    large = [rows for rows in groups if len(rows) >= count]
    if not large:
      continue
    correct = np.zeros(len(large))
    for i, rows in enumerate(large):
      chosen = rng.permuted(np.tile(rows, (repeats, 1)), axis=1)[:, :count]
      total = log_probs[:, chosen].sum(axis=2)
      correct[i] = (_predict(total, columns) == labels[rows[0]]).mean()
    truth = labels[[rows[0] for rows in large]]
    out[str(count)] = _figures(correct, truth, np.arange(len(large))) | {
      'groups': len(large)
    }
  return out


def _figures(correct, labels, group):
  estimate = bootstrap.accuracy(correct, group)
  floor = chance(labels)
  return dataclasses.asdict(estimate) | {
    'chance': floor,
    'blind': blind(labels),
    'advantage': estimate.value - floor,
  }
