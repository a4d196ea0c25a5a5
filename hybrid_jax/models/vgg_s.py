"""VGG-S for pictures: five convolutions and two dense layers.

Chatfield et al., "Return of the devil in the details", BMVC 2014, where it is
called CNN-S. Every convolution, max-pool and dense layer is a split point;
`head` is the paper's full8. Pooled sizes are rounded up, as in Caffe. There is
no dropout.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from hybrid_jax import errors
from hybrid_jax.models import split_model, vgg16
from hybrid_jax.models.ops import convolution, pooling

# Features, kernel, stride, padding.
_CONVOLUTIONS: dict[str, tuple[int, int, int, int | None]] = {
  'conv1': (96, 7, 2, 0),
  'conv2': (256, 5, 1, None),  # The padding is an option of the model.
  'conv3': (512, 3, 1, 1),
  'conv4': (512, 3, 1, 1),
  'conv5': (512, 3, 1, 1),
}
_POOLS = {'pool1': 3, 'pool2': 2, 'pool5': 3}
_DENSE = 4096


def local_response_norm(
  x: jax.Array,
  size: int = 5,
  alpha: float = 5e-4,
  beta: float = 0.75,
  k: float = 2.0,
) -> jax.Array:
  """Normalises each value by the squares of its neighbouring channels.

  `x / (k + alpha / size * sum of squares) ** beta`, where the sum runs over the
  `size` channels around each one. Channels outside the range count as 0.
  Source: section 3.3 of Krizhevsky et al., NeurIPS 2012; the division by `size`
  is Caffe's.

  Args:
    x: `[..., channels]`.
    size: the number of channels in the sum, an odd number.
    alpha: the weight of the squares.
    beta: the exponent.
    k: the constant added to the sum.

  Returns:
    The shape of `x`.
  """
  channel = np.arange(x.shape[-1])
  near = abs(channel[:, None] - channel) <= size // 2
  # A product with a matrix, because LiteRT has no windowed sum over channels;
  # on a CPU it is faster than a sum of shifted arrays.
  scale = k + alpha / size * (x * x) @ jnp.asarray(near, x.dtype)
  if beta == 0.75:  # Roots take less time than a power.
    return x * jax.lax.rsqrt(scale * jnp.sqrt(scale))
  return x * scale**-beta


class ConvBlock(nn.Module):
  """Convolution and ReLU, with an optional local response normalization."""

  width: int
  kernel: int
  stride: int
  padding: int
  normalize: bool

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = nn.Conv(
      self.width,
      (self.kernel, self.kernel),
      strides=self.stride,
      padding=self.padding,
      kernel_init=nn.initializers.he_normal(),
      conv_general_dilated=convolution.conv_general_dilated,
      name='conv',
    )(x)
    x = nn.relu(x)
    return local_response_norm(x) if self.normalize else x


class PoolBlock(nn.Module):
  """Max-pool in tiles of `size`; tiles at the border may be smaller.

  `[b, h, w, c]` to `[b, ceil(h / size), ceil(w / size), c]`.
  """

  size: int

  def __call__(self, x: jax.Array) -> jax.Array:
    rest = [(0, -length % self.size) for length in x.shape[1:3]]
    # Repeating the border does not change the maximum. Padding with -infinity
    # would not quantise.
    x = jnp.pad(x, ((0, 0), *rest, (0, 0)), mode='edge')
    return pooling.max_pool(x, (self.size, self.size))


class Model(split_model.SplitModel):
  """The network for `x [b, h, w, c]`; in the paper `[b, 224, 224, 3]`.

  Attributes:
    classes: the number of logits.
    width: factor of all widths; 1 is the network of the paper.
    dense: the width of fc6 and fc7; 0 means 4096 times `width`.
    conv2_padding: the padding of conv2: 1 as in the table of the paper, or 0 as
      in the authors' weights for Caffe. Both give 6 x 6 pixels for pictures of
      224 x 224.
  """

  classes: int
  width: float = 1.0
  dense: int = 0
  conv2_padding: int = 1

  SPLIT_POINTS: ClassVar[tuple[str, ...]] = (
    'conv1',
    'pool1',
    'conv2',
    'pool2',
    'conv3',
    'conv4',
    'conv5',
    'pool5',
    'fc6',
    'fc7',
  )
  EXAMPLE: ClassVar[tuple[int, ...]] = (224, 224, 3)

  def setup(self) -> None:
    for name in self.SPLIT_POINTS:
      setattr(self, name, self._block(name))
    self.head = nn.Dense(self.classes)

  def edge(self, x: jax.Array, split_point: str) -> jax.Array:
    """Computes the features at `split_point`; see `SplitModel`.

    Raises:
      UserError: the picture is too small for the network, or the split point
        is unknown.
    """
    # conv2 must leave one pixel; from it back through pool1 and conv1.
    after_pool = max(1, 5 - 2 * self.conv2_padding)
    least = 2 * 3 * (after_pool - 1) + 7
    if min(x.shape[1:3]) < least:
      raise errors.UserError(
        f'vgg_s got pictures of {x.shape[1]} by {x.shape[2]} pixels; it needs'
        f' at least {least} by {least}.'
      )
    return super().edge(x, split_point)

  def _block(self, name: str) -> nn.Module:
    if name in _POOLS:
      return PoolBlock(_POOLS[name])
    if name in _CONVOLUTIONS:
      features, kernel, stride, padding = _CONVOLUTIONS[name]
      return ConvBlock(
        vgg16.scaled(features, self.width),
        kernel,
        stride,
        self.conv2_padding if padding is None else padding,
        normalize=name == 'conv1',
      )
    return vgg16.DenseBlock(self.dense or vgg16.scaled(_DENSE, self.width))
