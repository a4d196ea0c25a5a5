"""Accuracy of the cloud on the primary task."""

import numpy as np

from hybrid_jax.metrics import attack_accuracy


def measure(
  logits: np.ndarray, labels: np.ndarray, recording: np.ndarray
) -> dict[str, float]:
  """Computes the accuracy per window, with its interval over recordings.

  Args:
    logits: `[draws, n, k]`, of fresh draws of the noise.
    labels: `[n]`.
    recording: `[n]`.

  Returns:
    `value`, `low`, `high`, and `chance`, the majority share.
  """
  figures = attack_accuracy.measure(logits, labels, recording)
  return {name: figures[name] for name in ('value', 'low', 'high', 'chance')}
