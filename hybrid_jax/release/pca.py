"""Principal component mechanism: the edge sends the first components.

The device sends `p = W (z - mean)`, and the cloud continues from
`W^T p + mean` (Osia et al., arXiv 1703.02952). W and the mean are fitted once,
on the training features.
"""

import jax
import ml_collections
import numpy as np

from hybrid_jax import errors, plugins
from hybrid_jax.release import mechanisms

OPTIONS = {
  'reduced_dim': plugins.Option(
    8, 'Principal components that are released.', low=1, per_split_point=True
  ),
}


class Pca(mechanisms.Mechanism):
  """Projection on the principal components.

  Attributes:
    mean: `[d_in]`.
    components: `[d_out, d_in]`, with orthonormal rows.
  """

  mean: mechanisms.Array
  components: mechanisms.Array

  def transform(self, features: jax.Array) -> jax.Array:
    return (features - self.mean) @ self.components.T

  def inverse(self, released: jax.Array) -> jax.Array:
    return released @ self.components + self.mean


def fit(
  features: mechanisms.Array,
  config: ml_collections.ConfigDict,
  split_point: str,
) -> Pca:
  """Fits the first principal components.

  Args:
    features: `[n, d_in]`.
    config: `reduced_dim`, the number of components.
    split_point: the split point of the features.

  Raises:
    UserError: see `check_dim`.
  """
  import sklearn.decomposition  # Imported here: it is slow.

  dim = mechanisms.at_split_point(config.reduced_dim, split_point)
  z = np.asarray(features)
  check_dim(dim, min(z.shape), split_point)
  # Both are exact; arpack is faster for a few of many components.
  solver = 'arpack' if dim < min(z.shape) else 'full'
  pca = sklearn.decomposition.PCA(dim, svd_solver=solver, random_state=0).fit(
    z.astype(np.float64)
  )
  return Pca(
    mean=pca.mean_.astype(np.float32),
    components=pca.components_.astype(np.float32),
  )


def check_dim(
  dim: int, most: int, split_point: str, setting: str = 'reduced_dim'
) -> None:
  """Checks the number of components.

  Args:
    dim: the number of components.
    most: the number of features, or of training examples if it is smaller.
    split_point: the split point of the features.
    setting: the name of the number in the config.

  Raises:
    UserError: `dim` is below 1 or above `most`.
  """
  if not 1 <= dim <= most:
    raise errors.UserError(
      f'{setting} is {dim} at {split_point!r}; its features and training'
      f' examples allow 1 to {most}.'
    )
