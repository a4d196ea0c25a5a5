"""A small Siamese training with the training loop."""

import pathlib
import time

import jax
import ml_collections
import numpy as np
import optax

from hybrid_jax.datasets import sources
from hybrid_jax.models import cnn1d, fully_connected, split_model
from hybrid_jax.training import loop, steps, train_state

# Every process of a run traces its network, so that of most runs is small.
_DENSE = fully_connected.Model(classes=2, widths=(8, 8, 8))
CONVOLUTIONS = cnn1d.Model(classes=2, widths=(8, 8, 8), kernel=3, dense=8)
_TX = optax.adam(2e-3)


class _Rows(sources.Source):
  """Examples as a source."""

  def __init__(self, x):
    self.shape, self.dtype, self._x = x.shape, x.dtype, x

  def __getitem__(self, index):
    return self._x[index]


def _data(stream=False):
  # An epoch has three batches of 16, and two examples that are left out.
  rng = np.random.default_rng(0)
  x = rng.standard_normal((50, 1, 32, 3)).astype(np.float32)
  primary = (x.mean(axis=(1, 2, 3)) > 0).astype(np.int32)
  return {'x': _Rows(x) if stream else x, 'primary': primary}


def start(model: split_model.SplitModel = _DENSE) -> train_state.TrainState:
  init = jax.jit(model.init)
  params = init(jax.random.key(1), _data()['x'][:1])['params']
  return train_state.create(params, _TX)


def fit(
  folder, total, stream=False, mesh=None, pause=0.0, batch=16, model=_DENSE
):
  """Trains in chunks of five steps, with a `pause` in seconds after each."""
  loss = ml_collections.ConfigDict(
    {'weight': 0.1, 'margin': 10.0, 'balance_pairs': True}
  )

  def evaluate(params):
    time.sleep(pause)
    return {'norm': float(optax.global_norm(params))}

  return loop.fit(
    steps.make_siamese_step(model, _TX, 'dense1', loss),
    start(model),
    _data(stream),
    total=total,
    batch_size=batch,
    every=5,
    key=jax.random.key(3),
    folder=pathlib.Path(folder),
    evaluate=evaluate,
    label='a run',
    mesh=mesh,
  )
