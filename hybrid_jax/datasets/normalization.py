"""Normalization: zero mean and unit variance for each channel."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from hybrid_jax import progress
from hybrid_jax.datasets import sources

_BLOCK = 256  # examples in memory at once


@dataclasses.dataclass(frozen=True)
class Normalizer:
  """Mean and standard deviation of each channel.

  Attributes:
    mean: `[channels]`, of the training examples.
    std: `[channels]`; 1 for a constant channel.
  """

  mean: np.ndarray
  std: np.ndarray

  def __call__(self, x: np.ndarray) -> np.ndarray:
    """Normalizes `x [..., channels]`; returns float32."""
    return ((x - self.mean) / self.std).astype(np.float32)


class NormalizedSource(sources.Source):
  """Another source's examples, normalized when they are read."""

  def __init__(self, source: sources.Source, normalizer: Normalizer):
    self.shape, self.memory_budget = source.shape, source.memory_budget
    self.dtype = np.dtype(np.float32)
    self._source, self._normalizer = source, normalizer

  def __getitem__(self, index: int) -> np.ndarray:
    return self._normalizer(self._source[index])

  def read_rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    return self._normalizer(self._source.read_rows(indices))


def normalize(
  x: np.ndarray | sources.Source, normalizer: Normalizer
) -> np.ndarray | sources.Source:
  """Normalizes `x [n, ..., channels]`; a `Source` when it is read."""
  if isinstance(x, sources.Source):
    return NormalizedSource(x, normalizer)
  return normalizer(x)


def fit_normalizer(x: np.ndarray | sources.Source) -> Normalizer:
  """Computes the normalizer of `x [n, ..., channels]`."""
  if isinstance(x, sources.Source):
    mean, std = _moments(x)
  else:
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axis=axes, dtype=np.float64)
    std = x.std(axis=axes, dtype=np.float64)
  return Normalizer(
    mean=mean.astype(np.float32),
    std=np.where(std > 0, std, 1).astype(np.float32),
  )


def _moments(x):
  """Returns each channel's mean and deviation, from one pass over the blocks.

  Chan, Golub and LeVeque, "Algorithms for computing the sample variance", The
  American Statistician 37 (1983). Their rule subtracts no large sums.
  """
  count, mean, squares = 0, np.float64(0), np.float64(0)
  with progress.Progress('normalize', len(x), unit='example') as bar:
    for block in sources.iter_blocks(x, _BLOCK):
      flat = block.reshape(-1, block.shape[-1]).astype(np.float64)
      block_mean = flat.mean(axis=0)
      difference = block_mean - mean
      total = count + len(flat)
      squares += np.square(flat - block_mean).sum(axis=0)
      squares += np.square(difference) * count * len(flat) / total
      mean = mean + difference * len(flat) / total
      count = total
      bar.advance(len(block))
  return mean, np.sqrt(squares / count)
