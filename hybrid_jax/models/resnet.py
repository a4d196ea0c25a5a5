"""A residual network of basic blocks, with GroupNorm for BatchNorm.

He et al., "Deep residual learning for image recognition", CVPR 2016; the
defaults are ResNet-18. Wu and He, "Group normalization", ECCV 2018.
"""

from typing import ClassVar

import jax
from flax import linen as nn

from hybrid_jax import errors
from hybrid_jax.models import split_model
from hybrid_jax.models.ops import convolution, normalization, pooling

_STAGES = 4


def _conv_norm(width, kernel, stride, name):
  conv = nn.Conv(
    width,
    (kernel, kernel),
    strides=stride,
    use_bias=False,  # The norm has one.
    kernel_init=nn.initializers.he_normal(),
    conv_general_dilated=convolution.conv_general_dilated,
    name=name,
  )
  norm = normalization.group_norm(width, f'{name}_norm')
  return lambda x: norm(conv(x))


class Stem(nn.Module):
  """What comes before the stages: `[b, h, w, c]` to a quarter of each side.

  A 7x7 convolution at stride 2, GroupNorm, ReLU, and a 3x3 max-pool at stride
  2; or, for small pictures, a 3x3 convolution that keeps the size, and no pool.
  """

  width: int
  small: bool

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    if self.small:
      return nn.relu(_conv_norm(self.width, 3, 1, 'conv')(x))
    x = nn.relu(_conv_norm(self.width, 7, 2, 'conv')(x))
    return pooling.max_pool(x, (3, 3), (2, 2), 'SAME')


class BasicBlock(nn.Module):
  """Two 3x3 convolutions added to the input, the first at `stride`, ReLU.

  Where the shape changes, the input goes through a 1x1 convolution.
  """

  width: int
  stride: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    y = nn.relu(_conv_norm(self.width, 3, self.stride, 'conv1')(x))
    y = _conv_norm(self.width, 3, 1, 'conv2')(y)
    if self.stride != 1 or x.shape[-1] != self.width:
      x = _conv_norm(self.width, 1, self.stride, 'shortcut')(x)
    return nn.relu(x + y)


class Stage(nn.Module):
  """`depth` blocks of one width; the first of them has the stride."""

  depth: int
  width: int
  stride: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    for i in range(self.depth):
      stride = 1 if i else self.stride
      x = BasicBlock(self.width, stride, name=f'block{i + 1}')(x)
    return x


class MeanBlock(nn.Module):
  """The mean over all pixels: `[b, h, w, c]` to `[b, c]`."""

  def __call__(self, x: jax.Array) -> jax.Array:
    return x.mean(axis=(1, 2))


class Model(split_model.SplitModel):
  """`x [b, h, w, c]` to logits; the published one takes `[b, 224, 224, 3]`.

  Attributes:
    classes: how many logits.
    depths: how many blocks each of the four stages has.
    width: the first stage's; each further stage doubles it.
    small: the stem for pictures of some 64 pixels and less.

  Raises:
    UserError: when it is used, if `depths` is not four positive numbers.
  """

  classes: int
  depths: tuple[int, ...] = (2, 2, 2, 2)
  width: int = 64
  small: bool = False

  SPLIT_POINTS: ClassVar[tuple[str, ...]] = (
    'stem',
    'stage1',
    'stage2',
    'stage3',
    'stage4',
    'pool',
  )
  EXAMPLE: ClassVar[tuple[int, ...]] = (224, 224, 3)

  def setup(self) -> None:
    if len(self.depths) != _STAGES or min(self.depths) < 1:
      raise errors.UserError(
        f'depths is {tuple(self.depths)}; resnet needs {_STAGES} numbers, each'
        ' at least 1.'
      )
    self.stem = Stem(self.width, self.small)
    self.stage1, self.stage2, self.stage3, self.stage4 = (
      Stage(depth, self.width * 2**i, stride=2 if i else 1)
      for i, depth in enumerate(self.depths)
    )
    self.pool = MeanBlock()
    self.head = nn.Dense(self.classes)
