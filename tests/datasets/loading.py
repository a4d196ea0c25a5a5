"""Loads a data set as a study does: its settings are validated first."""

import types

import ml_collections

from hybrid_jax.datasets import dataset
from hybrid_jax.study import config_tree


def load(
  module: types.ModuleType, config: ml_collections.ConfigDict
) -> dataset.Dataset:
  settings = {k: v for k, v in config.items() if k != 'name'}
  settings = config_tree.complete(
    ml_collections.ConfigDict(settings).to_dict(), module.OPTIONS
  )
  config_tree.check(settings, module.OPTIONS, 'data')
  return module.load(config)
