import functools

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest
from flax import linen as nn

from hybrid_jax.models import split_model
from hybrid_jax.training import mixup, steps, train_state

_CUT = 'first'


class Tiny(split_model.SplitModel):
  """Two dense blocks, so that a step compiles quickly."""

  SPLIT_POINTS = ('first', 'second')

  def setup(self):
    self.first = nn.Dense(5)
    self.second = nn.Sequential([jnp.tanh, nn.Dense(4), jnp.tanh])
    self.head = nn.Dense(2)


def _problem(n=24):
  rng = np.random.default_rng(0)
  labels = rng.integers(0, 2, n)
  x = 0.5 * rng.standard_normal((n, 3)).astype(np.float32)
  x[:, 0] += 2 * labels - 1
  return {'x': jnp.asarray(x), 'primary': jnp.asarray(labels)}


@pytest.fixture(scope='module')
def model():
  return Tiny()


@pytest.fixture(scope='module')
def params(model):
  return jax.jit(model.init)(jax.random.key(0), _problem()['x'])['params']


def _counted(tx, traces):
  """Returns `tx`, which appends to `traces` when it is traced."""

  def update(*args):
    traces.append(1)
    return tx.update(*args)

  return optax.GradientTransformation(tx.init, update)


def _siamese_config(weight=0.3, balance=True):
  return ml_collections.ConfigDict(
    {'weight': weight, 'margin': 4.0, 'balance_pairs': balance}
  )


def _make(objective, model, tx):
  if objective == 'task':
    return steps.make_task_step(model, tx)
  return steps.make_siamese_step(model, tx, _CUT, _siamese_config())


@pytest.mark.parametrize('objective', ['task', 'siamese'])
def test_traced_once_and_the_loss_falls(objective, model, params):
  traces = []
  tx = _counted(optax.adam(3e-2), traces)
  step = _make(objective, model, tx)
  state = train_state.create(params, tx)
  history = []
  for i in range(30):
    state, metrics = step(state, _problem(), jax.random.key(i))
    history.append({name: float(v) for name, v in metrics.items()})
  assert len(traces) == 1
  assert int(state.step) == 30
  assert history[-1]['loss'] < 0.5 * history[0]['loss']
  assert history[-1]['accuracy'] > 0.9
  # A new state is independent of the first one.
  assert int(train_state.create(params, tx).step) == 0


@pytest.fixture(scope='module')
def one_step(model, params):
  """The state and metrics after one step: by weight, `None` for the task."""
  tx = optax.sgd(0.1)

  @functools.cache
  def run(weight, balance=True):
    step = (
      steps.make_task_step(model, tx)
      if weight is None
      else steps.make_siamese_step(
        model, tx, _CUT, _siamese_config(weight, balance)
      )
    )
    state = train_state.create(params, tx)
    return step(state, _problem(), jax.random.key(0))

  return run


def _log_softmax(logits):
  shifted = logits - logits.max(axis=1, keepdims=True)
  return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _task_loss(model, params, batch):
  logits = np.asarray(model.apply({'params': params}, batch['x']), np.float64)
  labels = np.asarray(batch['primary'])
  right = (logits.argmax(1) == labels).mean()
  return -_log_softmax(logits)[np.arange(len(labels)), labels].mean(), right


def _contrastive_parts(model, params, batch, margin):
  features = model.apply({'params': params}, batch['x'], _CUT, method='edge')
  flat = np.asarray(features, np.float64).reshape(len(features), -1)
  distance = np.sqrt(((flat[:, None] - flat[None]) ** 2).sum(-1))
  labels = np.asarray(batch['primary'])
  same = labels[:, None] == labels[None]
  other = ~np.eye(len(labels), dtype=bool)
  apart = np.maximum(0, margin - distance[~same]) ** 2
  return distance[same & other] ** 2, apart


def test_the_task_loss_is_the_cross_entropy(model, params, one_step):
  _, metrics = one_step(None)
  loss, accuracy = _task_loss(model, params, _problem())
  assert metrics.keys() == {'loss', 'accuracy'}
  np.testing.assert_allclose(metrics['loss'], loss, rtol=1e-5)
  np.testing.assert_allclose(metrics['accuracy'], accuracy, rtol=1e-6)


@pytest.mark.parametrize('balance', [False, True])
def test_the_siamese_loss_is_the_sum_of_its_parts(
  balance, model, params, one_step
):
  _, metrics = one_step(0.3, balance)
  task, accuracy = _task_loss(model, params, _problem())
  near, apart = _contrastive_parts(model, params, _problem(), margin=4.0)
  contrastive = (
    0.5 * (near.mean() + apart.mean())
    if balance
    else np.concatenate([near, apart]).mean()
  )
  assert contrastive > 0.1
  np.testing.assert_allclose(metrics['accuracy'], accuracy, rtol=1e-6)
  np.testing.assert_allclose(metrics['task'], task, rtol=1e-5)
  np.testing.assert_allclose(metrics['contrastive'], contrastive, rtol=1e-4)
  np.testing.assert_allclose(
    metrics['loss'], task + 0.3 / 2 * contrastive, rtol=1e-4
  )


