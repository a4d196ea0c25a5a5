"""`cnn1d` with a fourth block of convolution, for longer patterns in time."""

from typing import ClassVar

from flax import linen as nn

from hybrid_jax.models import base, cnn1d


class Model(base.SplitModel):
  """See `cnn1d`. `widths` has one entry for each of the four blocks."""

  classes: int
  widths: tuple[int, ...] = (32, 64, 64, 64)
  kernel: int = 5
  dense: int = 64

  SPLIT_POINTS: ClassVar[tuple[str, ...]] = (
    'conv1',
    'conv2',
    'conv3',
    'conv4',
    'dense1',
  )
  EXAMPLE: ClassVar[tuple[int, ...]] = (1, 128, 6)

  def setup(self) -> None:
    self.conv1, self.conv2, self.conv3, self.conv4 = (
      cnn1d.ConvBlock(width, self.kernel) for width in self.widths
    )
    self.dense1 = cnn1d.DenseBlock(self.dense)
    self.head = nn.Dense(self.classes)
