"""Bottleneck: a linear layer with few outputs, trained with the network.

The edge sends `p = q / sqrt(1 + |q|^2 / limit^2)` with `q = encode^T z +
shift`, and the cloud continues from `decode^T p + mean`. So `|p|` stays below
`limit`, and no input can be far from all others. Training starts from the
principal components.
"""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from flax import struct

from hybrid_jax import plugins
from hybrid_jax.release import mechanisms, pca

OPTIONS = {
  'bottleneck_dim': plugins.Option(
    4, 'Numbers that a bottleneck releases.', low=1, per_split_point=True
  ),
  'limit': plugins.Option(
    7.0,
    "Bound of a bottleneck's length, in units of the noise.",
    above=0,
    per_split_point=True,
  ),
}


# Root mean square of the released values before training, in noise units.
_START_RMS = 3.3


class Bottleneck(mechanisms.Mechanism):
  """Bottleneck layer and its inverse.

  Attributes:
    encode: `[d_in, d]`.
    shift: `[d]`.
    decode: `[d, d_in]`.
    mean: `[d_in]`.
    limit: upper bound of the released vector's length, in units of the noise.
  """

  encode: mechanisms.Array
  shift: mechanisms.Array
  decode: mechanisms.Array
  mean: mechanisms.Array
  limit: float = struct.field(pytree_node=False, default=7.0)

  def transform(self, features: jax.Array) -> jax.Array:
    p = features @ self.encode + self.shift
    squared = jnp.sum(jnp.square(p), axis=-1, keepdims=True)
    # Smooth, and almost the identity for vectors much shorter than the limit.
    return p / jnp.sqrt(1 + squared / self.limit**2)

  def inverse(self, released: jax.Array) -> jax.Array:
    return released @ self.decode + self.mean


def fit(
  features: mechanisms.Array,
  config: ml_collections.ConfigDict,
  split_point: str,
) -> Bottleneck:
  """Returns the start of training: the first principal components, scaled.

  Args:
    features: `[n, d_in]`.
    config: `bottleneck_dim`, the number of released values, and `limit`.
    split_point: the split point of the features.

  Raises:
    UserError: see `pca.check_dim`.
  """
  dim = mechanisms.at_split_point(config.bottleneck_dim, split_point)
  pca.check_dim(dim, min(features.shape), split_point, 'bottleneck_dim')
  start = pca.fit(
    features, ml_collections.ConfigDict({'reduced_dim': dim}), split_point
  )
  released = mechanisms.Release((start,)).transform_all(features)
  gain = _START_RMS / np.sqrt(np.mean(np.square(released)))
  return Bottleneck(
    encode=start.components.T * gain,
    shift=-gain * (start.components @ start.mean),
    decode=start.components / gain,
    mean=start.mean,
    limit=float(mechanisms.at_split_point(config.limit, split_point)),
  )
