"""Adversarial training: the edge climbs what an adversary descends.

Ganin and Lempitsky, "Unsupervised domain adaptation by backpropagation" (ICML
2015): the adversary's gradient is turned round on its way into the edge.
"""

import functools

import jax
import ml_collections

from hybrid_jax.defences import penalties

TITLE = 'gradient reversal'
COLOUR = '#D55E00'

OPTIONS = {
  'weight': penalties.weight_option(0.3),
  'adversary_factor': penalties.ADVERSARY_FACTOR,
}


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def reverse(x: jax.Array, weight: float) -> jax.Array:
  """`x`, with a gradient of `-weight` times what comes back."""
  del weight
  return x


reverse.defvjp(
  lambda x, weight: (x, None),
  lambda weight, _, g: (jax.tree.map(lambda a: -weight * a, g),),
)


def make(config: ml_collections.ConfigDict) -> penalties.Defence:
  """One adversary for each sensitive label, trained at the same time."""
  del config

  def penalty(params, batch, weight):
    released = reverse(batch.noisy, weight)
    return penalties.adversary_loss(params, released, batch.sensitive)

  return penalties.Defence(penalty, penalties.init_adversary)
