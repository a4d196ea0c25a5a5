"""Draws each vector towards the nearest of a few prototypes.

`p' = sum_j w_j c_j` with `w = softmax(-sharpness / 2 |p - c_j|^2)`: the
posterior mean of a mixture of Gaussians. The prototypes are k-means centres of
the training vectors, so no label is used. What tells apart two inputs near one
prototype is wiped out before the noise; the sharper, the more the device itself
decides, and the nearer the release comes to the answer alone.
"""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import sklearn.cluster

from hybrid_jax import errors
from hybrid_jax.release import mechanisms


class Snap(mechanisms.Mechanism):
  """`prototypes [k, d]`, and how sharply one of them is chosen."""

  prototypes: jax.Array
  sharpness: jax.Array

  def transform(self, features: jax.Array) -> jax.Array:
    # |p|^2 is common to all prototypes, so it need not be computed.
    scores = features @ self.prototypes.T - 0.5 * jnp.sum(
      jnp.square(self.prototypes), axis=-1
    )
    return jax.nn.softmax(self.sharpness * scores) @ self.prototypes


def fit(
  features: jax.Array, config: ml_collections.ConfigDict, split_point: str
) -> Snap:
  """Prototypes of `features [n, d]`.

  Args:
    features: training vectors as they reach this mechanism.
    config: `prototypes`, how many, and `sharpness`, in one over the squared
      unit of the vectors.
    split_point: where the features were taken.

  Raises:
    UserError: `prototypes` is not between 2 and n.
  """
  count = mechanisms.at_split_point(config.prototypes, split_point)
  if not 2 <= count <= len(features):
    raise errors.UserError(
      f'prototypes is {count} at {split_point!r}; {len(features)} training'
      f' examples allow 2 to {len(features)}.'
    )
  centres = (
    sklearn.cluster.KMeans(count, n_init=10, random_state=0)
    .fit(np.asarray(features, np.float64))
    .cluster_centers_
  )
  return Snap(
    prototypes=jnp.asarray(centres, jnp.float32),
    sharpness=jnp.asarray(
      mechanisms.at_split_point(config.sharpness, split_point)
    ),
  )
