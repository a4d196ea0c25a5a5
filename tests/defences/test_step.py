"""Tests the training step of the defences on a small network."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import watch
from hybrid_jax import plugins
from hybrid_jax.models import cnn1d
from hybrid_jax.release import bottleneck
from hybrid_jax.training import steps, train_state

_CUT = 'dense1'


def _config():
  config = watch.get_config().defend
  config.steps = 50
  return config


def _toy(n=32):
  rng = np.random.default_rng(0)
  primary = np.arange(n) % 2
  who = np.arange(n) // 2 % 3
  x = 0.3 * rng.standard_normal((n, 1, 16, 2)).astype(np.float32)
  x[..., 0] += (2 * primary - 1)[:, None, None]
  x[..., 1] += 0.7 * (who - 1)[:, None, None]
  return {
    'x': jnp.asarray(x),
    'primary': jnp.asarray(primary),
    'sensitive_who': jnp.asarray(who),
  }


def _start(defence, tx):
  model = cnn1d.Model(classes=2, widths=(4, 4, 4), kernel=3, dense=8)
  x = _toy()['x']
  network = jax.jit(model.init)(jax.random.key(0), x)['params']
  features = jax.jit(
    lambda p: model.apply({'params': p}, x, _CUT, method='edge')
  )(network)
  release = watch.get_config().release
  params = {
    'network': network,
    'bottleneck': bottleneck.fit(features, release, _CUT),
    'defence': defence.init(
      jax.random.key(1), release.bottleneck_dim, {'who': 3}
    ),
  }
  return model, train_state.create(params, tx)


@pytest.mark.parametrize('name', ['bounded', 'max_entropy'])
def test_traced_once_and_the_loss_falls(name):
  config, traces = _config(), []
  inner = train_state.defence_optimizer(config)

  def update(*args):
    traces.append(1)
    return inner.update(*args)

  tx = optax.GradientTransformation(inner.init, update)
  defence = plugins.load('defence', name).make(config[name])
  model, state = _start(defence, tx)
  first = state.params
  step = steps.make_defence_step(
    model, tx, _CUT, defence, config[name].weight, config
  )
  history = []
  for i in range(50):
    state, metrics = step(state, _toy(), jax.random.key(i))
    history.append({name: float(v) for name, v in metrics.items()})
  assert len(traces) == 1
  assert history[0].keys() == {'loss', 'accuracy', 'task', 'penalty'}
  for one in (history[0], history[-1]):
    assert one['loss'] == pytest.approx(one['task'] + one['penalty'], rel=1e-5)
  last = np.mean([one['loss'] for one in history[-5:]])
  assert last < 0.8 * np.mean([one['loss'] for one in history[:5]])
  assert history[-1]['accuracy'] > 0.9
  for part in first:
    for a, b in zip(
      jax.tree.leaves(first[part]),
      jax.tree.leaves(state.params[part]),
      strict=True,
    ):
      assert np.abs(a - b).max() > 1e-5


def test_the_inputs_of_a_penalty():
  """Shapes, noise of unit variance, and gains of the channels."""
  config = _config()
  config.noise_draws, config.gain = 3, 0.1
  captured = {}

  def penalty(params, batch, weight):
    captured['params'] = params
    jax.debug.callback(
      lambda x, clean, noisy, who: captured.update(
        x=x, clean=clean, noisy=noisy, who=who
      ),
      batch.x,
      batch.clean,
      batch.noisy,
      batch.sensitive['who'],
    )
    assert batch.sensitive.keys() == {'who'}
    return jnp.float32(weight)

  class Capturing:
    def init(self, *args):
      return {}

  capturing = Capturing()
  capturing.penalty = penalty
  tx = optax.sgd(0.0)
  model, state = _start(capturing, tx)
  step = steps.make_defence_step(model, tx, _CUT, capturing, 0.25, config)
  batch = _toy(400)
  _, metrics = step(state, batch, jax.random.key(3))
  jax.effects_barrier()
  assert metrics['penalty'] == 0.25
  np.testing.assert_array_equal(captured['who'], batch['sensitive_who'])
  assert captured['noisy'].shape == (3, 400, 4)
  added = np.asarray(captured['noisy'] - captured['clean'])
  # 4800 of them.
  assert added.std() == pytest.approx(1, abs=0.05)
  assert added.mean() == pytest.approx(0, abs=0.06)
  assert np.abs(added[0] - added[1]).max() > 0.5
  gain = np.asarray(captured['x'] / batch['x'])
  np.testing.assert_allclose(gain, gain[:, :, :1].repeat(16, 2), rtol=1e-4)
  assert gain[:, 0, 0].std() == pytest.approx(0.1, abs=0.015)
  assert np.abs(gain[:, 0, 0, 0] - gain[:, 0, 0, 1]).max() > 0.05


def test_an_adversary_has_a_higher_learning_rate():
  tx = train_state.defence_optimizer(_config(), adversary_factor=3.0)
  params = {name: {'w': jnp.array([1.0, -2.0])} for name in ('network',)}
  params |= {'bottleneck': params['network'], 'defence': params['network']}
  state = tx.init(params)
  gradient = jax.tree.map(lambda p: 0.3 * p, params)
  for i in range(4):
    updates, state = tx.update(gradient, state, params)
    update = updates['network']['w']
    assert (np.abs(update).max() > 1e-4) == (i > 0)  # The warm-up starts at 0.
    np.testing.assert_array_equal(updates['bottleneck']['w'], update)
    np.testing.assert_allclose(updates['defence']['w'], 3 * update, rtol=1e-5)
