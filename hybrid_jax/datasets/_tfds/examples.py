"""Inputs of a TFDS data set, read when they are needed."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid_jax import errors, progress
from hybrid_jax.datasets import sources
from hybrid_jax.datasets._tfds import features


@dataclasses.dataclass(frozen=True)
class Get:
  """Reads, decodes and shapes one input: `get(index)`.

  Attributes:
    found: what TFDS's `as_data_source` gives, of each fold.
    fold: `[n]`, of each example.
    place: `[n]`, where it is in `found[fold]`.
    leaf: the input.
    size: of images, height and width; empty to leave them.
    grey: whether images get one channel.
    length: of series; 0 leaves them.
    shape: what all have; empty where it is not known yet.
  """

  found: Sequence[Sequence[Any]]
  fold: np.ndarray
  place: np.ndarray
  leaf: features.Feature
  size: tuple[int, ...] = ()
  grey: bool = False
  length: int = 0
  shape: tuple[int, ...] = ()

  def __call__(self, index: int) -> np.ndarray:
    """`[h, w, c]` from 0 to 1, or `[1, time, channels]`.

    Raises:
      UserError: it is of another shape than the first example.
    """
    found = self.found[self.fold[index]]
    value = self.leaf.of(found[int(self.place[index])])
    if self.leaf.kind == features.IMAGE:
      pixels = features.picture(value, self.size, self.grey)
      x = pixels.astype(np.float32) / 255
    else:
      x = features.series(value, self.leaf.kind)
      if x.ndim == 2:
        x = (features.fit(x, self.length) if self.length else x)[None]
    if self.shape and x.shape != self.shape:
      raise errors.UserError(
        f'{self.leaf.key!r} is of shape {self.shape} in the first example and'
        f' {x.shape} in example {index}; images get one by data.size, and'
        ' data.grey=True.'
      )
    return x


def source(get: Get, train: np.ndarray) -> sources.FunctionSource:
  """The inputs `[n, ...]`, float32, in the shape of the first.

  Args:
    get: without `shape`. Series without `length` get that of the longest of
      `train`, for which they are read once, unless TFDS knows their length.
    train: numbers of the examples of the training fold.

  Raises:
    UserError: the first example cannot be an input.
  """
  shape = get.leaf.connector.shape
  if get.leaf.kind != features.IMAGE and not get.length and len(shape) < 3:
    get = dataclasses.replace(get, length=shape[0] or _longest(get, train))
  get = dataclasses.replace(get, shape=get(0).shape)
  return sources.FunctionSource(len(get.fold), get.shape, np.float32, get)


def _longest(get, train):
  most = 1
  with progress.Progress('lengths', len(train), unit='example') as bar:
    for index in train:
      most = max(most, get(index).shape[1])
      bar.advance(1)
  return most
