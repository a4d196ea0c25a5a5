"""How well a label was predicted: per window, per recording, against chance."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid_jax.metrics import bootstrap


def chance(labels: np.ndarray) -> float:
  """The majority share of `labels [n]`: what a constant guess reaches."""
  return float(np.bincount(labels).max() / len(labels))


def blind(labels: np.ndarray) -> float:
  """What guessing by the classes' shares in `labels [n]` reaches.

  An attacker who knows nothing is between this and `chance`.
  """
  return float(np.square(np.bincount(labels) / len(labels)).sum())


def per_recording(
  log_probs: np.ndarray, labels: np.ndarray, recording: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Adds up the log-probabilities of all windows of a recording.

  Args:
    log_probs: `[draws, n, k]`; windows are added within one draw of the noise.
    labels: `[n]`, constant within a recording.
    recording: `[n]`.

  Returns:
    The share of draws in which each recording was right `[recordings]`, and
    the recordings' labels `[recordings]`.
  """
  _, first, index = np.unique(recording, return_index=True, return_inverse=True)
  order = np.argsort(index, kind='stable')
  starts = np.searchsorted(index[order], np.arange(len(first)))
  total = np.add.reduceat(log_probs[:, order], starts, axis=1)
  truth = labels[first]
  return (total.argmax(-1) == truth).mean(axis=0), truth


def over_recordings(
  log_probs: np.ndarray,
  labels: np.ndarray,
  recording: np.ndarray,
  shares: Sequence[float] = (0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1.0) * 4,
) -> float:
  """Mean accuracy of `per_recording` over random parts of each recording.

  To choose an attacker by: recordings are few, so that which of two attackers
  names more whole ones is mostly luck.

  Args:
    log_probs: `[draws, n, k]`.
    labels: `[n]`.
    recording: `[n]`.
    shares: how much of each recording is seen, at least one window; each time
      another part, and the next draw.
  """
  rng = np.random.default_rng(0)
  _, index, sizes = np.unique(
    recording, return_inverse=True, return_counts=True
  )
  found = []
  for i, share in enumerate(shares):
    draw = log_probs[[i % len(log_probs)]]
    order = np.lexsort((rng.random(len(index)), index))
    place = np.empty(len(index), int)
    place[order] = np.arange(len(index)) - np.repeat(
      np.cumsum(sizes) - sizes, sizes
    )
    seen = place < np.ceil(share * sizes)[index]
    right, _ = per_recording(draw[:, seen], labels[seen], recording[seen])
    found.append(right.mean())
  return float(np.mean(found))


def measure(
  log_probs: np.ndarray, labels: np.ndarray, recording: np.ndarray
) -> dict[str, Any]:
  """Accuracy with its interval, chance and advantage, and per recording.

  Args:
    log_probs: `[draws, n, k]`, of fresh draws of the noise; finite.
    labels: `[n]`.
    recording: `[n]`.

  Returns:
    `value`, `low`, `high`, `chance`, `advantage` (value minus chance), and
    `per_recording` with the same; and `blind`, see there.
  """
  right, truth = per_recording(log_probs, labels, recording)
  return per_window(log_probs, labels, recording) | {
    'per_recording': _figures(right, truth, np.arange(len(truth)))
  }


def per_window(
  log_probs: np.ndarray, labels: np.ndarray, recording: np.ndarray
) -> dict[str, Any]:
  """`measure` without `per_recording`."""
  correct = (log_probs.argmax(-1) == labels).mean(axis=0)
  return _figures(correct, labels, recording)


def by_windows(
  log_probs: np.ndarray,
  labels: np.ndarray,
  group: np.ndarray,
  counts: Sequence[int],
  repeats: int = 16,
) -> dict[str, dict[str, Any]]:
  """Adds up the log-probabilities of k windows of one group.

  Args:
    log_probs: `[draws, n, k]`; windows are added within one draw of the noise.
    labels: `[n]`, constant within a group.
    group: `[n]`, the recording, or the person.
    counts: the numbers k; those larger than every group are left out, and
      groups smaller than k are left out of it.
    repeats: how many random sets of k windows of each group and draw.

  Returns:
    k to `value`, `low`, `high`, `chance`, `blind`, `advantage` and `groups`,
    how many there were.
  """
  rng = np.random.default_rng(0)
  members = [np.flatnonzero(group == g) for g in np.unique(group)]
  out = {}
  for count in counts:
    large = [rows for rows in members if len(rows) >= count]
    if not large:
      continue
    right = np.zeros(len(large))
    for i, rows in enumerate(large):
      chosen = rng.permuted(np.tile(rows, (repeats, 1)), axis=1)[:, :count]
      total = log_probs[:, chosen].sum(axis=2)
      right[i] = (total.argmax(axis=-1) == labels[rows[0]]).mean()
    truth = labels[[rows[0] for rows in large]]
    out[str(count)] = _figures(right, truth, np.arange(len(large))) | {
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
