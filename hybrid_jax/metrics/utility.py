"""Accuracy of the cloud on the primary task."""

import numpy as np

from hybrid_jax.metrics import attack_accuracy


def measure(
  logits: np.ndarray, labels: np.ndarray, recording: np.ndarray
) -> dict[str, float]:
  """Computes the accuracy per example, averaged over draws of the noise.

  Args:
    logits: `[draws, n, k]`, of fresh draws of the noise.
    labels: `[n]`, class numbers.
    recording: `[n]`, the recording of each example.

  Returns:
    `value`; `low` and `high`, the ends of a 95 % bootstrap interval that
    resamples recordings; and `chance`, the share of the largest class.
  """
  figures = attack_accuracy.measure(logits, labels, recording)
  return {name: figures[name] for name in ('value', 'low', 'high', 'chance')}
