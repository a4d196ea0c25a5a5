"""Adds Gaussian noise of unit variance, for what was trained against it."""

import jax
import jax.numpy as jnp
import ml_collections

from hybrid_jax.release import mechanisms, noise


def fit(
  features: jax.Array, config: ml_collections.ConfigDict, split_point: str
) -> mechanisms.Mechanism:
  """`N(0, I)`, whatever `features [n, d]` are."""
  del config, split_point
  return noise.Noise(scale=jnp.eye(features.shape[1]))
