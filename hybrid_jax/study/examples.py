"""A study's examples: in memory, or read as they are needed."""

import dataclasses
import functools

import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.datasets import dataset, normalization, sources


@dataclasses.dataclass(frozen=True)
class Inputs:
  """The data set of a config, and its examples as the network takes them.

  Up to `config.input.memory_limit` GiB they are arrays, above it each is a
  `sources.Source`.

  Attributes:
    config: the study's.
  """

  config: ml_collections.ConfigDict

  @functools.cached_property
  def data(self) -> dataset.Dataset:
    """The data set, in sensor units; in memory, if it is not too large."""
    module = plugins.load('data set', self.config.data.name)
    data = module.load(self.config.data)
    limit = self.config.input.memory_limit * 2**30
    return dataclasses.replace(data, x=sources.load_if_fits(data.x, limit))

  @functools.cached_property
  def normalizer(self) -> normalization.Normalizer:
    """Fitted on the training fold."""
    train = sources.select_rows(self.data.x, self.rows(dataset.TRAIN))
    return normalization.fit_normalizer(train)

  @functools.cached_property
  def x(self) -> np.ndarray | sources.Source:
    """The examples `[n, ...]`, normalized."""
    return normalization.normalize(self.data.x, self.normalizer)

  @functools.cached_property
  def example(self) -> np.ndarray:
    """The first example `[1, ...]`, normalized."""
    return next(sources.iter_blocks(self.x, 1))

  def rows(self, fold: int) -> np.ndarray:
    """`[n]` bool: the examples of a fold."""
    return self.data.fold == fold
