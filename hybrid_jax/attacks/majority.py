"""Majority guess: the most common class, without looking at the release."""

from collections.abc import Iterator

import ml_collections
import numpy as np

from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset


def attack(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> Iterator[adversary.Attack]:
  """Yields one attack for each label: the class shares of the training fold."""
  del config, seed
  for attribute, labels in problem.sensitive.items():
    counts = np.bincount(
      labels[problem.rows(dataset.TRAIN)], minlength=int(labels.max()) + 1
    )
    # Above 0, since a class may be absent from a part of the data.
    shares = np.log(np.maximum(counts, 1e-6) / counts.sum())
    validation, test = (
      np.broadcast_to(shares, (*x.shape[:2], len(shares)))
      for x in problem.evaluation_draws.values()
    )
    yield adversary.Attack('majority guess', attribute, validation, test)
