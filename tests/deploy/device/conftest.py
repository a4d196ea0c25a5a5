"""A tiny bundle with noise, a server of it, and a device without a network."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybrid_jax.datasets import normalization
from hybrid_jax.deploy.device import edge_half
from hybrid_jax.deploy.export import split_functions, tflite
from hybrid_jax.models import cnn1d
from hybrid_jax.release import mechanisms, noise
from tests.deploy import bundles
from tests.deploy.server import servers

GRID = 1 / 16
SCALE = np.float32(2.0)


@dataclasses.dataclass
class Exported:
  """A folder, and its halves in JAX."""

  folder: pathlib.Path
  split: split_functions.SplitFunctions

  def cloud_file(self, released):
    """By LiteRT's own signature."""
    run = tflite.load((self.folder / 'cloud.tflite').read_bytes())
    return run(released=released)[0]


@pytest.fixture(scope='session')
def exported(tmp_path_factory) -> Exported:
  pytest.importorskip('tensorflow')
  folder = tmp_path_factory.mktemp('bundle')
  model = cnn1d.Model(classes=3, widths=(4, 4, 4), dense=6)
  params = model.init(jax.random.key(0), jnp.zeros((1, 1, 32, 2)))['params']
  split = split_functions.SplitFunctions(
    model=model,
    params=params,
    split_point='dense1',
    normalizer=normalization.Normalizer(np.zeros(2), np.ones(2)),
    release=mechanisms.Release((noise.Noise(scale=SCALE * jnp.eye(6)),)),
    example_shape=(1, 32, 2),
    feature_shape=(6,),
  )
  bundles.write(folder, split, ['sit', 'walk', 'run'])
  return Exported(folder, split)


@pytest.fixture(scope='session')
def running(exported, tmp_path_factory):
  log = tmp_path_factory.mktemp('server') / 'log'
  with servers.run(exported.folder, log) as server:
    server.log = log
    yield server


class Edge:
  """An edge half whose vectors differ from call to call, and are kept."""

  def __init__(self):
    self.released = []

  def __call__(self, window):
    vector = np.float32([[len(self.released), -7, window.sum()]])
    self.released.append(vector * np.float32(GRID))
    return self.released[-1]


@pytest.fixture
def edge() -> edge_half.EdgeHalf:
  """Windows of four rows of two channels; needs no file."""
  return edge_half.EdgeHalf(
    release=Edge(),
    window_shape=(1, 4, 2),
    dim=3,
    grid=GRID,
    labels=('sit', 'walk', 'run'),
    cloud_sha256='ab' * 32,
  )


class Clock:
  """Time that passes only where someone sleeps."""

  def __init__(self):
    self.now, self.slept = 100.0, []

  def __call__(self) -> float:
    return self.now

  def sleep(self, seconds):
    self.slept.append(seconds)
    self.now += seconds


@pytest.fixture
def clock() -> Clock:
  return Clock()
