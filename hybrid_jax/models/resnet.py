"""ResNet of basic blocks for pictures, with GroupNorm in place of BatchNorm.

He et al., "Deep residual learning for image recognition", CVPR 2016; the
defaults are ResNet-18. GroupNorm: Wu and He, ECCV 2018. The split points are
the stem, the four stages and the mean over all pixels.
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
    use_bias=False,  # The norm has a bias.
    kernel_init=nn.initializers.he_normal(),
    conv_general_dilated=convolution.conv_general_dilated,
    name=name,
  )
  norm = normalization.group_norm(width, f'{name}_norm')
  return lambda x: norm(conv(x))


class Stem(nn.Module):
  """The layers before the stages: `[b, h, w, c]` to `[b, h/4, w/4, width]`.

  A 7x7 convolution with stride 2, GroupNorm, ReLU, and a 3x3 max-pool with
  stride 2. For small pictures it is a 3x3 convolution, GroupNorm and ReLU,
  which keep the size.
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
  """Residual block: two 3x3 convolutions added to the input, then ReLU.

  The first convolution has the stride. If the shape changes, the input goes
  through a 1x1 convolution.
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
  """A sequence of `depth` residual blocks of `width` channels.

  Maps `[b, h, w, c]` to `[b, h / stride, w / stride, width]`, rounded up. The
  first block has the stride; the others have stride 1.
  """

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
  """The network for `x [b, h, w, c]`; in the paper `[b, 224, 224, 3]`.

  Attributes:
    classes: the number of logits.
    depths: the number of blocks in each of the four stages.
    width: the channels of the first stage; each further stage doubles them.
    small: whether the stem is for pictures of about 64 pixels or fewer.

  Raises:
    UserError: when the model is applied, if `depths` is not four positive
      numbers.
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
