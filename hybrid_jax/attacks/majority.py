"""Always guesses the most common class: what is known before any release."""

from collections.abc import Iterator

import ml_collections
import numpy as np

from hybrid_jax.adversaries import base
from hybrid_jax.datasets import base as datasets


def attack(
  problem: base.Problem, config: ml_collections.ConfigDict, seed: int
) -> Iterator[base.Attack]:
  """One attack for each label: the training fold's class shares."""
  del config, seed
  for attribute, labels in problem.sensitive.items():
    counts = np.bincount(
      labels[problem.rows(datasets.TRAIN)], minlength=int(labels.max()) + 1
    )
    # Never quite nothing: a class may be absent from a part of the data.
    shares = np.log(np.maximum(counts, 1e-6) / counts.sum())
    yield base.Attack(
      'majority guess',
      attribute,
      *(
        np.broadcast_to(shares, (*x.shape[:2], len(shares)))
        for x in problem.scored.values()
      ),
    )
