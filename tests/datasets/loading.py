"""Loads a data set as a study does: its settings are validated first."""

import types

import ml_collections

from hybrid_jax.datasets import dataset
from hybrid_jax.study import schema


def load(
  module: types.ModuleType, config: ml_collections.ConfigDict
) -> dataset.Dataset:
  settings = {k: v for k, v in config.items() if k != 'name'}
  settings = schema.complete(settings, lambda _: module.OPTIONS)
  schema.check(settings, module.OPTIONS, 'data')
  return module.load(config)
