"""Pair loss of deep private-feature extraction (DPFE).

Within a primary class, pairs with different sensitive labels attract and pairs
with the same sensitive label repel. Osia et al., "Deep Private-Feature
Extraction" (arXiv 1802.03151).
"""

import jax.numpy as jnp
import ml_collections

from hybrid_jax.defences import pairs, penalties

TITLE = 'DPFE'
COLOUR = '#E69F00'

OPTIONS = {
  'weight': penalties.weight_option(0.03),
  'margin': penalties.MARGIN,
}


def make(config: ml_collections.ConfigDict) -> penalties.Defence:
  """Returns the penalty, averaged over the sensitive labels.

  Args:
    config: `margin`, in units of the noise: pairs with the same sensitive label
      repel up to this distance.
  """

  def penalty(params, batch, weight):
    del params
    squared = pairs.squared_distances(batch.clean)
    apart = jnp.square(
      jnp.maximum(0.0, config.margin - pairs.distances(squared))
    )
    alike = pairs.same_label(batch.primary) & ~jnp.eye(len(squared), dtype=bool)
    total = 0.0
    for labels in batch.sensitive.values():
      same = pairs.same_label(labels)
      attract = (alike & ~same).astype(jnp.float32)
      repel = (alike & same).astype(jnp.float32)
      total += (attract * squared).sum() / jnp.maximum(attract.sum(), 1)
      total += (repel * apart).sum() / jnp.maximum(repel.sum(), 1)
    return 0.5 * weight * total / len(batch.sensitive)

  return penalties.Defence(penalty)
