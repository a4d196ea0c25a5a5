"""Fully connected network for rows of a table `[batch, 1, 1, columns]`.

Three dense layers with ReLU (`dense1` to `dense3`) and the head. Inputs of
other shapes are flattened.
"""

from typing import ClassVar

from flax import linen as nn

from hybrid_jax.models import cnn1d, split_model


class Model(split_model.SplitModel):
  """The network.

  Attributes:
    classes: the number of logits.
    widths: the units of each dense layer.
  """

  classes: int
  widths: tuple[int, ...] = (128, 64, 64)

  SPLIT_POINTS: ClassVar[tuple[str, ...]] = ('dense1', 'dense2', 'dense3')
  EXAMPLE: ClassVar[tuple[int, ...]] = (1, 1, 16)

  def setup(self) -> None:
    for name, width in zip(self.SPLIT_POINTS, self.widths, strict=True):
      setattr(self, name, cnn1d.DenseBlock(width))
    self.head = nn.Dense(self.classes)
