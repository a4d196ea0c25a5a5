"""Normalization layers without batch statistics.

With batch statistics, the features of an example would depend on the rest of
its batch, and a device has one example at a time.
"""

from flax import linen as nn

CHANNELS_IN_A_GROUP = 8


def group_norm(channels: int, name: str) -> nn.GroupNorm:
  """Returns a GroupNorm layer with groups of 8 channels.

  If 8 does not divide the number of channels, there is one group. Groups of one
  channel would turn a picture of one pixel into zeros. Source: Wu and He,
  "Group normalization", ECCV 2018.

  Args:
    channels: the size of the last axis of the input.
    name: the name of the layer in the parameters.
  """
  divides = channels % CHANNELS_IN_A_GROUP == 0
  groups = channels // CHANNELS_IN_A_GROUP if divides else 1
  return nn.GroupNorm(num_groups=groups, name=name)
