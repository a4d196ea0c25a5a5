"""Prototype mechanism: pulls each vector towards the nearest prototype.

`p' = sum_j w_j c_j` with `w = softmax(-sharpness / 2 |p - c_j|^2)`: the
posterior mean of a mixture of Gaussians. The prototypes are the k-means centres
of the training vectors, so no label is used. Differences between inputs near
one prototype are removed before the noise. The sharper the weights, the more
the device itself decides the class, and the less else the release contains.
"""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from hybrid_jax import errors, plugins
from hybrid_jax.release import mechanisms

OPTIONS = {
  'prototypes': plugins.Option(
    7, 'Points towards which a release is drawn.', low=2, per_split_point=True
  ),
  'sharpness': plugins.Option(
    0.2,
    'How sharply one prototype is chosen, in units of the noise.',
    above=0,
    per_split_point=True,
  ),
}


class Snap(mechanisms.Mechanism):
  """Weighted mean of the prototypes.

  Attributes:
    prototypes: `[k, d]`.
    sharpness: scalar; a larger one gives the nearest prototype more weight.
  """

  prototypes: mechanisms.Array
  sharpness: mechanisms.Array

  def transform(self, features: jax.Array) -> jax.Array:
    # Without |p|^2, which is the same for all prototypes.
    scores = features @ self.prototypes.T - 0.5 * jnp.sum(
      jnp.square(self.prototypes), axis=-1
    )
    return jax.nn.softmax(self.sharpness * scores) @ self.prototypes


def fit(
  features: mechanisms.Array,
  config: ml_collections.ConfigDict,
  split_point: str,
) -> Snap:
  """Fits the prototypes by k-means.

  Args:
    features: `[n, d]`, the training vectors at this mechanism.
    config: `prototypes`, their number, and `sharpness`, in one over the squared
      unit of the vectors.
    split_point: the split point of the features.

  Raises:
    UserError: `prototypes` is not between 2 and n.
  """
  import sklearn.cluster  # Imported here: it is slow.

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
    prototypes=centres.astype(np.float32),
    sharpness=np.asarray(
      mechanisms.at_split_point(config.sharpness, split_point), np.float32
    ),
  )
