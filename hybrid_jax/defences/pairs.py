"""All pairs of a batch, from one forward pass and one Gram matrix."""

import jax
import jax.numpy as jnp


def squared_distances(features: jax.Array) -> jax.Array:
  """Squared Euclidean distances between all rows, through one Gram matrix.

  Args:
    features: `[batch, ...]`; flattened, and computed in float32.

  Returns:
    `[batch, batch]`, zero on the diagonal; never a `[batch, batch, d]` array.
  """
  flat = features.reshape(features.shape[0], -1).astype(jnp.float32)
  # Centred first: distances do not change, and cancellation is far less.
  flat = flat - flat.mean(axis=0)
  gram = jnp.matmul(flat, flat.T, precision=jax.lax.Precision.HIGHEST)
  norms = jnp.diagonal(gram)
  squared = jnp.maximum(norms[:, None] + norms[None, :] - 2 * gram, 0.0)
  return jnp.where(jnp.eye(len(flat), dtype=bool), 0.0, squared)


def distances(squared: jax.Array) -> jax.Array:
  """The roots of `squared [batch, batch]`, with a gradient of 0 at 0.

  The root itself has none there, so that equal examples are moved by no one.
  """
  positive = squared > 0
  return jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1)), 0)


def same_label(labels: jax.Array) -> jax.Array:
  """Whether two examples share their label: `[batch]` to `[batch, batch]`."""
  return labels[:, None] == labels[None, :]
