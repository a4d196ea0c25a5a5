"""Losses: pure functions that return the mean over a batch."""

import jax
import jax.numpy as jnp
import optax

from hybrid_jax.defences import pairs


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """Computes the mean cross-entropy in nats.

  Args:
    logits: `[batch, k]`.
    labels: `[batch]`.
  """
  return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def contrastive(
  features: jax.Array, labels: jax.Array, margin: float, balance_pairs: bool
) -> jax.Array:
  """Computes the contrastive loss over all pairs of a batch.

  `mean[t d^2 + (1 - t) max(0, margin - d)^2]`, where t is 1 for a pair with the
  same label, and d is the Euclidean distance (Hadsell, Chopra and LeCun, CVPR
  2006; Osia et al., arXiv 1703.02952, weight it by half of lambda). An example
  and itself are not a pair.

  Args:
    features: `[batch, ...]`.
    labels: `[batch]`.
    margin: pairs with different labels repel up to this distance.
    balance_pairs: give the mean over pairs with the same label and the mean
      over the other pairs equal weight, whatever their numbers.
  """
  squared = pairs.squared_distances(features)
  same = pairs.same_label(labels)
  apart = jnp.square(jnp.maximum(0.0, margin - pairs.distances(squared)))
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


def gaussian_bits(
  released: jax.Array, labels: jax.Array, classes: int
) -> jax.Array:
  """Computes an upper bound of the information beyond the label, in bits.

  `sum_y P(y) 1/2 log2 det(I + Cov(p | y))` over the batch, as in
  `metrics.bayes_ceiling`. It bounds the mutual information between `p` plus
  noise of unit variance and anything else, given the label, because the
  Gaussian has the largest entropy of all distributions with one covariance.

  Args:
    released: `[batch, d]`, without noise, in units of the noise.
    labels: `[batch]`.
    classes: the number of classes.
  """
  member = jax.nn.one_hot(labels, classes)
  count = member.sum(axis=0)
  divisor = jnp.maximum(count, 1)
  centred = released - ((member.T @ released) / divisor[:, None])[labels]
  covariance = (
    jnp.einsum('bk,bi,bj->kij', member, centred, centred)
    / divisor[:, None, None]
  )
  _, logdet = jnp.linalg.slogdet(jnp.eye(released.shape[1]) + covariance)
  return jnp.sum(count / len(labels) * 0.5 * logdet) / jnp.log(2)


def distance_correlation(a: jax.Array, b: jax.Array) -> jax.Array:
  """Computes the distance correlation, from 0 to 1.

  With many examples it is zero only if `a` and `b` are independent (Szekely,
  Rizzo and Bakirov, Annals of Statistics 35, 2007).

  Args:
    a: `[batch, ...]`.
    b: `[batch, ...]`.
  """

  def centred(x):
    d = pairs.distances(pairs.squared_distances(x))
    return d - d.mean(0) - d.mean(1, keepdims=True) + d.mean()

  x, y = centred(a), centred(b)
  covariance = jnp.maximum(jnp.mean(x * y), 1e-12)
  scale = jnp.sqrt(jnp.mean(x * x) * jnp.mean(y * y))
  return jnp.sqrt(covariance / jnp.maximum(scale, 1e-12))
