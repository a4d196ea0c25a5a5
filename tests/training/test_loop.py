import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hybrid_jax import errors
from hybrid_jax.datasets import sources
from hybrid_jax.defences import losses
from hybrid_jax.training import checkpoint, loop, steps, train_state

_TX = optax.adam(0.05)


def _logistic(params, batch, key):
  # A little noise, so that the keys matter as well.
  x = batch['x'] + 0.1 * jax.random.normal(key, batch['x'].shape)
  logits = x @ params['w']
  return losses.cross_entropy(logits, batch['primary']), {}


@pytest.fixture(scope='module')
def step():
  return steps.make_step(_logistic, _TX)


def _data(n=48):
  rng = np.random.default_rng(0)
  x = rng.standard_normal((n, 3)).astype(np.float32)
  return {'x': x, 'primary': (x[:, 0] > 0.2).astype(np.int32)}


def _start():
  return train_state.create({'w': jnp.zeros((3, 2))}, _TX)


def _figures(params):
  return {'norm': float(jnp.abs(params['w']).sum())}


def _fit(step, folder, mesh, state=None, data=None, **more):
  settings = {
    'total': 20,
    'batch_size': 16,
    'every': 5,
    'key': jax.random.key(3),
    'evaluate': _figures,
    'label': 'a run',
  } | more
  return loop.fit(
    step,
    state or _start(),
    data or _data(),
    folder=folder,
    mesh=mesh,
    **settings,
  )


def _curve(folder):
  text = (folder / 'curve.jsonl').read_text()
  return [json.loads(line) for line in text.splitlines()]


def _assert_identical(a, b):
  jax.tree.map(
    lambda x, y: np.testing.assert_array_equal(np.asarray(x), np.asarray(y)),
    a,
    b,
  )


@pytest.fixture(scope='module')
def unbroken(step, mesh1, tmp_path_factory):
  folder = tmp_path_factory.mktemp('unbroken')
  return _fit(step, folder, mesh1), folder


def test_one_line_of_the_curve_for_each_chunk(unbroken):
  state, folder = unbroken
  lines = _curve(folder)
  assert [line['step'] for line in lines] == [5, 10, 15, 20]
  assert lines[-1]['loss'] < 0.8 * lines[0]['loss'] < 0.8 * np.log(2)
  assert lines[-1]['norm'] == pytest.approx(
    float(np.abs(state.params['w']).sum()), rel=1e-6
  )
  assert any((folder / 'events').iterdir())


def test_a_resumed_run_has_the_same_bits(step, mesh1, tmp_path, unbroken):
  half = _fit(step, tmp_path, mesh1, total=10)
  assert int(half.step) == 10
  resumed = _fit(step, tmp_path, mesh1)
  assert int(resumed.step) == 20
  _assert_identical(resumed, unbroken[0])
  assert _curve(tmp_path) == _curve(unbroken[1])


def test_a_run_killed_before_a_checkpoint_has_the_same_bits(
  step, mesh1, tmp_path, unbroken, monkeypatch
):
  save = checkpoint.save

  def killed(folder, number, state, position):
    if number == 15:  # After the curve's line, before the checkpoint.
      raise KeyboardInterrupt
    save(folder, number, state, position)

  with monkeypatch.context() as patch:
    patch.setattr(checkpoint, 'save', killed)
    with pytest.raises(KeyboardInterrupt):
      _fit(step, tmp_path, mesh1)
  assert [line['step'] for line in _curve(tmp_path)] == [5, 10, 15]
  resumed = _fit(step, tmp_path, mesh1)
  _assert_identical(resumed, unbroken[0])
  assert _curve(tmp_path) == _curve(unbroken[1])


def test_a_finished_run_takes_no_step(step, mesh1, unbroken):
  state, folder = unbroken

  def never(params):
    raise AssertionError('it took a step')

  _assert_identical(_fit(step, folder, mesh1, evaluate=never), state)


def test_eight_devices_equal_one(step, mesh8, tmp_path, unbroken):
  state = _fit(step, tmp_path, mesh8)
  assert len(state.params['w'].sharding.device_set) == 8
  np.testing.assert_allclose(
    state.params['w'], unbroken[0].params['w'], atol=1e-5
  )
  for got, expected in zip(_curve(tmp_path), _curve(unbroken[1]), strict=True):
    assert got == pytest.approx(expected, abs=1e-5)


def test_another_key_takes_other_steps(step, mesh1, tmp_path, unbroken):
  state = _fit(step, tmp_path, mesh1, key=jax.random.key(4))
  gap = np.abs(state.params['w'] - unbroken[0].params['w']).max()
  assert gap > 1e-3


def test_all_devices_are_along_the_data_axis():
  mesh = loop.data_mesh()
  assert mesh.axis_names == ('data',)
  assert mesh.size == jax.device_count() == 8
  assert mesh.axis_types == (jax.sharding.AxisType.Auto,)


