"""Losses: pure functions of a batch, in nats, averaged over it."""

import jax
import jax.numpy as jnp
import optax

from hybrid_jax.defences import pairs


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
  """Bits that a release can tell beyond its class: `metrics.ceiling`'s bound.

  `sum_y P(y) 1/2 log2 det(I + Cov(p | y))` over the batch, which bounds the
  mutual information, given the label, between anything and `p` plus noise of
  unit variance: at a given covariance the Gaussian has the most entropy.

  Args:
    released: `[batch, d]`, without noise, in units of the noise.
    labels: `[batch]`.
    classes: how many there may be.
  """
  member = jax.nn.one_hot(labels, classes)
  count = member.sum(axis=0)
  some = jnp.maximum(count, 1)
  centred = released - ((member.T @ released) / some[:, None])[labels]
  covariance = (
    jnp.einsum('bk,bi,bj->kij', member, centred, centred) / some[:, None, None]
  )
  _, logdet = jnp.linalg.slogdet(jnp.eye(released.shape[1]) + covariance)
  return jnp.sum(count / len(labels) * 0.5 * logdet) / jnp.log(2)


def distance_correlation(a: jax.Array, b: jax.Array) -> jax.Array:
  """The distance correlation of `a [batch, ...]` and `b [batch, ...]`: 0 to 1.

  Zero, in the limit, only where they are independent (Szekely, Rizzo and
  Bakirov, Annals of Statistics 35, 2007).
  """

  def centred(x):
    d = pairs.distances(pairs.squared_distances(x))
    return d - d.mean(0) - d.mean(1, keepdims=True) + d.mean()

  x, y = centred(a), centred(b)
  covariance = jnp.maximum(jnp.mean(x * y), 1e-12)
  scale = jnp.sqrt(jnp.mean(x * x) * jnp.mean(y * y))
  return jnp.sqrt(covariance / jnp.maximum(scale, 1e-12))
