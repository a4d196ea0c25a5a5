"""`cnn1d` with a fourth convolution block, for longer patterns in time."""

from typing import ClassVar

from hybrid_jax.models import cnn1d


class Model(cnn1d.Model):
  """The network; see `cnn1d.Model`."""

  widths: tuple[int, ...] = (32, 64, 64, 64)

  SPLIT_POINTS: ClassVar[tuple[str, ...]] = (
    'conv1',
    'conv2',
    'conv3',
    'conv4',
    'dense1',
  )
