"""Noise alone: the network learns to live with it, and no penalty is added."""

import jax.numpy as jnp
import ml_collections

from hybrid_jax.defences import penalties

TITLE = 'noise alone'
COLOUR = '#000000'

OPTIONS = {'weight': penalties.weight_option(0.0)}


def make(config: ml_collections.ConfigDict) -> penalties.Defence:
  """Nothing to weigh."""
  del config
  return penalties.Defence(lambda params, batch, weight: jnp.zeros(()))
