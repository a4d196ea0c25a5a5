"""Normalization without batch statistics, so that each example is its own.

Batch statistics would tie an example's features to its neighbours in training,
and a device has one example at a time.
"""

from flax import linen as nn

CHANNELS_IN_A_GROUP = 8


def group_norm(channels: int, name: str) -> nn.GroupNorm:
  """A GroupNorm of `channels`, with a scale and a bias for each of them.

  Groups hold 8 channels, or all of them where 8 does not divide their number:
  with one channel to a group, a picture of one pixel would become all zeros.
  Source: Wu and He, "Group normalization", ECCV 2018.

  Args:
    channels: the last axis of what is normalized.
    name: what the layer is called among the parameters.
  """
  whole = channels % CHANNELS_IN_A_GROUP == 0
  groups = channels // CHANNELS_IN_A_GROUP if whole else 1
  return nn.GroupNorm(num_groups=groups, name=name)
