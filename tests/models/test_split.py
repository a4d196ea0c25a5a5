import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybrid_jax import errors, plugins
from hybrid_jax.models import cnn1d, split_model
from tests.models import small

NAMES = plugins.known('model')
CUTS = [(name, cut) for name in NAMES for cut in small.make(name).SPLIT_POINTS]


def test_every_model_has_split_points():
  assert {'cnn1d', 'mobilenet', 'resnet', 'transformer', 'vgg16'} < {*NAMES}
  assert len(CUTS) >= 4 + 20 + 10 + 6 + 14 + 6


@functools.cache
def _shapes(name):
  return small.shapes(small.make(name), small.examples(name))


def _program(name, run):
  model = small.make(name)
  program = jax.make_jaxpr(lambda params, x: run(model, params, x))
  text = str(program(_shapes(name), small.examples(name)))
  return re.sub('0x[0-9a-f]+', '', text)  # A function's place in memory.


@functools.cache
def _whole_program(name):
  return _program(name, lambda model, p, x: model.apply({'params': p}, x))


@pytest.mark.parametrize(('name', 'split_point'), CUTS)
def test_the_halves_equal_the_network(name, split_point):
  def halves(model, params, x):
    # Each half gets its own parameters only.
    edge, cloud = split_model.split_params(model, params, split_point)
    features = model.apply({'params': edge}, x, split_point, method='edge')
    return model.apply({'params': cloud}, features, split_point, method='cloud')

  # The very same program, which needs no running to give the same numbers.
  assert _program(name, halves) == _whole_program(name)


@pytest.mark.parametrize('name', NAMES)
def test_logits_differ_between_examples(name):
  model, x = small.make(name), small.examples(name)
  logits = small.quick(model.apply)({'params': small.params(model, x)}, x)
  assert logits.shape == (3, small.CLASSES)
  # They differ from example to example, so not by the biases alone.
  assert np.ptp(logits, axis=0).min() > 1e-3


@pytest.mark.parametrize(('name', 'split_point'), CUTS)
def test_split_params_gives_the_edge_its_parameters(name, split_point):
  model, x = small.make(name), small.examples(name)
  params = _shapes(name)
  edge, cloud = split_model.split_params(model, params, split_point)
  touched = small.shapes(model, x, split_point, method='edge')
  assert edge == touched
  assert not edge.keys() & cloud.keys()
  assert edge.keys() | cloud.keys() == params.keys()


@pytest.mark.parametrize('name', NAMES)
def test_an_unknown_split_point_lists_the_known_ones(name):
  model = small.make(name)
  near = model.SPLIT_POINTS[0] + 'x'
  for use in (
    lambda: model.edge_blocks(near),
    lambda: split_model.split_params(model, {}, near),
    lambda: model.init(
      jax.random.key(0), small.examples(name), near, method='edge'
    ),
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
  variables = jax.eval_shape(
    model.init, jax.random.key(0), small.examples('cnn1d')
  )['params']
  shapes = jax.tree.map(lambda a: a.shape, variables)
  assert shapes['conv1']['Conv_0']['kernel'] == (1, 3, 4, 2)
  assert shapes['conv2']['Conv_0']['kernel'] == (1, 3, 2, 3)
  assert shapes['conv3']['Conv_0']['kernel'] == (1, 3, 3, 4)
  # 32 samples, halved three times, in 4 channels.
  assert shapes['dense1']['Dense_0']['kernel'] == (4 * 4, 6)
  assert shapes['head']['kernel'] == (6, 5)
