import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from configs import watch
from hybrid_jax import errors
from hybrid_jax.models import cnn1d
from hybrid_jax.study import validate
from hybrid_jax.training import precision, steps, train_state

_SIAMESE = ml_collections.ConfigDict(
  {'weight': 0.1, 'margin': 10.0, 'balance_pairs': True}
)
_TRAINING = ml_collections.ConfigDict(
  {'learning_rate': 2e-3, 'steps': 60, 'warmup': 0.0, 'weight_decay': 0.0}
)


def _problem():
  """Returns a network, its optimizer and first state, and a learnable batch."""
  model = cnn1d.Model(classes=3, widths=(8, 8, 8), dense=8)
  keys = jax.random.split(jax.random.key(0), 3)
  y = jax.random.randint(keys[0], (48,), 0, 3)
  pattern = jax.random.normal(keys[1], (3, 1, 32, 6))
  x = pattern[y] + 0.3 * jax.random.normal(keys[2], (48, 1, 32, 6))
  params = model.init(jax.random.key(1), x)['params']
  tx = train_state.optimizer(_TRAINING)
  return model, tx, train_state.create(params, tx), {'x': x, 'primary': y}


def _trained(name):
  model, tx, first, batch = _problem()
  config = ml_collections.ConfigDict({'dtype': name})
  step = steps.make_siamese_step(
    precision.trainable(model, config), tx, 'dense1', _SIAMESE
  )

  @jax.jit
  def run(first):
    def body(state, number):
      return step(state, batch, jax.random.fold_in(jax.random.key(2), number))

    return jax.lax.scan(body, first, jnp.arange(60))

  return run(first), str(jax.make_jaxpr(step)(first, batch, jax.random.key(0)))


def test_bfloat16_trains_as_float32_does_and_keeps_its_state_in_float32():
  (wide, wide_figures), wide_program = _trained('float32')
  (narrow, figures), program = _trained('bfloat16')
  assert 'bf16' not in wide_program
  assert 'bf16' in program
  for leaf in jax.tree.leaves((narrow.params, figures)):
    assert leaf.dtype == jnp.float32
  accuracies = [float(f['accuracy'][-1]) for f in (figures, wide_figures)]
  assert min(accuracies) > 0.95
  # The first step's losses are those of float32 to bfloat16's three digits.
  for name in ('loss', 'task', 'contrastive'):
    np.testing.assert_allclose(
      figures[name][0], wide_figures[name][0], rtol=0.02
    )
  apart = jax.tree.map(lambda a, b: abs(a - b).max(), wide, narrow).params
  assert 0 < max(jax.tree.leaves(apart)) < 0.1


def test_the_output_is_float32():
  model, _, _, batch = _problem()
  mixed = precision.Mixed(model, jnp.dtype('bfloat16'))
  params = model.init(jax.random.key(1), batch['x'])['params']
  features = mixed.apply(
    {'params': params}, batch['x'], 'dense1', method='edge'
  )
  assert features.dtype == jnp.float32
  reference = model.apply(
    {'params': params}, batch['x'], 'dense1', method='edge'
  )
  assert 0 < float(abs(features - reference).max()) < 0.05


def test_float32_is_the_model_itself():
  model = cnn1d.Model(classes=2)
  config = ml_collections.ConfigDict({'dtype': 'float32'})
  assert precision.trainable(model, config) is model
  assert precision.trainable(model, ml_collections.ConfigDict()) is model


def test_validation_rejects_another_dtype():
  config = watch.get_config()
  config.model.dtype = 'float16'
  with pytest.raises(errors.UserError, match=r"'float16'.*bfloat16"):
    validate.prepare(config)
