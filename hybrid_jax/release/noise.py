"""Adds Gaussian noise, given relative to the root mean square of what is sent.

The noise is `N(0, sigma^2 I)` with `sigma = noise * rms`, as in Osia et al.
(arXiv 1703.02952), whose sigma is absolute and so says nothing without a scale.
"""

import jax
import jax.numpy as jnp
import ml_collections

from hybrid_jax import errors
from hybrid_jax.release import mechanisms


class Noise(mechanisms.Mechanism):
  """`scale [d, d]`, lower triangular: the noise is `scale @ normal`."""

  scale: jax.Array

  def noise_scale(self) -> jax.Array:
    return self.scale


def fit(
  features: jax.Array, config: ml_collections.ConfigDict, split_point: str
) -> Noise:
  """Noise of `config.noise` times the rms of `features [n, d]` about the mean.

  Raises:
    UserError: `noise` is not positive.
  """
  relative = mechanisms.at_split_point(config.noise, split_point)
  if not relative > 0:
    raise errors.UserError(
      f'noise is {relative}; it must be positive. Leave the mechanism out for'
      ' none.'
    )
  rms = jnp.sqrt(jnp.mean(jnp.square(features - features.mean(axis=0))))
  return Noise(scale=relative * rms * jnp.eye(features.shape[1]))
