"""The examples of a study, in memory or read in blocks."""

import dataclasses
import functools

import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.datasets import dataset, folds, normalization, sources


@dataclasses.dataclass(frozen=True)
class Examples:
  """Data set of a config, raw and normalized.

  The examples are an array, or a `sources.Source` if they are larger than
  `config.input.memory_limit` GiB.

  Attributes:
    config: the config of the study.
  """

  config: ml_collections.ConfigDict

  @functools.cached_property
  def data(self) -> dataset.Dataset:
    """The data set in sensor units; in memory, if it is not too large."""
    module = plugins.load('data set', self.config.data.name)
    data = module.load(self.config.data)
    data = folds.hold_back(data, self.config.data)
    limit = self.config.input.memory_limit * 2**30
    return dataclasses.replace(data, x=sources.load_if_fits(data.x, limit))

  @functools.cached_property
  def normalizer(self) -> normalization.Normalizer:
    """The normalizer, fitted on the training fold."""
    train = sources.select_rows(self.data.x, self.rows(dataset.TRAIN))
    return normalization.fit_normalizer(train)

  @functools.cached_property
  def x(self) -> np.ndarray | sources.Source:
    """All examples `[n, ...]`, float32, normalized by the training fold.

    A `Source`, which normalizes when it is read, if they exceed
    `input.memory_limit`.
    """
    return normalization.normalize(self.data.x, self.normalizer)

  @functools.cached_property
  def example(self) -> np.ndarray:
    """The first example `[1, ...]`, normalized."""
    return next(sources.iter_blocks(self.x, 1))

  def rows(self, fold: int) -> np.ndarray:
    """Returns a mask of the examples of a fold, `[n]` bool."""
    return self.data.fold == fold

  @property
  def training_capacity(self) -> int:
    """The number of examples to which those of a training are padded."""
    return int(self.rows(dataset.TRAIN).sum())
