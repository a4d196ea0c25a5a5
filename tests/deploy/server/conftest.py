"""Two tiny bundles, and one server that several tests share."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybrid_jax.datasets import normalization
from hybrid_jax.deploy.export import split_functions, tflite
from hybrid_jax.models import cnn1d
from hybrid_jax.release import mechanisms, noise, pca
from tests.deploy import bundles
from tests.deploy.server import servers

LABELS = ['sit', 'walk', 'run']


@dataclasses.dataclass
class Bundle:
  """A folder, and its cloud half in JAX."""

  folder: pathlib.Path
  cut: split_functions.SplitFunctions

  def vectors(self, count, seed=0):
    """Returns float32 `[count, 1, d]` on a grid of 1 / 16."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(-64, 64, (count, 1, self.cut.dim))
    return (steps / 16).astype(np.float32)

  def in_jax(self, vector):
    return np.asarray(jax.jit(self.cut.cloud())(vector))

  def in_file(self, vector):
    """Runs the file by LiteRT, without the server's code."""
    run = tflite.load((self.folder / 'cloud.tflite').read_bytes())
    return run(released=vector)


def _cut(split_point, feature_shape, dim):
  model = cnn1d.Model(classes=3, widths=(4, 4, 4), dense=8)
  params = model.init(jax.random.key(0), jnp.zeros((1, 1, 32, 2)))['params']
  size = int(np.prod(feature_shape))
  rows = np.linalg.qr(np.random.default_rng(1).normal(size=(size, size)))[0]
  mechanism = pca.Pca(
    mean=jnp.linspace(-1, 1, size),
    components=jnp.asarray(rows[:dim], jnp.float32),
  )
  return split_functions.SplitFunctions(
    model=model,
    params=params,
    split_point=split_point,
    normalizer=normalization.Normalizer(np.zeros(2), np.ones(2)),
    # The noise has a standard deviation of 1, and so the grid is 1 / 16.
    release=mechanisms.Release((mechanism, noise.Noise(jnp.eye(dim)))),
    example_shape=(1, 32, 2),
    feature_shape=feature_shape,
  )


def _write(folder, cut):
  bundles.write(folder, cut, LABELS)
  return Bundle(folder, cut)


@pytest.fixture(scope='session')
def bundle(tmp_path_factory) -> Bundle:
  """Cut late: the cloud has dense layers alone, whose batch can grow."""
  pytest.importorskip('tensorflow')
  return _write(tmp_path_factory.mktemp('late'), _cut('dense1', (8,), 4))


@pytest.fixture(scope='session')
def early(tmp_path_factory) -> Bundle:
  """Cut early: the cloud has convolutions and reshapes of a batch of 1."""
  pytest.importorskip('tensorflow')
  cut = _cut('conv1', (1, 16, 4), 6)
  return _write(tmp_path_factory.mktemp('early'), cut)


@pytest.fixture(scope='session')
def server(bundle, tmp_path_factory):
  log = tmp_path_factory.mktemp('server') / 'log'
  arguments = ('--max_body=20000', '--body_seconds=1', '--max_wait_ms=2')
  with servers.run(bundle.folder, log, *arguments) as running:
    running.log = log
    yield running
