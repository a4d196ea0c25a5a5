"""Sends the first principal components, which the cloud turns back.

Fitted once on training features (Osia et al., arXiv 1703.02952): the device
sends `W (z - mean)`, the cloud goes on from `W^T p + mean`.
"""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import scipy.linalg

from hybrid_jax import errors
from hybrid_jax.release import base


class Pca(base.Mechanism):
  """`mean [d_in]`, `components [d_out, d_in]` with orthonormal rows."""

  mean: jax.Array
  components: jax.Array

  def transform(self, features: jax.Array) -> jax.Array:
    return (features - self.mean) @ self.components.T

  def inverse(self, released: jax.Array) -> jax.Array:
    return released @ self.components + self.mean


def fit(
  features: jax.Array, config: ml_collections.ConfigDict, split_point: str
) -> Pca:
  """The first `config.reduced_dim` principal components of `[n, d_in]`.

  Raises:
    UserError: `reduced_dim` is below 1 or above the number of features.
  """
  dim = base.setting(config, 'reduced_dim', split_point)
  z = np.asarray(features, np.float64)
  if not 1 <= dim <= z.shape[1]:
    raise errors.UserError(
      f'reduced_dim is {dim}, and there are {z.shape[1]} features at'
      f' {split_point!r}; it must be from 1 to {z.shape[1]}.'
    )
  mean = z.mean(axis=0)
  centred = z - mean
  covariance = centred.T @ centred / len(z)
  last = z.shape[1] - 1
  _, vectors = scipy.linalg.eigh(
    covariance, subset_by_index=(last - dim + 1, last)
  )
  components = vectors[:, ::-1].T
  # An eigenvector's sign is arbitrary: fix it, so that runs agree.
  largest = np.abs(components).argmax(axis=1)
  components = components * np.sign(components[np.arange(dim), largest])[:, None]
  return Pca(
    mean=jnp.asarray(mean, jnp.float32),
    components=jnp.asarray(components, jnp.float32),
  )
