"""Gaussian noise mechanism, with a strength relative to the signal.

Adds `N(0, sigma^2 I)` with `sigma = noise * rms`, where rms is the root mean
square of the released values. Osia et al. (arXiv 1703.02952) give sigma in
absolute terms, which depends on the scale of the features.
"""

import jax
import jax.numpy as jnp
import ml_collections

from hybrid_jax import plugins
from hybrid_jax.release import mechanisms

OPTIONS = {
  'noise': plugins.Option(
    0.3,
    'Standard deviation of the noise, as a share of the rms of the release.',
    above=0,
    per_split_point=True,
  ),
}


class Noise(mechanisms.Mechanism):
  """Gaussian noise `scale @ e`, with `scale [d, d]` lower triangular."""

  scale: jax.Array

  def noise_scale(self) -> jax.Array:
    return self.scale


def fit(
  features: jax.Array, config: ml_collections.ConfigDict, split_point: str
) -> Noise:
  """Returns noise of `config.noise` times the rms of the features.

  Args:
    features: `[n, d]`; the rms is taken about their mean.
    config: `noise`, the relative strength.
    split_point: the split point of the features.

  Raises:
    UserError: `noise` is not positive.
  """
  relative = mechanisms.at_split_point(config.noise, split_point)
  OPTIONS['noise'].check('noise', relative)
  rms = jnp.sqrt(jnp.mean(jnp.square(features - features.mean(axis=0))))
  return Noise(scale=relative * rms * jnp.eye(features.shape[1]))
