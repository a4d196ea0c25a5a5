"""Reads the inputs of a TFDS data set when they are needed."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid_jax import errors, progress
from hybrid_jax.datasets import dataset, number_checks, sources
from hybrid_jax.datasets._tfds import features

_CHECKED = 256  # examples whose numbers are compared with float32


@dataclasses.dataclass(frozen=True)
class ExampleReader:
  """Reads, decodes and shapes one input.

  Attributes:
    folds: a TFDS data source for each fold.
    fold: `[n]`, the fold of each example.
    position: `[n]`, its position in `folds[fold]`.
    feature: the input.
    size: height and width of images and of tensors of three axes; empty to
      leave them.
    grey: whether images get one channel.
    length: of series, in samples; 0 to leave it.
    shape: of every example; empty if it is not known yet.
  """

  folds: Sequence[Sequence[Any]]
  fold: np.ndarray
  position: np.ndarray
  feature: features.Feature
  size: tuple[int, ...] = ()
  grey: bool = False
  length: int = 0
  shape: tuple[int, ...] = ()

  def __call__(self, index: int) -> np.ndarray:
    """Reads `[h, w, c]` from 0 to 1, or `[1, time, channels]`.

    Raises:
      UserError: the example has another shape than the first one.
    """
    fold = self.folds[self.fold[index]]
    value = self.feature.value(fold[int(self.position[index])])
    if self.feature.kind == features.IMAGE:
      pixels = features.prepare_image(value, self.size, self.grey)
      x = pixels.astype(np.float32) / 255
    else:
      x = features.to_series(value, self.feature.kind)
      if x.ndim == 3:
        x = features.resize_tensor(x, self.size)
      if x.ndim == 2 and self.length:
        x = features.pad_or_cut(x, self.length)
      if x.ndim == 2:
        x = x[None]
    if self.shape and x.shape != self.shape:
      raise errors.UserError(
        f'{self.feature.key!r} is of shape {self.shape} in the first example'
        f' and {x.shape} in example {index}. All images get the same shape by'
        ' data.size and data.grey=True.'
      )
    return x


def make_source(reader: ExampleReader) -> sources.FunctionSource:
  """Returns the inputs, `[n, ...]` float32, in the shape of the first one.

  Series get the same length: that of the config, or the one that TFDS knows, or
  that of the longest training example. Only the last one reads all of them.

  Args:
    reader: without `shape`.

  Raises:
    UserError: the first example cannot be an input.
  """
  known = reader.feature.connector.shape
  is_series = reader.feature.kind != features.IMAGE and len(known) < 3
  if is_series and not reader.length:
    length = known[0] or _longest_in_training(reader)
    reader = dataclasses.replace(reader, length=length)
  _check_resolution(reader)
  reader = dataclasses.replace(reader, shape=reader(0).shape)
  return sources.FunctionSource(
    len(reader.fold), reader.shape, np.float32, reader
  )


def _check_resolution(reader):
  """Checks that float32 holds the differences of numbers, on some examples."""
  feature = reader.feature
  dtype = np.dtype(feature.connector.np_dtype)
  if feature.kind != features.NUMBERS or dtype.itemsize <= 2:
    return
  rows = np.linspace(0, len(reader.fold) - 1, _CHECKED).round().astype(int)
  values = [
    np.asarray(
      feature.value(reader.folds[reader.fold[i]][int(reader.position[i])])
    )
    for i in np.unique(rows)
  ]
  if len({value.shape for value in values}) == 1:
    values = [np.stack(values)]
  else:
    values = [value[None] for value in values]
  for value in values:
    number_checks.check_resolution(feature.key, value)


def _longest_in_training(reader):
  longest = 1
  train = np.flatnonzero(reader.fold == dataset.TRAIN)
  with progress.Progress('lengths', len(train), unit='example') as bar:
    for index in train:
      longest = max(longest, reader(index).shape[1])
      bar.advance(1)
  return longest