@jax.jit
def _record(state, batch, key):
  """A step that records the examples of its batch, and a draw of its key."""
  indices, draws = state.params
  params = (
    indices.at[state.step].set(batch['index']),
    draws.at[state.step].set(jax.random.bits(key)),
  )
  return state.replace(step=state.step + 1, params=params), {
    'loss': batch['index'].sum()
  }


def _recorded(folder, mesh, examples, total, every, batch_size=8):
  """Returns the examples `[total, batch]` and a draw of each key `[total]`."""
  params = (
    jnp.full((12, batch_size), -1, jnp.int32),
    jnp.zeros(12, jnp.uint32),
  )
  state = _fit(
    _record,
    folder,
    mesh,
    state=train_state.create(params, optax.identity()),
    data={'index': np.arange(examples, dtype=np.int32)},
    total=total,
    every=every,
    batch_size=batch_size,
    evaluate=lambda params: {},
  )
  return [np.asarray(a) for a in state.params]


def test_every_epoch_has_each_example_once(mesh1, tmp_path):
  indices, draws = _recorded(tmp_path, mesh1, examples=24, total=12, every=4)
  epochs = indices.reshape(4, 24)  # Three batches of eight each.
  np.testing.assert_array_equal(np.sort(epochs), np.tile(np.arange(24), (4, 1)))
  # In another order each time, and none is the order of the data.
  orders = {tuple(e) for e in epochs} | {tuple(range(24))}
  assert len(orders) == 5
  assert len(set(draws.tolist())) == 12
  # 0 + ... + 23 over an epoch; a chunk of 4 steps has the mean of its sums.
  sums = [line['loss'] for line in _curve(tmp_path)]
  np.testing.assert_allclose(
    sums, indices.sum(axis=1).reshape(3, 4).mean(axis=1)
  )
  np.testing.assert_allclose(np.mean(sums), 276 / 3)


def test_examples_that_do_not_fill_a_batch_wait_for_another_epoch(
  mesh1, tmp_path
):
  indices, _ = _recorded(tmp_path, mesh1, examples=27, total=12, every=12)
  for epoch in indices.reshape(4, 24):
    assert len(set(epoch.tolist())) == 24
  assert len(set(indices.ravel().tolist())) == 27


def test_steps_do_not_depend_on_chunks_stops_or_devices(mesh1, mesh8, tmp_path):
  expected = _recorded(tmp_path / '1', mesh1, examples=27, total=12, every=12)
  # Stopped before the last step of an epoch, and gone on over its end in
  # chunks that are shorter than an epoch.
  half, _ = _recorded(tmp_path / '8', mesh8, examples=27, total=8, every=8)
  np.testing.assert_array_equal(half[8:], -1)
  other = _recorded(tmp_path / '8', mesh8, examples=27, total=12, every=2)
  _assert_identical(other, expected)


@pytest.mark.parametrize('batch_size', [0, 49])
def test_a_batch_size_outside_the_data(step, mesh1, tmp_path, batch_size):
  with pytest.raises(errors.UserError) as caught:
    _fit(step, tmp_path, mesh1, batch_size=batch_size)
  assert f'batch_size is {batch_size}' in str(caught.value)
  assert '48' in str(caught.value)


def test_a_batch_that_does_not_divide_over_the_devices(step, mesh8, tmp_path):
  with pytest.raises(errors.UserError, match=r'12.* 8 devices'):
    _fit(step, tmp_path, mesh8, batch_size=12)


def test_nan_in_the_data_stops_the_run_and_keeps_the_checkpoint(
  step, mesh1, tmp_path
):
  checkpoint.save(
    tmp_path / 'checkpoints', 5, _start().replace(step=jnp.int32(5))
  )
  data = _data()
  data['x'][:, 1] = np.nan
  with pytest.raises(errors.UserError, match=r"loss of 'a run' is nan.* 10"):
    _fit(step, tmp_path, mesh1, data=data)
  assert not (tmp_path / 'curve.jsonl').exists()
  kept = checkpoint.restore(tmp_path / 'checkpoints', _start())
  assert int(kept.step) == 5
  np.testing.assert_array_equal(kept.params['w'], 0)


class _Rows(sources.Source):
  """The examples of `_data` as a source."""

  def __init__(self):
    self._x = _data()['x']
    self.shape, self.dtype = self._x.shape, self._x.dtype

  def __getitem__(self, index):
    return self._x[index]


def _streamed_fit(step, folder, mesh, workers=0, **more):
  # Two steps to a chunk and three to an epoch: chunks end within epochs.
  settings = {'total': 8, 'every': 2, 'data': _data() | {'x': _Rows()}} | more
  return _fit(step, folder, mesh, workers=workers, **settings)


