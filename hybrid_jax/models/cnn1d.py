"""A 1-D CNN for signals, written as 2-D over `[batch, 1, time, channels]`.

Three blocks of convolution, max-pool and ReLU, then a dense layer. Two
dimensions, because a one-dimensional max-pool is slow and cannot be quantised
once it is exported to TFLite.
"""

from typing import ClassVar

import jax
from flax import linen as nn

from hybrid_jax.models import split_model
from hybrid_jax.models.ops import convolution, pooling


class ConvBlock(nn.Module):
  """Convolution along time, max-pool by 2, ReLU: `[b, 1, t, c]` to t / 2.

  The ReLU comes after the pool: the two commute, and it is half the work.
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
  """Everything flattened, a dense layer, ReLU: `[b, ...]` to `[b, width]`."""

  width: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    return nn.relu(nn.Dense(self.width)(x.reshape(x.shape[0], -1)))


class Model(split_model.SplitModel):
  """See the module. `widths` has one entry for each block of convolution."""

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
