"""Distances and label equality over all pairs of a batch."""

import jax
import jax.numpy as jnp


def squared_distances(features: jax.Array) -> jax.Array:
  """Computes the squared Euclidean distances of all pairs of examples.

  Args:
    features: `[batch, ...]`; they are flattened and cast to float32.

  Returns:
    `[batch, batch]` float32, at least 0, and 0 on the diagonal. They come from
    one Gram matrix, without an array of `[batch, batch, d]`.
  """
  flat = features.reshape(features.shape[0], -1).astype(jnp.float32)
  # Centring leaves the distances unchanged and reduces the rounding error.
  flat = flat - flat.mean(axis=0)
  gram = jnp.matmul(flat, flat.T, precision=jax.lax.Precision.HIGHEST)
  norms = jnp.diagonal(gram)
  squared = jnp.maximum(norms[:, None] + norms[None, :] - 2 * gram, 0.0)
  return jnp.where(jnp.eye(len(flat), dtype=bool), 0.0, squared)


def distances(squared: jax.Array) -> jax.Array:
  """Computes the square roots of `squared [batch, batch]`.

  The square root has no gradient at 0. Here it is 0, so equal examples do not
  move.
  """
  positive = squared > 0
  return jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1)), 0)


def same_label(labels: jax.Array) -> jax.Array:
  """Returns which pairs share a label: `[batch]` to bool `[batch, batch]`."""
  return labels[:, None] == labels[None, :]
