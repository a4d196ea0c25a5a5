"""A linear layer of few outputs that ends the edge, trained with the network.

`p = limit(encode^T z + shift)`, from which the cloud goes on at
`decode^T p + mean`. Its length is bounded by `limit`, so that no input can
stand far from all others. Untrained it is the principal components.
"""

import jax
import jax.numpy as jnp
import ml_collections
from flax import struct

from hybrid_jax.release import mechanisms, pca

# Root mean square of what is sent before training, in units of the noise.
_START = 3.3


class Bottleneck(mechanisms.Mechanism):
  """`encode [d_in, d]`, `shift [d]`, `decode [d, d_in]`, `mean [d_in]`.

  Attributes:
    limit: what is sent is shorter than this, in units of the noise.
  """

  encode: jax.Array
  shift: jax.Array
  decode: jax.Array
  mean: jax.Array
  limit: float = struct.field(pytree_node=False, default=7.0)

  def transform(self, features: jax.Array) -> jax.Array:
    p = features @ self.encode + self.shift
    squared = jnp.sum(jnp.square(p), axis=-1, keepdims=True)
    # Smooth, and nearly the identity well below the limit.
    return p / jnp.sqrt(1 + squared / self.limit**2)

  def inverse(self, released: jax.Array) -> jax.Array:
    return released @ self.decode + self.mean


def fit(
  features: jax.Array, config: ml_collections.ConfigDict, split_point: str
) -> Bottleneck:
  """Where training starts: the first principal components, scaled.

  Args:
    features: `[n, d_in]`.
    config: `bottleneck_dim`, how many numbers, and `limit`.
    split_point: where the features were taken.

  Raises:
    UserError: see `pca.check_dim`.
  """
  dim = mechanisms.at_split_point(config.bottleneck_dim, split_point)
  pca.check_dim(dim, min(features.shape), split_point, 'bottleneck_dim')
  start = pca.fit(
    features, ml_collections.ConfigDict({'reduced_dim': dim}), split_point
  )
  sent = start.transform(features)
  gain = _START / jnp.sqrt(jnp.mean(jnp.square(sent)))
  return Bottleneck(
    encode=start.components.T * gain,
    shift=-gain * (start.components @ start.mean),
    decode=start.components / gain,
    mean=start.mean,
    limit=float(mechanisms.at_split_point(config.limit, split_point)),
  )
