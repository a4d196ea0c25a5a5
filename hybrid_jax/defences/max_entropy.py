"""Adversarial training: the adversary's answer should be a uniform guess.

Roy and Boddeti, "Mitigating information leakage in image representations: a
maximum entropy approach" (CVPR 2019): the adversary learns to answer, and the
edge to leave it without an opinion, which is a steadier game than reversal.
"""

import jax
import jax.numpy as jnp
import ml_collections

from hybrid_jax.defences import penalties

TITLE = 'maximum entropy'
COLOUR = '#009E73'

OPTIONS = {
  'weight': penalties.weight_option(1.0),
  'adversary_factor': penalties.ADVERSARY_FACTOR,
}


def make(config: ml_collections.ConfigDict) -> penalties.Defence:
  """One adversary for each sensitive label, trained at the same time."""
  del config

  def penalty(params, batch, weight):
    # The adversary learns from what the edge cannot feel, and the edge from an
    # adversary that cannot move.
    total = penalties.adversary_loss(
      params, jax.lax.stop_gradient(batch.noisy), batch.sensitive
    )
    for name in batch.sensitive:
      frozen = jax.lax.stop_gradient(params[name])
      log_probs = jax.nn.log_softmax(
        penalties.adversary_logits(frozen, batch.noisy)
      )
      entropy = -jnp.sum(jnp.exp(log_probs) * log_probs, axis=-1).mean()
      total += weight * (jnp.log(log_probs.shape[-1]) - entropy)
    return total

  return penalties.Defence(penalty, penalties.init_adversary)
