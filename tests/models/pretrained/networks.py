"""A small VGG-16 for the tests, with zero and random parameters."""

import jax
import jax.numpy as jnp
import numpy as np

from hybrid_jax.models import vgg16
from hybrid_jax.models.pretrained import names

POINTS = vgg16.Model.SPLIT_POINTS
CLASSES = 5


def model(**options):
  options = {'classes': CLASSES, 'width': 1 / 32, 'dense': 24, **options}
  return vgg16.Model(**options)


def zeros(network, shape=(1, 64, 64, 3)):
  """Returns zeros of the shapes of the parameters."""
  variables = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros(shape))
  return jax.tree.map(
    lambda a: jnp.zeros(a.shape, a.dtype), variables['params']
  )


def random(params):
  """Returns random kernels and biases by layer, in our order of axes."""
  rng = np.random.default_rng(1)
  expected = {}
  for layer in names.LAYERS:
    block = params[layer]
    inner = block if layer == names.HEAD else next(iter(block.values()))
    expected[layer] = {
      part: rng.standard_normal(inner[part].shape).astype(np.float32)
      for part in ('kernel', 'bias')
    }
  return expected


def part(params, layer, which):
  """Returns a parameter of a block or of the head."""
  block = params[layer]
  return (block if which in block else next(iter(block.values())))[which]


def assert_loaded(params, expected, layers=names.LAYERS):
  for layer in layers:
    for which, value in expected[layer].items():
      np.testing.assert_array_equal(
        np.asarray(part(params, layer, which)), value, err_msg=layer
      )


def assert_same_outputs(network, params, x, expected, atol=1e-4):
  """Compares the features at every split point, and the logits."""

  def run(m, x):
    outputs = {}
    for name in (*POINTS, 'head'):
      x = outputs[name] = getattr(m, name)(x)
    return outputs

  outputs = jax.jit(lambda p: network.apply({'params': p}, x, method=run))(
    params
  )
  for name in POINTS:
    # With smaller features the tolerance would be too large.
    assert np.std(expected[name]) > 0.05, name
    np.testing.assert_allclose(outputs[name], expected[name], atol=atol, rtol=0)
  np.testing.assert_allclose(
    outputs['head'], expected['logits'], atol=atol, rtol=0
  )
