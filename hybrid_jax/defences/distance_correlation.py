"""NoPeek: penalises the distance correlation of the input and the release.

Vepakomma et al., "NoPeek: Information leakage reduction to share activations in
distributed deep learning" (ICDM workshops 2020). Distance correlation: Szekely,
Rizzo and Bakirov (Annals of Statistics 35, 2007).
"""

import ml_collections

from hybrid_jax.defences import losses, penalties

TITLE = 'distance correlation'
COLOUR = '#56B4E9'

OPTIONS = {'weight': penalties.weight_option(1.0)}


def make(config: ml_collections.ConfigDict) -> penalties.Defence:
  """Returns the penalty, computed on each batch."""
  del config
  return penalties.Defence(
    lambda params, batch, weight: (
      weight * losses.distance_correlation(batch.x, batch.clean)
    )
  )
