"""Targets of an audit share their programs: more of them compile no more."""

import dataclasses

import jax
import numpy as np
import pytest

from hybrid_jax.attacks import adversary
from hybrid_jax.measures import leakage, measurement
from hybrid_jax.study import compile_timer
from tests.measures import problems


@jax.tree_util.Partial
def _apply(params, x):
  return x @ params['kernel']


def _cloud(width):
  def make(classes):
    def fresh(key):
      rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
      kernel = 0.1 * rng.standard_normal((width, classes))
      return {'kernel': kernel.astype(np.float32)}

    return adversary.TrainableCloud(fresh, _apply)

  return make


def _target(width, noise, seed):
  """A problem of `width` features; its own are followed by mixtures of them."""
  problem = problems.problem(leak=3, seed=seed)
  mix = np.random.default_rng(seed).standard_normal((problems.DIM, width))
  clean = (problem.clean @ mix).astype(np.float32)
  return dataclasses.replace(
    problem,
    clean=clean,
    noise_scale=noise * np.eye(width, dtype=np.float32) if noise else None,
    uncensored=problem.clean,
    x=problem.clean,
    edge=jax.tree_util.Partial(_encode, mix.astype(np.float32)),
    cloud=_cloud(width),
  )


def _encode(mix, x):
  return x @ mix


def _config():
  config = problems.config()
  config.adversaries = (
    'linear',
    'mlp',
    'kde',
    'mixture',
    'transfer',
    'decensor',
  )
  config.heads.max_chunks = config.heads.chunk = 2
  config.transfer.steps = config.transfer.every = 2
  config.decensor.steps = 2
  config.mixture.bandwidths = config.kde.bandwidths
  config.measures.releases.counts = (1, 2)
  config.measures.attacker_data.shares = (0.2, 1.0)
  config.measures.reconstruction.attacks = ('decoder',)
  config.measures.reconstruction.decoder.steps = 2
  return config


_MEASURES = ('leakage', 'ranks', 'releases', 'attacker_data', 'reconstruction')


def _audit(targets):
  """Returns the names of the programs that audits of the targets compile."""
  timer, config = compile_timer.CompileTimer(), _config()
  for target in targets:
    for name in _MEASURES:
      measurement.run(name, target, config, 0)
  return timer.programs


def test_more_targets_compile_nothing_more():
  first = _audit([_target(4, 1.0, 0), _target(4, None, 1), _target(12, 1.0, 2)])
  assert len(first) <= 60
  more = [(4, 0.5, 3), (4, None, 4), (12, None, 5), (12, 2.0, 6)]
  assert _audit([_target(*each) for each in more]) == []


@pytest.mark.parametrize('kind', ['linear', 'kde', 'transfer', 'decensor'])
def test_noise_is_an_argument(kind):
  settings = leakage.settings(_config(), kind)
  module = __import__(f'hybrid_jax.attacks.{kind}', fromlist=['attack'])
  list(module.attack(_target(4, 1.0, 0), settings, 0))
  timer = compile_timer.CompileTimer()
  list(module.attack(_target(4, None, 1), settings, 0))
  assert timer.programs == []