def _without_wait(curve):
  return [
    {k: v for k, v in line.items() if k != 'input_wait'} for line in curve
  ]


@pytest.fixture(scope='module')
def unbroken_stream(step, mesh1, tmp_path_factory):
  folder = tmp_path_factory.mktemp('stream')
  return _streamed_fit(step, folder, mesh1), folder


def test_a_stream_trains_and_reports_its_wait(unbroken, unbroken_stream):
  state, folder = unbroken_stream
  lines = _curve(folder)
  assert [line['step'] for line in lines] == [2, 4, 6, 8]
  assert lines[-1]['loss'] < 0.9 * lines[0]['loss'] < 0.9 * np.log(2)
  assert all(0 <= line['input_wait'] <= 1 for line in lines)
  assert lines[-1]['norm'] == pytest.approx(
    float(np.abs(state.params['w']).sum()), rel=1e-6
  )
  assert all('input_wait' not in line for line in _curve(unbroken[1]))


@pytest.mark.parametrize(('before', 'after'), [(0, 0), (2, 2)])
def test_a_killed_stream_resumes_with_the_same_bits(
  step, mesh1, tmp_path, unbroken_stream, monkeypatch, before, after
):
  save = checkpoint.save

  def killed(folder, number, state, position):
    if number == 6:
      raise KeyboardInterrupt
    save(folder, number, state, position)

  with monkeypatch.context() as patch:
    patch.setattr(checkpoint, 'save', killed)
    with pytest.raises(KeyboardInterrupt):
      _streamed_fit(step, tmp_path, mesh1, before)
  resumed = _streamed_fit(step, tmp_path, mesh1, after)
  _assert_identical(resumed, unbroken_stream[0])
  assert _without_wait(_curve(tmp_path)) == _without_wait(
    _curve(unbroken_stream[1])
  )


def test_a_damaged_position_is_skipped(
  step, mesh1, tmp_path, unbroken_stream, capsys
):
  _streamed_fit(step, tmp_path, mesh1, total=6)
  path = tmp_path / 'checkpoints' / '00000006' / '_CHECKPOINT_METADATA'
  stored = json.loads(path.read_text())
  stored['custom_metadata']['position']['iterator']['next_index'] -= 1
  path.write_text(json.dumps(stored))
  resumed = _streamed_fit(step, tmp_path, mesh1)
  assert 'its digest does not match' in capsys.readouterr().err
  _assert_identical(resumed, unbroken_stream[0])


def test_a_stream_on_eight_devices_equals_one(
  step, mesh8, tmp_path, unbroken_stream
):
  state = _streamed_fit(step, tmp_path, mesh8)
  assert len(state.params['w'].sharding.device_set) == 8
  np.testing.assert_allclose(
    state.params['w'], unbroken_stream[0].params['w'], atol=1e-5
  )


@pytest.mark.parametrize('mesh', ['mesh1', 'mesh8'])
def test_a_stream_does_not_change_the_initial_state(
  step, mesh, tmp_path, request
):
  start, mesh = _start(), request.getfixturevalue(mesh)
  for name in ('a', 'b'):
    _streamed_fit(step, tmp_path / name, mesh, state=start, total=2)
  np.testing.assert_array_equal(start.params['w'], 0)


@pytest.mark.parametrize('streams', [False, True])
def test_data_that_differ_in_length(step, mesh1, tmp_path, streams):
  data = {'x': _Rows() if streams else _data()['x'], 'primary': np.zeros(47)}
  with pytest.raises(errors.UserError, match=r'x has 48, primary has 47'):
    _fit(step, tmp_path, mesh1, data=data)


def test_the_best_state_is_kept(step, mesh1, tmp_path):
  """Accuracy by validation: 0.5, 0.8, 0.8, 0.6; the latest of the best."""
  accuracies = [0.5, 0.8, 0.8, 0.6]
  states = {}

  def fit(name, total, left):
    def evaluate(params):
      accuracy = left.pop(0)
      states.setdefault(name, []).append(jax.device_get(params))
      return {'validation_accuracy': accuracy}

    return _fit(
      step,
      tmp_path / name,
      mesh1,
      total=total,
      evaluate=evaluate,
      keep_best=True,
    )

  last = fit('whole', 20, list(accuracies))
  best = checkpoint.restore(tmp_path / 'whole' / loop.BEST, _start())
  assert int(best.step) == 15
  _assert_identical(best.params, states['whole'][2])
  assert not np.array_equal(best.params['w'], last.params['w'])
  # In two parts: the best of the first part stays until it is passed.
  fit('parts', 10, accuracies[:2])
  fit('parts', 20, [0.7, 0.6])
  again = checkpoint.restore(tmp_path / 'parts' / loop.BEST, _start())
  assert int(again.step) == 10
  _assert_identical(again.params, states['whole'][1])
