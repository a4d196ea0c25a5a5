"""VGG-16 for pictures: thirteen 3x3 convolutions and two dense layers.

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
recognition", ICLR 2015, configuration D. Every convolution, max-pool and dense
layer is a split point; `head` is the paper's fc8. There is no dropout.
"""

from typing import ClassVar

import jax
from flax import linen as nn

from hybrid_jax.models import split_model
from hybrid_jax.models.ops import convolution, normalization, pooling

# With smaller initial weights a plain network of this depth does not learn.
_HE = nn.initializers.he_normal()
_WIDTHS = (64, 128, 256, 512, 512)
_DENSE = 4096


class ConvBlock(nn.Module):
  """A 3x3 convolution and ReLU: `[b, h, w, c]` to `[b, h, w, width]`."""

  width: int
  norm: bool

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = nn.Conv(
      self.width,
      (3, 3),
      kernel_init=_HE,
      conv_general_dilated=convolution.conv_general_dilated,
      name='conv',
    )(x)
    if self.norm:
      x = normalization.group_norm(self.width, 'norm')(x)
    return nn.relu(x)


class PoolBlock(nn.Module):
  """Max-pool by 2: `[b, h, w, c]` to `[b, h // 2, w // 2, c]`.

  An axis of one pixel is not pooled.
  """

  def __call__(self, x: jax.Array) -> jax.Array:
    window = (min(2, x.shape[1]), min(2, x.shape[2]))
    return pooling.max_pool(x, window)


class DenseBlock(nn.Module):
  """Flattening, a dense layer, and ReLU: `[b, ...]` to `[b, width]`.

  The axes are flattened in the order height, width, channel.
  """

  width: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = x.reshape(x.shape[0], -1)
    return nn.relu(nn.Dense(self.width, kernel_init=_HE, name='dense')(x))


def scaled(size: int, width: float) -> int:
  """Returns `size * width` channels, rounded, at least one."""
  return max(1, round(size * width))


class Model(split_model.SplitModel):
  """The network for `x [b, h, w, c]`; in the paper `[b, 224, 224, 3]`.

  Attributes:
    classes: the number of logits.
    width: factor of all widths; 1 is the network of the paper.
    dense: the width of fc6 and fc7; 0 means 4096 times `width`.
    norm: whether there is a GroupNorm before each ReLU of a convolution. The
      paper has none; it helps when training from random weights.
  """

  classes: int
  width: float = 1.0
  dense: int = 0
  norm: bool = False

  SPLIT_POINTS: ClassVar[tuple[str, ...]] = (
    'conv1_1',
    'conv1_2',
    'pool1',
    'conv2_1',
    'conv2_2',
    'pool2',
    'conv3_1',
    'conv3_2',
    'conv3_3',
    'pool3',
    'conv4_1',
    'conv4_2',
    'conv4_3',
    'pool4',
    'conv5_1',
    'conv5_2',
    'conv5_3',
    'pool5',
    'fc6',
    'fc7',
  )
  EXAMPLE: ClassVar[tuple[int, ...]] = (224, 224, 3)

  def setup(self) -> None:
    for name in self.SPLIT_POINTS:
      setattr(self, name, self._block(name))
    self.head = nn.Dense(self.classes)

  def _block(self, name: str) -> nn.Module:
    if name.startswith('fc'):
      return DenseBlock(self.dense or scaled(_DENSE, self.width))
    if name.startswith('pool'):
      return PoolBlock()
    stage = int(name.removeprefix('conv').partition('_')[0])
    return ConvBlock(scaled(_WIDTHS[stage - 1], self.width), self.norm)
