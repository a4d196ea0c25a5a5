"""Contrastive loss on the outputs of the bottleneck (arXiv 1703.02952)."""

import ml_collections

from hybrid_jax.defences import losses, penalties

TITLE = 'Siamese (contrastive)'
COLOUR = '#0072B2'

OPTIONS = {
  'weight': penalties.weight_option(3.0),
  'margin': penalties.MARGIN,
}


def make(config: ml_collections.ConfigDict) -> penalties.Defence:
  """Returns the penalty over all pairs of a batch.

  Args:
    config: `margin`, in units of the noise.
  """
  return penalties.Defence(
    lambda params, batch, weight: (
      0.5
      * weight
      * losses.contrastive(batch.clean, batch.primary, config.margin, True)
    )
  )
