"""Penalises a bound on the information beyond the primary label.

The penalty is `sum_y P(y) 1/2 log2 det(I + Cov(p | y))` in bits. It is an upper
bound of the mutual information between the release and any other label, given
the primary label; see `metrics.bayes_ceiling`. Related are the variational
information bottleneck (Alemi et al., ICLR 2017) and the conditional entropy
bottleneck (Fischer, Entropy 22, 2020). They bound the information about the
input and learn a density for it; here the noise is fixed, and a covariance is
enough.
"""

import ml_collections

from hybrid_jax.defences import losses, penalties

TITLE = 'bounded'
COLOUR = '#CC79A7'

OPTIONS = {'weight': penalties.weight_option(0.3)}


def make(config: ml_collections.ConfigDict) -> penalties.Defence:
  """Returns the penalty, computed on each batch."""
  del config
  return penalties.Defence(
    lambda params, batch, weight: (
      weight * losses.gaussian_bits(batch.clean, batch.primary, batch.classes)
    )
  )
