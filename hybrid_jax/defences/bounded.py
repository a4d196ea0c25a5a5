"""Trains the certified bound: bits about anything but the primary label.

The penalty is `sum_y P(y) 1/2 log2 det(I + Cov(p | y))`, which bounds the
mutual information between what is released and any label, given the primary
one; see `metrics.ceiling`. Cousins are the variational information bottleneck
(Alemi et al., ICLR 2017) and the conditional entropy bottleneck (Fischer,
Entropy 22, 2020), which bound the information about the input and learn a
density for it; here the noise is given, and a covariance is enough.
"""

import ml_collections

from hybrid_jax.defences import losses, penalties

TITLE = 'bounded'
COLOUR = '#CC79A7'

OPTIONS = {'weight': penalties.weight_option(0.3)}


def make(config: ml_collections.ConfigDict) -> penalties.Defence:
  """The bound over each batch, in bits."""
  del config
  return penalties.Defence(
    lambda params, batch, weight: (
      weight * losses.gaussian_bits(batch.clean, batch.primary, batch.classes)
    )
  )
