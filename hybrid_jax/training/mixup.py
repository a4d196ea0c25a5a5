"""Mixup: training on weighted means of two examples and of their labels.

Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018.
"""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Mixture:
  """Weights and partners of a batch.

  Attributes:
    share: `[batch]`, the weight of each example; its partner has the rest.
    partner: `[batch]`, the row of each example's partner.
  """

  share: jax.Array
  partner: jax.Array

  def __call__(self, x: jax.Array) -> jax.Array:
    """Returns the mixtures of `x [batch, ...]`."""
    share = self.share.reshape(-1, *[1] * (x.ndim - 1))
    return share * x + (1 - share) * x[self.partner]


def draw(key: jax.Array, count: int, strength: float) -> Mixture:
  """Draws the mixture of a batch of `count` examples.

  Args:
    key: the random key.
    count: the size of the batch.
    strength: both parameters of the beta distribution of the weights. 0 mixes
      nothing.
  """
  rows = jnp.arange(count)
  if not strength:
    return Mixture(jnp.ones(count), rows)
  share_key, order_key = jax.random.split(key)
  share = jax.random.beta(share_key, strength, strength, (count,))
  return Mixture(share, jax.random.permutation(order_key, rows))
