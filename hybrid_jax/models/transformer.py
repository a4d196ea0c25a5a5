"""Small transformer encoder for signals `[batch, 1, time, channels]`.

Vaswani et al., "Attention is all you need", NeurIPS 2017, with the norm before
each half of a block. The tokens are patches of the signal, as in Dosovitskiy et
al., "An image is worth 16x16 words", ICLR 2021. The split points are the
embedding, the four blocks and the mean over time.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from hybrid_jax import errors
from hybrid_jax.models import split_model


class Embed(nn.Module):
  """Embeds patches of the signal, and adds learned positions.

  `[b, 1, time, c]` to `[b, time / patch, width]`.
  """

  patch: int
  width: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    batch, height, time, channels = x.shape
    if height != 1 or self.patch < 1 or time % self.patch:
      raise errors.UserError(
        f'transformer got examples of shape {x.shape[1:]}; with patch'
        f' {self.patch} it needs (1, time, channels), where {self.patch}'
        ' divides time.'
      )
    tokens = time // self.patch
    x = x.reshape(batch, tokens, self.patch * channels)
    positions = self.param(
      'positions', nn.initializers.normal(0.02), (tokens, self.width)
    )
    return nn.Dense(self.width, name='dense')(x) + positions


class Attention(nn.Module):
  """Multi-head self-attention: `[b, tokens, width]` to the same shape."""

  heads: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    batch, tokens, width = x.shape

    def split(name):
      y = nn.Dense(width, name=name)(x)
      y = y.reshape(batch, tokens, self.heads, width // self.heads)
      return y.transpose(0, 2, 1, 3)

    # With the heads first, each product is one batched matrix product.
    query, key, value = map(split, ('query', 'key', 'value'))
    scores = query @ key.transpose(0, 1, 3, 2)
    weights = nn.softmax(scores * (width // self.heads) ** -0.5)
    y = (weights @ value).transpose(0, 2, 1, 3).reshape(x.shape)
    return nn.Dense(width, name='out')(y)


class Block(nn.Module):
  """Transformer block: attention, then two dense layers.

  Both are applied to the normalised input and added to it.
  """

  heads: int
  hidden: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    y = nn.LayerNorm(name='norm1')(x)
    x = x + Attention(self.heads, name='attention')(y)
    y = nn.LayerNorm(name='norm2')(x)
    # The tanh approximation, because TFLite has no operation for the exact one.
    y = nn.gelu(nn.Dense(self.hidden, name='dense1')(y), approximate=True)
    return x + nn.Dense(x.shape[-1], name='dense2')(y)


class Pool(nn.Module):
  """A norm, and the mean over tokens: `[b, tokens, width]` to `[b, width]`."""

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    return jnp.mean(nn.LayerNorm(name='norm')(x), axis=1)


class Model(split_model.SplitModel):
  """The network for `x [b, 1, time, channels]`.

  Attributes:
    classes: the number of logits.
    patch: samples in a patch; it must divide the time axis.
    width: the size of a token.
    heads: the number of attention heads; it must divide `width`.
    hidden: the hidden width of a block's dense layers; 0 means twice `width`.

  Raises:
    UserError: when the model is applied, if `patch` or `heads` does not divide.
  """

  classes: int
  patch: int = 8
  width: int = 64
  heads: int = 4
  hidden: int = 0

  SPLIT_POINTS: ClassVar[tuple[str, ...]] = (
    'embed',
    'block1',
    'block2',
    'block3',
    'block4',
    'pool',
  )
  EXAMPLE: ClassVar[tuple[int, ...]] = (1, 128, 6)

  def setup(self) -> None:
    if self.heads < 1 or self.width % self.heads:
      raise errors.UserError(
        f'heads is {self.heads}; it must divide width, which is {self.width}.'
      )
    hidden = self.hidden or 2 * self.width
    self.embed = Embed(self.patch, self.width)
    self.block1, self.block2, self.block3, self.block4 = (
      Block(self.heads, hidden) for _ in range(4)
    )
    self.pool = Pool()
    self.head = nn.Dense(self.classes)
