"""Linear probe: logistic regression on each view."""

from collections.abc import Iterator

import ml_collections

from hybrid_jax.attacks import adversary, mlp


def attack(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> Iterator[adversary.Attack]:
  """Yields one attack for each view, trial and label; see `mlp.attack`."""
  yield from mlp.attack_with(problem, config, seed, (), 'linear probe')
