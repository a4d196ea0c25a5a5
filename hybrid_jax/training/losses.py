"""Losses: pure functions of a batch, in nats, averaged over it."""

import jax
import jax.numpy as jnp
import optax

from hybrid_jax.training import pairs


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """Mean cross-entropy of `logits [batch, k]` with `labels [batch]`."""
  return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def contrastive(
  features: jax.Array, labels: jax.Array, margin: float, balance_pairs: bool
) -> jax.Array:
  """The contrastive loss over all pairs of the batch.

  `mean[t d^2 + (1 - t) max(0, margin - d)^2]`, where t is 1 for a pair of one
  label and d is the Euclidean distance (Hadsell, Chopra and LeCun, CVPR 2006;
  Osia et al., arXiv 1703.02952, who weight it by half of lambda). An example is
  no pair of itself.

  Args:
    features: `[batch, ...]`.
    labels: `[batch]`.
    margin: pairs of different labels are pushed until this far apart.
    balance_pairs: weigh the mean over same-pairs and the mean over
      different-pairs equally, however many there are of each.
  """
  squared = pairs.squared_distances(features)
  same = pairs.same_label(labels)
  # sqrt has no gradient at 0; there the different-pair is pushed by no one.
  positive = squared > 0
  distance = jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1)), 0)
  apart = jnp.square(jnp.maximum(0.0, margin - distance))
  off_diagonal = ~jnp.eye(len(labels), dtype=bool)
  is_same = (same & off_diagonal).astype(jnp.float32)
  is_different = (~same).astype(jnp.float32)
  total_same = jnp.sum(is_same * squared)
  total_different = jnp.sum(is_different * apart)
  if balance_pairs:
    return 0.5 * (
      total_same / jnp.maximum(is_same.sum(), 1)
      + total_different / jnp.maximum(is_different.sum(), 1)
    )
  return (total_same + total_different) / off_diagonal.sum()
