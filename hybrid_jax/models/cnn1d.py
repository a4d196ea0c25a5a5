"""Convolutional network for signals `[batch, 1, time, channels]`.

Three blocks of convolution along time, max-pool and ReLU (`conv1` to `conv3`),
then a dense layer (`dense1`) and the head. It is written in two dimensions,
because a one-dimensional max-pool is slow in TFLite and cannot be quantised.
"""

from typing import ClassVar

import jax
from flax import linen as nn

from hybrid_jax.models import split_model
from hybrid_jax.models.ops import convolution, pooling


class ConvBlock(nn.Module):
  """Convolution along time, max-pool by 2, and ReLU.

  `[b, 1, t, c]` to `[b, 1, t // 2, width]`. ReLU and max-pool commute; after
  the pool, the ReLU has half the work.
  """

  width: int
  kernel: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = nn.Conv(
      self.width,
      (1, self.kernel),
      conv_general_dilated=convolution.conv_general_dilated,
    )(x)
    return nn.relu(pooling.max_pool(x, (1, 2)))


class DenseBlock(nn.Module):
  """Flattening, a dense layer, and ReLU: `[b, ...]` to `[b, width]`."""

  width: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    return nn.relu(nn.Dense(self.width)(x.reshape(x.shape[0], -1)))


class Model(split_model.SplitModel):
  """The network.

  Attributes:
    classes: the number of logits.
    widths: the channels of each convolution block.
    kernel: the kernel size of the convolutions, in samples.
    dense: the width of the dense layer.
  """

  classes: int
  widths: tuple[int, ...] = (32, 64, 64)
  kernel: int = 5
  dense: int = 64

  SPLIT_POINTS: ClassVar[tuple[str, ...]] = (
    'conv1',
    'conv2',
    'conv3',
    'dense1',
  )
  EXAMPLE: ClassVar[tuple[int, ...]] = (1, 128, 6)

  def setup(self) -> None:
    *convolutions, dense = self.SPLIT_POINTS
    for name, width in zip(convolutions, self.widths, strict=True):
      setattr(self, name, ConvBlock(width, self.kernel))
    setattr(self, dense, DenseBlock(self.dense))
    self.head = nn.Dense(self.classes)
