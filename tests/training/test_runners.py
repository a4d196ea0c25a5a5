import json
import pathlib
import subprocess
import sys
import threading

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from hybrid_jax import errors
from hybrid_jax.datasets import sources
from hybrid_jax.training import grain_pipeline, runners, train_state

ROOT = pathlib.Path(__file__).parents[2]


def _orders(examples, batch_size, count, shard=None, start=0, workers=0):
  """The indices of the first `count` batches."""
  iterator = iter(
    grain_pipeline.make_dataset(
      np.asarray,
      examples,
      batch_size,
      seed=5,
      shard=shard,
      start=start,
      workers=workers,
    )
  )
  try:
    return np.array([next(iterator) for _ in range(count)])
  finally:
    iterator.close()


def test_every_epoch_has_each_example_once():
  epochs = _orders(24, 8, 12).reshape(4, 24)
  np.testing.assert_array_equal(np.sort(epochs), np.tile(np.arange(24), (4, 1)))
  orders = {tuple(e) for e in epochs} | {tuple(range(24))}
  assert len(orders) == 5


def test_examples_that_do_not_fill_a_batch_wait_for_another_epoch():
  indices = _orders(27, 8, 12)
  for epoch in indices.reshape(4, 24):
    assert len(set(epoch.tolist())) == 24
  assert len(set(indices.ravel().tolist())) == 27


def test_each_process_reads_its_part_of_every_batch():
  full = _orders(27, 8, 7)
  parts = [
    _orders(27, 8, 7, grain.sharding.ShardOptions(i, 4)) for i in range(4)
  ]
  assert parts[0].shape == (7, 2)
  # By batch: the same examples, each in one process alone.
  np.testing.assert_array_equal(
    np.sort(np.concatenate(parts, axis=1)), np.sort(full)
  )


def test_a_later_start_gives_the_same_batches():
  full = _orders(27, 8, 12)
  for start in (1, 3, 8):  # In an epoch, at its end, in a later one.
    np.testing.assert_array_equal(
      _orders(27, 8, 12 - start, start=start), full[start:]
    )


class _Numbers(sources.Source):
  """Example i is `[i, i / 2]`."""

  def __init__(self, length):
    self.shape = (length, 2)
    self.dtype = np.dtype(np.float32)

  def __getitem__(self, index):
    return np.array([index, index / 2], np.float32)


@jax.jit
def _record(state, batch, key):
  """A step that records the examples of its batch in the parameters."""
  x = batch['x']
  wrong = jnp.abs(x[:, 1] - x[:, 0] / 2) + jnp.abs(batch['label'] - 3 * x[:, 0])
  return state.replace(
    step=state.step + 1, params=state.params.at[state.step].set(x[:, 0])
  ), {'loss': x[:, 0].sum(), 'wrong': wrong.max(), 'draw': jax.random.bits(key)}


def _stream_runner(mesh, workers=0, step=_record, data=None):
  return runners.StreamRunner(
    step,
    data or {'x': _Numbers(27), 'label': 3 * np.arange(27)},
    8,
    jax.random.key(2),
    mesh,
    workers,
  )


def _blank(steps=6):
  return train_state.create(
    jnp.full((steps, 8), -1, jnp.float32), optax.identity()
  )


@pytest.fixture(scope='module')
def six_steps(mesh1):
  """The examples of six steps in one chunk, and the metrics."""
  runner = _stream_runner(mesh1)
  runner.start(0, None)
  state, means = runner.run(_blank(), 6)
  runner.close()
  return np.asarray(state.params), means


def test_labels_are_joined_by_index_and_metrics_are_means(six_steps):
  params, means = six_steps
  assert float(means['wrong']) == 0
  np.testing.assert_allclose(means['loss'], params.sum(axis=1).mean())
  assert 0 < means['input_wait'] <= 1
  key = jax.random.split(jax.random.key(2))[1]
  draws = [float(jax.random.bits(jax.random.fold_in(key, i))) for i in range(6)]
  np.testing.assert_allclose(means['draw'], np.mean(draws), rtol=1e-5)


def test_eight_devices_take_the_same_batches_as_one(six_steps, mesh8):
  runner = _stream_runner(mesh8)
  runner.start(0, None)
  state, means = runner.run(_blank(), 6)
  runner.close()
  np.testing.assert_array_equal(state.params, six_steps[0])
  assert float(means['wrong']) == 0
  assert len(state.params.sharding.device_set) == 8


def _resumed(mesh, before, after):
  """Two steps with `before` workers, then four with `after`, as if killed."""
  first = _stream_runner(mesh, before)
  first.start(0, None)
  state, _ = first.run(_blank(), 2)
  position = json.loads(json.dumps(first.position()))
  first.run(jax.tree.map(jnp.copy, state), 1)  # Lost when the run is killed.
  first.close()
  second = _stream_runner(mesh, after)
  second.start(2, position)
  state, means = second.run(state, 4)
  second.close()
  assert float(means['wrong']) == 0
  return state.params, position, second.position


@pytest.mark.parametrize(('before', 'after'), [(0, 0), (0, 2)])
def test_a_resumed_run_takes_the_same_batches(mesh1, six_steps, before, after):
  params, position, _ = _resumed(mesh1, before, after)
  np.testing.assert_array_equal(params, six_steps[0])
  assert position['settings']['workers'] == before


