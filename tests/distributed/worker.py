"""Trains a small Siamese network by the one loop, in several processes."""

import pathlib
import time

import jax
import ml_collections
import numpy as np
import optax
from absl import flags

from hybrid_jax import errors, sources
from hybrid_jax.models import cnn1d
from hybrid_jax.training import checkpoint, loop, steps
from hybrid_jax.training import state as train_state
from launch import command, processes

_FOLDER = flags.DEFINE_string('folder', '', 'Of the training.')
_TOTAL = flags.DEFINE_integer('total', 10, 'Steps.')
_STREAM = flags.DEFINE_bool('stream', False, 'Read the examples in batches.')
_PAUSE = flags.DEFINE_float('pause', 0.0, 'Seconds of each validation.')
_FAIL = flags.DEFINE_string('fail', '', 'What goes wrong, and where.')
_BATCH = flags.DEFINE_integer('batch', 16, 'Examples in a step.')

CUT = 'dense1'
_MODEL = cnn1d.Model(classes=2, widths=(8, 8, 8), kernel=3, dense=8)
_TX = optax.adam(2e-3)


class _Rows(sources.Source):
  """Examples that are read as they are needed."""

  def __init__(self, x):
    self.shape, self.dtype, self._x = x.shape, x.dtype, x

  def __getitem__(self, index):
    return self._x[index]


def data(stream: bool = False) -> dict:
  # Three batches of 16 to an epoch, and a rest of two.
  rng = np.random.default_rng(0)
  x = rng.standard_normal((50, 1, 32, 3)).astype(np.float32)
  primary = (x.mean(axis=(1, 2, 3)) > 0).astype(np.int32)
  return {'x': _Rows(x) if stream else x, 'primary': primary}


def start() -> train_state.TrainState:
  params = _MODEL.init(jax.random.key(1), data()['x'][:1])['params']
  return train_state.create(params, _TX)


def fit(folder, total, stream=False, mesh=None, pause=0.0, batch=16):
  loss = ml_collections.ConfigDict(
    {'weight': 0.1, 'margin': 10.0, 'balance_pairs': True}
  )

  def evaluate(params):
    time.sleep(pause)
    return {'norm': float(optax.global_norm(params))}

  return loop.fit(
    steps.make_siamese_step(_MODEL, _TX, CUT, loss),
    start(),
    data(stream),
    total=total,
    batch_size=batch,
    every=5,
    key=jax.random.key(3),
    folder=pathlib.Path(folder),
    evaluate=evaluate,
    label='a run',
    mesh=mesh,
  )


def _work():
  if _FAIL.value == 'second' and jax.process_index() == 1:
    raise errors.UserError('the second process found a mistake.')
  if _FAIL.value == 'bug' and jax.process_index() == 1:
    raise KeyError('a bug')

  def full(folder, state):
    raise OSError(28, 'No space left on device')

  if _FAIL.value == 'disk':
    checkpoint._make_sure_of_room = full
  fit(
    _FOLDER.value, _TOTAL.value, _STREAM.value, None, _PAUSE.value, _BATCH.value
  )


def main(argv):
  command.no_more(argv)
  processes.run(_work)


if __name__ == '__main__':
  command.run(main)
