"""Your own pictures: a folder of image files, and a `labels.csv` in it.

Subfolders are read too. Files may have any suffix that Pillow reads, in upper
or lower case. `hybrid_jax.datasets.label_table` describes `labels.csv`.
"""

import dataclasses
import pathlib

import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.datasets import (
  dataset,
  folds,
  image_files,
  label_table,
  sources,
)

OPTIONS = {
  **label_table.OPTIONS,
  'size': plugins.Option(
    (64, 64),
    'Height and width that pictures are resized to.',
    unit='pixels',
    low=1,
    lengths=(2,),
  ),
  'grey': plugins.Option(False, 'Grey pictures in place of colour.'),
  **folds.OPTIONS,
}


@dataclasses.dataclass(frozen=True)
class _Reader:
  """Reads one picture of a list of files, as `[h, w, c]` from 0 to 1."""

  folder: str
  files: tuple[str, ...]
  size: tuple[int, int]
  grey: bool

  def __call__(self, index: int) -> np.ndarray:
    return read(f'{self.folder}/{self.files[index]}', self.size, self.grey)


def read(path: str, size: tuple[int, int], grey: bool) -> np.ndarray:
  """Reads a picture as `[h, w, 1 or 3]` float32, 0 (black) to 1 (white).

  Args:
    path: the file.
    size: height and width.
    grey: whether it gets one channel.

  Raises:
    UserError: the file is not a complete image.
  """
  pixels = image_files.read(pathlib.Path(path), 'L' if grey else 'RGB')
  pixels = image_files.resize(pixels, size)
  return pixels.reshape(*size, -1).astype(np.float32) / 255


def load(config: ml_collections.ConfigDict) -> dataset.Dataset:
  """Loads pictures `[n, height, width, 1 or 3]`, 0 to 1.

  The pictures are read when they are needed. Those of one `group` are one
  recording; without `group` each picture is. Without `fold`, the groups are
  split at random, so that each fold has its share of every class; without
  `group`, files of the same bytes are in one fold.

  Args:
    config: see `OPTIONS`.

  Raises:
    UserError: a file, column, row or value is missing or wrong; the message
      names it. A damaged picture raises it when it is read.
  """
  labels = label_table.read(
    config, image_files.suffixes(), may_be_unlisted=True
  )
  folder = label_table.folder(config)
  reader = _Reader(
    str(folder), tuple(labels.files), tuple(config.size), config.grey
  )
  count = len(labels.files)
  shape = (*config.size, 1 if config.grey else 3)
  return label_table.make_dataset(
    config,
    labels,
    sources.FunctionSource(count, shape, np.float32, reader),
    np.arange(count),
    image_files.channel_names(shape[-1]),
  )