def test_without_a_position_it_starts_at_the_step(mesh1, six_steps):
  runner = _stream_runner(mesh1)
  runner.start(4, None)
  state, _ = runner.run(_blank().replace(step=jnp.int32(4)), 2)
  # And once more from a stream that did not begin with the first batch.
  position = runner.position()
  assert position['start'] == 4
  runner.start(6, position)
  again, _ = runner.run(_blank(9).replace(step=jnp.int32(6)), 3)
  runner.close()
  np.testing.assert_array_equal(state.params[4:], six_steps[0][4:])
  other_seed = _orders(27, 8, 9, start=0)
  assert not np.array_equal(other_seed[6:], np.asarray(again.params[6:]))
  unbroken = _stream_runner(mesh1)
  unbroken.start(0, None)
  expected, _ = unbroken.run(_blank(9), 9)
  unbroken.close()
  np.testing.assert_array_equal(again.params[6:], expected.params[6:])


def test_a_step_is_traced_once(mesh8):
  traces = []

  @jax.jit
  def step(state, batch, key):
    traces.append(batch['x'].shape)
    return _record(state, batch, key)

  runner = _stream_runner(mesh8, step=step)
  runner.start(0, None)
  state, _ = runner.run(
    jax.device_put(_blank(), NamedSharding(mesh8, PartitionSpec())), 1
  )
  count = len(traces)
  state, _ = runner.run(state, 3)
  runner.run(state, 2)
  runner.close()
  assert len(traces) == count
  assert runner._advance._cache_size() == 1


class _Gate(_Numbers):
  """A source that returns an example only while it is open."""

  def __init__(self, length):
    super().__init__(length)
    self.open = threading.Event()

  def __getitem__(self, index):
    assert self.open.wait(timeout=60)
    return super().__getitem__(index)


def test_the_wait_for_input_is_measured(mesh1):
  source = _Gate(27)
  source.open.set()
  runner = _stream_runner(mesh1, data={'x': source, 'label': 3 * np.arange(27)})
  runner.start(0, None)
  state, _ = runner.run(_blank(40), 12)  # Compiled, and five batches ready.
  source.open.clear()
  threading.Timer(1.0, source.open.set).start()
  _, means = runner.run(state, 12)
  runner.close()
  assert means['input_wait'] > 0.5


def test_a_source_that_cannot_be_pickled(mesh1):
  data = {'x': _Gate(27), 'label': np.arange(27)}
  with pytest.raises(errors.UserError, match=r'workers is 2.* pickle'):
    _stream_runner(mesh1, workers=2, data=data)
  _stream_runner(mesh1, workers=0, data=data)
  with pytest.raises(errors.UserError, match='workers is -1'):
    _stream_runner(mesh1, workers=-1)


def _nan_at_20(index):
  return np.full(2, np.nan if index == 20 else index, np.float32)


@pytest.mark.parametrize('workers', [0, 1])
def test_an_example_with_nan_is_named_in_the_error(mesh1, workers):
  lazy = sources.FunctionSource(27, (2,), 'float32', _nan_at_20)
  data = {'x': sources.FiniteCheckedSource(lazy, np.arange(27) // 3)}
  runner = _stream_runner(
    mesh1, workers, data=data | {'label': 3 * np.arange(27)}
  )
  runner.start(0, None)
  with pytest.raises(errors.UserError, match=r'^example 20, of recording 6, h'):
    runner.run(_blank(), 6)
  runner.close()


_STREAM = """
import resource, sys
import jax, jax.numpy as jnp, numpy as np, optax
from hybrid_jax.datasets import sources
from hybrid_jax.training import runners, steps, train_state

SHAPE = (64, 64, 3)
LENGTH = 20 * 2**30 // (64 * 64 * 3 * 4)
BATCH = 64

def get(index):
  return np.full(SHAPE, index % 7, np.float32)

def loss(params, batch, key):
  x = batch['x'].reshape(BATCH, -1).mean(axis=1)
  return jnp.square(x * params['w'] - batch['primary']).mean(), {}

source = sources.FunctionSource(LENGTH, SHAPE, 'float32', get)
data = {'x': source, 'primary': np.arange(LENGTH) % 7}
tx = optax.sgd(0.01)
mesh = jax.make_mesh(
  (1,), ('data',), axis_types=(jax.sharding.AxisType.Auto,)
)
runner = runners.StreamRunner(
  steps.make_step(loss, tx), data, BATCH, jax.random.key(0), mesh
)

def peak():
  # On Linux `getrusage` counts the process that started this one, too.
  try:
    words = open('/proc/self/status').read().split()
    return int(words[words.index('VmHWM:') + 1]) / 1024
  except OSError:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

before = peak()
runner.start(0, None)
state = train_state.create({'w': jnp.zeros(())}, tx)
for _ in range(5):
  state, means = runner.run(state, 10)
runner.close()
print(source.nbytes / 2**30, int(state.step), float(state.params['w']))
print(peak() - before)
print('tensorflow' in sys.modules)
"""


def test_a_stream_of_20_gib_stays_small():
  done = subprocess.run(
    [sys.executable, '-c', _STREAM],
    capture_output=True,
    text=True,
    timeout=120,
    check=True,
    cwd=ROOT,
    env={'JAX_PLATFORMS': 'cpu', 'PATH': '/usr/bin:/bin'},
  )
  result, growth, tensorflow = done.stdout.splitlines()
  size, steps, weight = map(float, result.split())
  assert size == pytest.approx(20, abs=1e-3)
  assert steps == 50
  assert weight == pytest.approx(1, abs=0.05)  # The label is the mean.
  assert float(growth) < 400
  assert tensorflow == 'False'
