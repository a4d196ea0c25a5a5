"""Gaussian noise mechanism of unit variance, for a trained bottleneck."""

import jax
import jax.numpy as jnp
import ml_collections

from hybrid_jax.release import mechanisms, noise


def fit(
  features: jax.Array, config: ml_collections.ConfigDict, split_point: str
) -> mechanisms.Mechanism:
  """Returns the noise `N(0, I)` for `features [n, d]`."""
  del config, split_point
  return noise.Noise(scale=jnp.eye(features.shape[1]))
