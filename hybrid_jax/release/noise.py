"""Gaussian noise mechanism, with a strength relative to the signal.

Adds `N(0, sigma^2 I)` with `sigma = noise * rms`, where rms is the root mean
square of the released values. Osia et al. (arXiv 1703.02952) give sigma in
absolute terms, which depends on the scale of the features.
"""

import ml_collections
import numpy as np

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

  scale: mechanisms.Array

  def noise_scale(self) -> mechanisms.Array:
    return self.scale


def fit(
  features: mechanisms.Array,
  config: ml_collections.ConfigDict,
  split_point: str,
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
  z = np.asarray(features)
  rms = np.sqrt(np.mean(np.square(z - z.mean(axis=0))))
  return Noise(
    scale=np.float32(relative) * rms * np.eye(z.shape[1], dtype=np.float32)
  )