def _gaps(a, b):
  """The largest difference of each block's parameters."""
  return {
    name: max(
      float(np.abs(x - y).max())
      for x, y in zip(
        jax.tree.leaves(a.params[name]),
        jax.tree.leaves(b.params[name]),
        strict=True,
      )
    )
    for name in a.params
  }


def test_without_weight_the_siamese_step_is_the_task_step(one_step):
  task, _ = one_step(None)
  siamese, _ = one_step(0.0)
  assert max(_gaps(task, siamese).values()) < 1e-6


def test_the_contrastive_loss_changes_only_the_edge(one_step):
  task, _ = one_step(None)
  siamese, _ = one_step(0.3)
  gaps = _gaps(task, siamese)
  assert gaps['first'] > 1e-3
  # The layers after the split point get the gradient of the task alone.
  assert max(gaps['second'], gaps['head']) < 1e-6


def test_a_step_follows_the_gradient_and_gets_its_key():
  # loss = k * w^2 / 2 with k from the batch: w - 0.1 * k * w.
  def loss(params, batch, key):
    return 0.5 * batch['k'] * params['w'] ** 2, {
      'drawn': jax.random.uniform(key)
    }

  tx = optax.sgd(0.1)
  step = steps.make_step(loss, tx)
  state = train_state.create({'w': jnp.float32(2.0)}, tx)
  key = jax.random.key(7)
  state, metrics = step(state, {'k': jnp.float32(3.0)}, key)
  np.testing.assert_allclose(state.params['w'], 2 - 0.1 * 3 * 2, rtol=1e-6)
  np.testing.assert_allclose(metrics['loss'], 6.0, rtol=1e-6)
  assert metrics['drawn'] == jax.random.uniform(key)
  assert int(state.step) == 1


def test_the_optimizer_warms_up_and_decays_to_zero():
  config = ml_collections.ConfigDict(
    {'learning_rate': 0.5, 'steps': 20, 'warmup': 0.2, 'weight_decay': 0.0}
  )
  tx = train_state.optimizer(config)
  params = {'w': jnp.float32(0.0)}
  state = tx.init(params)
  sizes = []
  for _ in range(21):
    updates, state = tx.update({'w': jnp.float32(1.0)}, state, params)
    sizes.append(-float(updates['w']))
  # Adam's step on a constant gradient is the learning rate: up to 0.5 over 4
  # steps, then half a cosine over 16.
  expected = [0.5 * i / 4 for i in range(4)] + [
    0.25 * (1 + np.cos(np.pi * i / 16)) for i in range(17)
  ]
  np.testing.assert_allclose(sizes, expected, rtol=1e-4, atol=1e-6)


def test_a_mixture_is_a_weighted_mean_of_two_examples():
  mixture = mixup.draw(jax.random.key(0), 4000, 0.4)
  share, partner = np.asarray(mixture.share), np.asarray(mixture.partner)
  # Beta(a, a) has the mean 1/2 and the variance 1 / (4 (2 a + 1)).
  assert share.mean() == pytest.approx(0.5, abs=0.02)
  assert share.var() == pytest.approx(1 / (4 * 1.8), rel=0.05)
  assert sorted(partner) == list(range(4000))
  x = np.random.default_rng(0).standard_normal((4000, 2, 3))
  np.testing.assert_allclose(
    mixture(jnp.asarray(x)),
    share[:, None, None] * x + (1 - share)[:, None, None] * x[partner],
    atol=1e-5,
  )
  nothing = mixup.draw(jax.random.key(0), 5, 0.0)
  few = jnp.asarray(x[:5])
  np.testing.assert_array_equal(nothing(few), few)


def test_the_loss_of_smoothed_labels_by_hand(model, params):
  tx = optax.sgd(0.1)
  step = steps.make_task_step(model, tx, label_smoothing=0.2)
  state = train_state.create(params, tx)
  _, metrics = step(state, _problem(), jax.random.key(0))
  batch = _problem()
  logits = np.asarray(model.apply({'params': params}, batch['x']), np.float64)
  log_probs = _log_softmax(logits)
  targets = 0.8 * np.eye(2)[np.asarray(batch['primary'])] + 0.1
  expected = -(targets * log_probs).sum(1).mean()
  np.testing.assert_allclose(metrics['loss'], expected, rtol=1e-5)


def test_the_loss_of_mixed_examples_by_hand(model, params):
  tx = optax.sgd(0.1)
  step = steps.make_task_step(model, tx, mixing=0.4)
  key, batch = jax.random.key(5), _problem()
  _, metrics = step(train_state.create(params, tx), batch, key)
  mixture = mixup.draw(jax.random.fold_in(key, 1000), 24, 0.4)
  logits = model.apply({'params': params}, mixture(batch['x']))
  log_probs = _log_softmax(np.asarray(logits, np.float64))
  labels, rows = np.asarray(batch['primary']), np.arange(24)
  share = np.asarray(mixture.share)
  expected = -(
    share * log_probs[rows, labels]
    + (1 - share) * log_probs[rows, labels[np.asarray(mixture.partner)]]
  ).mean()
  np.testing.assert_allclose(metrics['loss'], expected, rtol=1e-5)
