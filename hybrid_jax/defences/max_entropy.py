"""Adversarial training that maximises the entropy of the adversary.

The adversary minimises its cross-entropy. The edge makes the adversary's
prediction uniform, which is more stable than gradient reversal. Roy and
Boddeti, "Mitigating information leakage in image representations: a maximum
entropy approach" (CVPR 2019).
"""

import jax
import jax.numpy as jnp
import ml_collections

from hybrid_jax.defences import penalties
from hybrid_jax.models import perceptron

TITLE = 'maximum entropy'
COLOUR = '#009E73'

OPTIONS = {
  'weight': penalties.weight_option(1.0),
  'adversary_factor': penalties.ADVERSARY_FACTOR,
}


def make(config: ml_collections.ConfigDict) -> penalties.Defence:
  """Returns the defence, with one adversary for each sensitive label."""
  del config

  def penalty(params, batch, weight):
    # The adversary's loss gives the edge no gradient, and the entropy gives the
    # adversary none.
    total = penalties.adversary_loss(
      params, jax.lax.stop_gradient(batch.noisy), batch.sensitive
    )
    for name in batch.sensitive:
      frozen = jax.lax.stop_gradient(params[name])
      log_probs = jax.nn.log_softmax(perceptron.apply(frozen, batch.noisy))
      entropy = -jnp.sum(jnp.exp(log_probs) * log_probs, axis=-1).mean()
      total += weight * (jnp.log(log_probs.shape[-1]) - entropy)
    return total

  return penalties.Defence(penalty, penalties.init_adversary)
