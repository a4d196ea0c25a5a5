import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybrid_jax import errors, plugins
from hybrid_jax.models import base, cnn1d

_CLASSES = 3


def _model(name):
  return importlib.import_module(f'hybrid_jax.models.{name}').Model(
    classes=_CLASSES
  )


def _x(batch=3):
  # A window of a sensor; every model so far takes one.
  rng = np.random.default_rng(0)
  return rng.standard_normal((batch, 1, 32, 4)).astype(np.float32)


CUTS = [
  (name, split_point)
  for name in plugins.known('model')
  for split_point in _model(name).SPLIT_POINTS
]


@pytest.fixture(scope='module')
def params():
  return {
    name: jax.jit(_model(name).init)(jax.random.key(0), _x())['params']
    for name in plugins.known('model')
  }


def test_there_is_something_to_cut():
  assert len(CUTS) >= 4


@pytest.mark.parametrize(('name', 'split_point'), CUTS)
def test_the_halves_are_the_whole(name, split_point, params):
  model, x = _model(name), _x()
  whole = model.apply({'params': params[name]}, x)
  assert whole.shape == (3, _CLASSES)
  assert np.ptp(whole) > 1e-2
  # Each half gets its own parameters only, so none can lean on the other's.
  edge, cloud = base.split_params(model, params[name], split_point)
  features = model.apply({'params': edge}, x, split_point, method='edge')
  logits = model.apply({'params': cloud}, features, split_point, method='cloud')
  np.testing.assert_allclose(logits, whole, atol=1e-6)


@pytest.mark.parametrize(('name', 'split_point'), CUTS)
def test_the_edge_has_the_parameters_that_it_touches(name, split_point, params):
  model = _model(name)
  edge, cloud = base.split_params(model, params[name], split_point)
  touched = jax.jit(
    lambda key, x: model.init(key, x, split_point, method='edge')
  )(jax.random.key(0), _x())
  assert jax.tree.structure(edge) == jax.tree.structure(touched['params'])
  jax.tree.map(np.testing.assert_array_equal, edge, touched['params'])
  assert not edge.keys() & cloud.keys()
  assert edge.keys() | cloud.keys() == params[name].keys()


@pytest.mark.parametrize('name', plugins.known('model'))
def test_an_unknown_split_point_lists_the_known_ones(name):
  model = _model(name)
  near = model.SPLIT_POINTS[0] + 'x'
  for use in (
    lambda: model.edge_blocks(near),
    lambda: base.split_params(model, {}, near),
    lambda: model.init(jax.random.key(0), _x(), near, method='edge'),
  ):
    with pytest.raises(errors.UserError) as caught:
      use()
    for known in (near, *model.SPLIT_POINTS):
      assert known in str(caught.value)


def test_edge_blocks_are_those_up_to_the_cut():
  model = cnn1d.Model(classes=2)
  assert model.edge_blocks('conv1') == ('conv1',)
  assert model.edge_blocks('conv3') == ('conv1', 'conv2', 'conv3')


def test_a_block_worked_out_by_hand():
  block = cnn1d.ConvBlock(width=1, kernel=3)
  kernel = jnp.array([1.0, 0, -1]).reshape(1, 3, 1, 1)
  x = jnp.array([1.0, 2, 4, 3, 9]).reshape(1, 1, 5, 1)
  y = block.apply(
    {'params': {'Conv_0': {'kernel': kernel, 'bias': jnp.array([0.5])}}}, x
  )
  # x[t - 1] - x[t + 1] + 0.5, zeros outside: -1.5, -2.5, -0.5, -4.5, 3.5;
  # the larger of each two, the fifth is left over; then nothing below 0.
  np.testing.assert_array_equal(y.ravel(), [0, 0])
  y = block.apply(
    {'params': {'Conv_0': {'kernel': -kernel, 'bias': jnp.array([0.5])}}}, x
  )
  # The kernel's sign turned: 2.5, 3.5, 1.5, 5.5, -2.5.
  np.testing.assert_array_equal(y.ravel(), [3.5, 5.5])


def test_options_set_the_widths():
  model = cnn1d.Model(classes=5, widths=(2, 3, 4), kernel=3, dense=6)
  made = jax.eval_shape(model.init, jax.random.key(0), _x())['params']
  shapes = jax.tree.map(lambda a: a.shape, made)
  assert shapes['conv1']['Conv_0']['kernel'] == (1, 3, 4, 2)
  assert shapes['conv2']['Conv_0']['kernel'] == (1, 3, 2, 3)
  assert shapes['conv3']['Conv_0']['kernel'] == (1, 3, 3, 4)
  # 32 samples, halved three times, in 4 channels.
  assert shapes['dense1']['Dense_0']['kernel'] == (4 * 4, 6)
  assert shapes['head']['kernel'] == (6, 5)
