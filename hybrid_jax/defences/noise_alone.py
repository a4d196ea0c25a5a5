"""Training with noise and without a penalty."""

import jax.numpy as jnp
import ml_collections

from hybrid_jax.defences import penalties

TITLE = 'noise alone'
COLOUR = '#000000'

OPTIONS = {'weight': penalties.weight_option(0.0)}


def make(config: ml_collections.ConfigDict) -> penalties.Defence:
  """Returns a penalty of zero."""
  del config
  return penalties.Defence(lambda params, batch, weight: jnp.zeros(()))
