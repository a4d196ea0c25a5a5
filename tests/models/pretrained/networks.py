"""A small VGG-16, its zeroed parameters, and arrays that could be its own."""

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
  """Zeros of the parameters' shapes: what is not loaded gives nothing."""
  made = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros(shape))
  return jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), made['params'])


def random(params):
  """Layer to kernel and bias, in this program's order of axes; all differ."""
  rng = np.random.default_rng(1)
  found = {}
  for layer in names.LAYERS:
    block = params[layer]
    inner = block if layer == names.HEAD else next(iter(block.values()))
    found[layer] = {
      part: rng.standard_normal(inner[part].shape).astype(np.float32)
      for part in ('kernel', 'bias')
    }
  return found


def part(params, layer, which):
  """A parameter of a block or of the head."""
  block = params[layer]
  return (block if which in block else next(iter(block.values())))[which]


def assert_loaded(params, expected, layers=names.LAYERS):
  for layer in layers:
    for which, value in expected[layer].items():
      np.testing.assert_array_equal(
        np.asarray(part(params, layer, which)), value, err_msg=layer
      )


def assert_same_answers(network, params, x, answers, atol=1e-4):
  """At every split point, and for the logits: `answers` by their names."""

  def run(m, x):
    found = {}
    for name in (*POINTS, 'head'):
      x = found[name] = getattr(m, name)(x)
    return found

  ours = jax.jit(lambda p: network.apply({'params': p}, x, method=run))(params)
  for name in POINTS:
    # Otherwise the tolerance would tell nothing.
    assert np.std(answers[name]) > 0.05, name
    np.testing.assert_allclose(ours[name], answers[name], atol=atol, rtol=0)
  np.testing.assert_allclose(ours['head'], answers['logits'], atol=atol, rtol=0)
