"""Adversarial training with gradient reversal.

The adversary minimises its loss. Its gradient changes sign on the way into the
edge, which so maximises that loss. Ganin and Lempitsky, "Unsupervised domain
adaptation by backpropagation" (ICML 2015).
"""

import jax
import ml_collections

from hybrid_jax.defences import penalties

TITLE = 'gradient reversal'
COLOUR = '#D55E00'

OPTIONS = {
  'weight': penalties.weight_option(0.3),
  'adversary_factor': penalties.ADVERSARY_FACTOR,
}


@jax.custom_vjp
def reverse(x: jax.Array, weight: float | jax.Array) -> jax.Array:
  """Returns `x`; its gradient is `-weight` times the incoming one.

  Args:
    x: `[...]`.
    weight: a scalar, which itself has no gradient.
  """
  del weight
  return x


reverse.defvjp(
  lambda x, weight: (x, weight),
  lambda weight, g: (-weight * g, None),
)


def make(config: ml_collections.ConfigDict) -> penalties.Defence:
  """Returns the defence, with one adversary for each sensitive label."""
  del config

  def penalty(params, batch, weight):
    released = reverse(batch.noisy, weight)
    return penalties.adversary_loss(params, released, batch.sensitive)

  return penalties.Defence(penalty, penalties.init_adversary)
