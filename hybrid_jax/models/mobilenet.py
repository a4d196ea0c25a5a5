"""MobileNetV3-Small for pictures, with GroupNorm in place of BatchNorm.

Howard et al., "Searching for MobileNetV3", ICCV 2019, table 2. The split points
are the stem, the eleven inverted residual blocks, the pooled top convolution
and the dense layer.
"""

from typing import ClassVar

import jax
from flax import linen as nn

from hybrid_jax.models import resnet, split_model
from hybrid_jax.models.ops import convolution, normalization

# Kernel, expanded width, width, squeeze-and-excite, hard-swish, stride.
_BLOCKS: tuple[tuple[int, int, int, bool, bool, int], ...] = (
  (3, 16, 16, True, False, 2),
  (3, 72, 24, False, False, 2),
  (3, 88, 24, False, False, 1),
  (5, 96, 40, True, True, 2),
  (5, 240, 40, True, True, 1),
  (5, 240, 40, True, True, 1),
  (5, 120, 48, True, True, 1),
  (5, 144, 48, True, True, 1),
  (5, 288, 96, True, True, 2),
  (5, 576, 96, True, True, 1),
  (5, 576, 96, True, True, 1),
)
_STEM, _TOP, _DENSE = 16, 576, 1024
_HE = nn.initializers.he_normal()


def scaled(size: float, width: float = 1.0) -> int:
  """Returns `size * width`, rounded to a multiple of 8, at least 8.

  It is rounded up where rounding down would lose more than a tenth, as in the
  code of the paper.
  """
  exact = size * width
  rounded = max(8, int(exact + 4) // 8 * 8)
  return rounded if rounded >= 0.9 * exact else rounded + 8


class ConvNorm(nn.Module):
  """A convolution with GroupNorm, or with a bias if `norm` is false.

  `[b, h, w, c]` to `[b, ceil(h / stride), ceil(w / stride), width]`.
  """

  width: int
  kernel: int = 1
  stride: int = 1
  depthwise: bool = False
  norm: bool = True

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = nn.Conv(
      self.width,
      (self.kernel, self.kernel),
      strides=self.stride,
      feature_group_count=x.shape[-1] if self.depthwise else 1,
      use_bias=not self.norm,
      kernel_init=_HE,
      conv_general_dilated=convolution.conv_general_dilated,
      name='conv',
    )(x)
    if self.norm:
      x = normalization.group_norm(self.width, 'norm')(x)
    return x


class SqueezeExcite(nn.Module):
  """Squeeze-and-excitation: multiplies each channel by a factor in [0, 1].

  The factors are computed from the means of all channels. Hu et al.,
  "Squeeze-and-excitation networks", CVPR 2018, with the hard sigmoid of
  MobileNetV3.
  """

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    channels = x.shape[-1]
    means = x.mean(axis=(1, 2))
    hidden = nn.relu(nn.Dense(scaled(channels // 4), name='squeeze')(means))
    gate = nn.hard_sigmoid(nn.Dense(channels, name='excite')(hidden))
    return x * gate[:, None, None]


class Bottleneck(nn.Module):
  """Inverted residual block: expansion, depthwise convolution, projection.

  The projection is linear. The input is added if the shape does not change.
  """

  kernel: int
  expanded: int
  width: int
  excite: bool
  swish: bool
  stride: int
  norm: bool

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    activation = nn.hard_swish if self.swish else nn.relu
    y = x
    if self.expanded != x.shape[-1]:
      y = ConvNorm(self.expanded, norm=self.norm, name='expand')(y)
      y = activation(y)
    y = ConvNorm(
      self.expanded,
      self.kernel,
      self.stride,
      depthwise=True,
      norm=self.norm,
      name='depthwise',
    )(y)
    y = activation(y)
    if self.excite:
      y = SqueezeExcite(name='excite')(y)
    y = ConvNorm(self.width, norm=self.norm, name='project')(y)
    return x + y if x.shape == y.shape else y


class Stem(nn.Module):
  """A 3x3 convolution with stride 2, norm, and hard-swish."""

  width: int
  norm: bool

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    return nn.hard_swish(ConvNorm(self.width, 3, 2, norm=self.norm)(x))


class Top(nn.Module):
  """A 1x1 convolution, norm, hard-swish, and the mean over all pixels.

  `[b, h, w, c]` to `[b, width]`.
  """

  width: int
  norm: bool

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = nn.hard_swish(ConvNorm(self.width, norm=self.norm)(x))
    return resnet.MeanBlock()(x)


class DenseBlock(nn.Module):
  """A dense layer and hard-swish: `[b, c]` to `[b, width]`."""

  width: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    return nn.hard_swish(nn.Dense(self.width, name='dense')(x))


class Model(split_model.SplitModel):
  """The network for `x [b, h, w, c]`; in the paper `[b, 224, 224, 3]`.

  Attributes:
    classes: the number of logits.
    width: factor of all widths, which are rounded to multiples of 8.
    norm: whether each convolution has a GroupNorm; if not, it has a bias.
  """

  classes: int
  width: float = 1.0
  norm: bool = True

  SPLIT_POINTS: ClassVar[tuple[str, ...]] = (
    'stem',
    'block1',
    'block2',
    'block3',
    'block4',
    'block5',
    'block6',
    'block7',
    'block8',
    'block9',
    'block10',
    'block11',
    'pool',
    'dense',
  )
  EXAMPLE: ClassVar[tuple[int, ...]] = (224, 224, 3)

  def setup(self) -> None:
    self.stem = Stem(scaled(_STEM, self.width), self.norm)
    blocks = enumerate(_BLOCKS, start=1)
    for i, (kernel, expanded, width, excite, swish, stride) in blocks:
      block = Bottleneck(
        kernel=kernel,
        expanded=scaled(expanded, self.width),
        width=scaled(width, self.width),
        excite=excite,
        swish=swish,
        stride=stride,
        norm=self.norm,
      )
      setattr(self, f'block{i}', block)
    self.pool = Top(scaled(_TOP, self.width), self.norm)
    self.dense = DenseBlock(scaled(_DENSE, self.width))
    self.head = nn.Dense(self.classes)
