"""Measures and adversaries of each split point."""

import ml_collections

from hybrid_jax.measures import measurement


def _config():
  return ml_collections.FrozenConfigDict(
    {
      'adversaries': ('linear', 'transfer'),
      'only_at': {'transfer': ('dense1',)},
      'measures': {'ranks': {}, 'releases': {'split_points': ('dense1',)}},
    }
  )


def test_an_adversary_attacks_only_where_the_config_says():
  config = _config()
  assert measurement.config_at(config, 'conv1').adversaries == ('linear',)
  assert measurement.config_at(config, 'dense1').adversaries == (
    'linear',
    'transfer',
  )
  assert measurement.config_at(config, measurement.CONTROL).adversaries == (
    'linear',
    'transfer',
  )


def test_a_measure_runs_only_where_the_config_says():
  config = _config()
  assert measurement.names(config, 'conv1') == ('leakage', 'ranks')
  assert measurement.names(config, 'dense1') == ('leakage', 'ranks', 'releases')
