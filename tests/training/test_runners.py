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
  stream = iter(
    grain_pipeline.pipeline(
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
    return np.array([next(stream) for _ in range(count)])
  finally:
    stream.close()


def test_every_epoch_has_each_example_once():
  epochs = _orders(24, 8, 12).reshape(4, 24)
  np.testing.assert_array_equal(np.sort(epochs), np.tile(np.arange(24), (4, 1)))
  orders = {tuple(e) for e in epochs} | {tuple(range(24))}
  assert len(orders) == 5


def test_a_rest_waits_for_another_epoch():
  seen = _orders(27, 8, 12)
  for epoch in seen.reshape(4, 24):
    assert len(set(epoch.tolist())) == 24
  assert len(set(seen.ravel().tolist())) == 27


def test_processes_read_parts_of_what_one_would_read():
  whole = _orders(27, 8, 7)
  parts = [
    _orders(27, 8, 7, grain.sharding.ShardOptions(i, 4)) for i in range(4)
  ]
  assert parts[0].shape == (7, 2)
  # By batch: the same examples, each in one process alone.
  np.testing.assert_array_equal(
    np.sort(np.concatenate(parts, axis=1)), np.sort(whole)
  )


def test_begun_at_any_batch_it_is_the_same_stream():
  whole = _orders(27, 8, 12)
  for start in (1, 3, 8):  # In an epoch, at its end, in a later one.
    np.testing.assert_array_equal(
      _orders(27, 8, 12 - start, start=start), whole[start:]
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
  """A step that writes down which examples it saw."""
  x = batch['x']
  wrong = jnp.abs(x[:, 1] - x[:, 0] / 2) + jnp.abs(batch['label'] - 3 * x[:, 0])
  return state.replace(
    step=state.step + 1, params=state.params.at[state.step].set(x[:, 0])
  ), {'loss': x[:, 0].sum(), 'wrong': wrong.max(), 'draw': jax.random.bits(key)}


def _streamed(mesh, workers=0, step=_record, data=None):
  return runners.Streamed(
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
def seen(mesh1):
  """Which examples six steps of one chunk see."""
  stream = _streamed(mesh1)
  stream.begin(0, None)
  state, means = stream.run(_blank(), 6)
  stream.close()
  return np.asarray(state.params), means


def test_labels_are_joined_by_index_and_metrics_are_means(seen):
  params, means = seen
  assert float(means['wrong']) == 0
  np.testing.assert_allclose(means['loss'], params.sum(axis=1).mean())
  assert 0 < means['input_wait'] <= 1
  key = jax.random.split(jax.random.key(2))[1]
  draws = [float(jax.random.bits(jax.random.fold_in(key, i))) for i in range(6)]
  np.testing.assert_allclose(means['draw'], np.mean(draws), rtol=1e-5)


def test_eight_devices_see_what_one_sees(seen, mesh8):
  stream = _streamed(mesh8)
  stream.begin(0, None)
  state, means = stream.run(_blank(), 6)
  stream.close()
  np.testing.assert_array_equal(state.params, seen[0])
  assert float(means['wrong']) == 0
  assert len(state.params.sharding.device_set) == 8


def _on_after(mesh, before, after):
  """Two steps with `before` workers, then four with `after`, as if killed."""
  first = _streamed(mesh, before)
  first.begin(0, None)
  state, _ = first.run(_blank(), 2)
  position = json.loads(json.dumps(first.position()))['position']
  first.run(jax.tree.map(jnp.copy, state), 1)  # Lost with the killed run.
  first.close()
  second = _streamed(mesh, after)
  second.begin(2, position)
  state, means = second.run(state, 4)
  second.close()
  assert float(means['wrong']) == 0
  return state.params, position, second.position


@pytest.mark.parametrize(('before', 'after'), [(0, 0), (0, 2)])
def test_gone_on_it_sees_what_it_would_have_seen(mesh1, seen, before, after):
  params, position, _ = _on_after(mesh1, before, after)
  np.testing.assert_array_equal(params, seen[0])
  assert position['settings']['workers'] == before


def test_without_a_position_the_number_of_steps_tells(mesh1, seen):
  stream = _streamed(mesh1)
  stream.begin(4, None)
  state, _ = stream.run(_blank().replace(step=jnp.int32(4)), 2)
  # And once more from a stream that did not begin with the first batch.
  position = stream.position()['position']
  assert position['start'] == 4
  stream.begin(6, position)
  again, _ = stream.run(_blank(9).replace(step=jnp.int32(6)), 3)
  stream.close()
  np.testing.assert_array_equal(state.params[4:], seen[0][4:])
  whole = _orders(27, 8, 9, start=0)
  assert not np.array_equal(whole[6:], np.asarray(again.params[6:]))
  unbroken = _streamed(mesh1)
  unbroken.begin(0, None)
  want, _ = unbroken.run(_blank(9), 9)
  unbroken.close()
  np.testing.assert_array_equal(again.params[6:], want.params[6:])


def test_a_step_is_traced_once(mesh8):
  traces = []

  @jax.jit
  def step(state, batch, key):
    traces.append(batch['x'].shape)
    return _record(state, batch, key)

  stream = _streamed(mesh8, step=step)
  stream.begin(0, None)
  state, _ = stream.run(
    jax.device_put(_blank(), NamedSharding(mesh8, PartitionSpec())), 1
  )
  count = len(traces)
  state, _ = stream.run(state, 3)
  stream.run(state, 2)
  stream.close()
  assert len(traces) == count
  assert stream._advance._cache_size() == 1


class _Gate(_Numbers):
  """Gives an example only while it is open; counts what was asked for."""

  def __init__(self, length):
    super().__init__(length)
    self.open = threading.Event()

  def __getitem__(self, index):
    assert self.open.wait(timeout=60)
    return super().__getitem__(index)


def test_the_wait_for_input_is_measured(mesh1):
  source = _Gate(27)
  source.open.set()
  stream = _streamed(mesh1, data={'x': source, 'label': 3 * np.arange(27)})
  stream.begin(0, None)
  state, _ = stream.run(_blank(40), 12)  # Compiled, and five batches ready.
  source.open.clear()
  threading.Timer(1.0, source.open.set).start()
  _, means = stream.run(state, 12)
  stream.close()
  assert means['input_wait'] > 0.5


def test_a_source_that_cannot_be_sent(mesh1):
  data = {'x': _Gate(27), 'label': np.arange(27)}
  with pytest.raises(errors.UserError, match=r'workers is 2.* pickle'):
    _streamed(mesh1, workers=2, data=data)
  _streamed(mesh1, workers=0, data=data)
  with pytest.raises(errors.UserError, match='workers is -1'):
    _streamed(mesh1, workers=-1)


def _nan_at_20(index):
  return np.full(2, np.nan if index == 20 else index, np.float32)


@pytest.mark.parametrize('workers', [0, 1])
def test_what_is_wrong_with_an_example_is_told(mesh1, workers):
  lazy = sources.LazySource(27, (2,), 'float32', _nan_at_20)
  data = {'x': sources.Checked(lazy, np.arange(27) // 3)}
  stream = _streamed(mesh1, workers, data=data | {'label': 3 * np.arange(27)})
  stream.begin(0, None)
  with pytest.raises(errors.UserError, match=r'^example 20, of recording 6, h'):
    stream.run(_blank(), 6)
  stream.close()


_STREAM = """
import resource, sys
import jax, jax.numpy as jnp, numpy as np, optax
from hybrid_jax import sources
from hybrid_jax.training import batches, reading, state, steps

SHAPE = (64, 64, 3)
LENGTH = 20 * 2**30 // (64 * 64 * 3 * 4)
BATCH = 64

def get(index):
  return np.full(SHAPE, index % 7, np.float32)

def loss(params, batch, key):
  x = batch['x'].reshape(BATCH, -1).mean(axis=1)
  return jnp.square(x * params['w'] - batch['primary']).mean(), {}

source = sources.LazySource(LENGTH, SHAPE, 'float32', get)
data = {'x': source, 'primary': np.arange(LENGTH) % 7}
tx = optax.sgd(0.01)
mesh = jax.make_mesh(
  (1,), ('data',), axis_types=(jax.sharding.AxisType.Auto,)
)
stream = batches.Streamed(
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
stream.begin(0, None)
found = state.create({'w': jnp.zeros(())}, tx)
for _ in range(5):
  found, means = stream.run(found, 10)
stream.close()
print(source.nbytes / 2**30, int(found.step), float(found.params['w']))
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
  told, grown, tensorflow = done.stdout.splitlines()
  size, steps, weight = map(float, told.split())
  assert size == pytest.approx(20, abs=1e-3)
  assert steps == 50
  assert weight == pytest.approx(1, abs=0.05)  # The label is the mean.
  assert float(grown) < 400
  assert tensorflow == 'False'
