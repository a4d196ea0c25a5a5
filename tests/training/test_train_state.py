"""Freezing blocks, and a head's own learning rate."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest

from hybrid_jax import errors
from hybrid_jax.training import steps, train_state

_POINTS = ('conv1', 'conv2', 'conv3', 'dense1')


def _config(**more):
  return ml_collections.ConfigDict(
    {
      'learning_rate': 0.01,
      'steps': 10,
      'warmup': 0.0,
      'weight_decay': 0.3,
      **more,
    }
  )


def _network():
  """A loss of four blocks of one matrix each, and their first values."""
  rng = np.random.default_rng(0)
  params = {
    name: {'kernel': jnp.asarray(rng.standard_normal((4, 4)), jnp.float32)}
    for name in (*_POINTS, 'head')
  }
  # A sum of -0.0 and 0.0 is 0.0, which would lose the sign.
  kernel = params['conv1']['kernel']
  params['conv1']['kernel'] = kernel.at[0].set(jnp.float32(-0.0))
  batch = {'x': jnp.asarray(rng.standard_normal((8, 4)), jnp.float32)}

  def loss(params, batch, key):
    del key
    x = batch['x']
    for name in (*_POINTS, 'head'):
      x = jnp.tanh(x @ params[name]['kernel'])
    return jnp.square(x - 0.5).mean(), {}

  return loss, params, batch


def _trained(config, count=3):
  loss, params, batch = _network()
  tx = train_state.optimizer(config, split_points=_POINTS)
  step = steps.make_step(loss, tx)
  state = train_state.create(params, tx)
  for i in range(count):
    state, _ = step(state, batch, jax.random.key(i))
  return params, state.params


def _bits(tree):
  return [np.asarray(a).tobytes() for a in jax.tree.leaves(tree)]


@pytest.mark.parametrize(
  ('start', 'frozen'),
  [
    ('conv1', ()),
    ('conv3', ('conv1', 'conv2')),
    ('head', ('conv1', 'conv2', 'conv3', 'dense1')),
  ],
)
def test_frozen_blocks_keep_their_bits(start, frozen):
  before, after = _trained(_config(trainable_from=start))
  for name in (*_POINTS, 'head'):
    same = [
      a == b
      for a, b in zip(_bits(before[name]), _bits(after[name]), strict=True)
    ]
    assert all(same) if name in frozen else not any(same), name


def test_trained_blocks_move_as_without_freezing():
  loss, params, batch = _network()
  _, after = _trained(_config(trainable_from='conv3'), count=1)
  tx = train_state.optimizer(_config())
  state, _ = steps.make_step(loss, tx)(
    train_state.create(params, tx), batch, jax.random.key(0)
  )
  for name in ('conv3', 'dense1', 'head'):
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
      after[name],
      state.params[name],
    )


def test_the_head_moves_ten_times_as_far():
  tx = train_state.optimizer(_config(head_factor=10.0), split_points=_POINTS)
  params = {'conv1': jnp.float32(2.0), 'head': jnp.float32(2.0)}
  gradient = {'conv1': jnp.float32(5.0), 'head': jnp.float32(-5.0)}
  updates, _ = tx.update(gradient, tx.init(params), params)
  # AdamW's first step is -rate (sign of the gradient + decay * parameter).
  np.testing.assert_allclose(updates['conv1'], -0.01 * (1 + 0.3 * 2), rtol=1e-4)
  np.testing.assert_allclose(updates['head'], -0.1 * (-1 + 0.3 * 2), rtol=1e-4)


def test_the_factor_multiplies_both():
  config = _config(head_factor=10.0, trainable_from='conv2', weight_decay=0.0)
  tx = train_state.optimizer(config, 0.5, _POINTS)
  params = {name: jnp.float32(1.0) for name in ('conv1', 'conv2', 'head')}
  updates, _ = tx.update(params, tx.init(params), params)
  np.testing.assert_allclose(
    [updates['conv1'], updates['conv2'], updates['head']],
    [0, -0.005, -0.05],
    rtol=1e-4,
  )


def test_weight_decay_does_not_change_frozen_blocks():
  tx = train_state.optimizer(
    _config(trainable_from='conv2'), split_points=_POINTS
  )
  start = jnp.array([3.0, -0.0], jnp.float32)
  params = dict.fromkeys(('conv1', 'conv2', 'head'), start)
  state = tx.init(params)
  for _ in range(5):
    updates, state = tx.update(
      jax.tree.map(jnp.zeros_like, params), state, params
    )
    params = optax.apply_updates(params, updates)
  # Not jitted as a whole, because XLA drops a sum with zero, which would hide a
  # lost sign.
  assert _bits(params['conv1']) == _bits(start)
  assert float(params['conv2'][0]) < 2.99
  assert float(params['head'][0]) < 2.99


def test_a_frozen_block_has_no_moments():
  _, params, _ = _network()

  def count(config):
    tx = train_state.optimizer(config, split_points=_POINTS)
    return sum(a.size for a in jax.tree.leaves(tx.init(params)) if a.ndim)

  sizes = {
    k: sum(a.size for a in jax.tree.leaves(v)) for k, v in params.items()
  }
  assert count(_config()) == 2 * sum(sizes.values())
  assert count(_config(trainable_from='head')) == 2 * sizes['head']


@pytest.mark.parametrize(
  'more', [{}, {'trainable_from': '', 'head_factor': 1.0}]
)
def test_without_either_it_is_plain_adamw(more):
  """Checkpoints and figures of older studies stay valid."""
  _, params, _ = _network()
  plain = optax.adamw(
    optax.warmup_cosine_decay_schedule(0.01, 0.01, 0, 10), weight_decay=0.3
  )
  for config in (
    _config(**more),
    ml_collections.FrozenConfigDict(_config(**more)),
  ):
    for points in ((), _POINTS):
      tx = train_state.optimizer(config, split_points=points)
      expected, state = plain.init(params), tx.init(params)
      assert jax.tree.structure(state) == jax.tree.structure(expected)
      for _ in range(3):
        u, state = tx.update(params, state, params)
        v, expected = plain.update(params, expected, params)
        assert _bits(u) == _bits(v)


def test_an_unknown_split_point_lists_the_known_ones():
  with pytest.raises(errors.UserError) as caught:
    train_state.optimizer(_config(trainable_from='conv4'), split_points=_POINTS)
  for word in ("'conv4'", 'trainable_from', *_POINTS, 'head'):
    assert word in str(caught.value)


@pytest.mark.parametrize('value', [0.0, -1.0, float('nan'), float('inf')])
def test_an_invalid_head_factor(value):
  with pytest.raises(errors.UserError, match=f'head_factor is {value}'):
    train_state.optimizer(_config(head_factor=value), split_points=_POINTS)


def test_a_defence_rejects_freezing_and_head_factor():
  config = _config(trainable_from='conv2')
  with pytest.raises(errors.UserError, match="trainable_from is 'conv2'"):
    train_state.defence_optimizer(config)
  config = _config(head_factor=10.0)
  params = {'network': {'head': jnp.ones(1)}, 'defence': jnp.ones(1)}
  with pytest.raises(errors.UserError, match='of defence, network'):
    train_state.create(params, train_state.defence_optimizer(config))


def test_the_average_forgets_the_first_weights_and_is_what_is_used():
  tx = train_state.optimizer(_config(average=0.5), split_points=_POINTS)
  plain = train_state.optimizer(_config(), split_points=_POINTS)
  loss, params, batch = _network()
  states = {}
  for name, each in (('average', tx), ('plain', plain)):
    step, state = steps.make_step(loss, each), train_state.create(params, each)
    history = []
    for i in range(6):
      state, _ = step(state, batch, jax.random.key(i))
      history.append(np.asarray(state.params['conv2']['kernel']))
    states[name] = (state, history)
  (state, history), (other, same) = states['average'], states['plain']
  # The steps themselves stay as they are.
  np.testing.assert_array_equal(history, same)
  expected = np.asarray(params['conv2']['kernel'])
  for t, kernel in enumerate(history):
    weight = min(0.5, (1 + t) / (10 + t))
    expected = weight * expected + (1 - weight) * kernel
  used = train_state.trained_params(state)['conv2']['kernel']
  np.testing.assert_allclose(used, expected, rtol=1e-5)
  assert np.abs(used - history[-1]).max() > 1e-4
  assert train_state.trained_params(other) is other.params


def test_an_average_with_frozen_blocks():
  tx = train_state.optimizer(
    _config(average=0.9, trainable_from='conv3', head_factor=10.0),
    split_points=_POINTS,
  )
  loss, params, batch = _network()
  step, state = steps.make_step(loss, tx), train_state.create(params, tx)
  for i in range(3):
    state, _ = step(state, batch, jax.random.key(i))
  used = train_state.trained_params(state)
  np.testing.assert_allclose(
    used['conv2']['kernel'], params['conv2']['kernel'], rtol=1e-6
  )
  assert np.abs(used['head']['kernel'] - params['head']['kernel']).max() > 1e-3
