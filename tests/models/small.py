"""Small models for the tests, and parameters drawn without compiling."""

import importlib

import jax
import numpy as np

CLASSES = 3

# Options, and the shape of an example, where the defaults are too large.
_SMALL = {
  'cnn1d': ({}, (1, 32, 4)),
  'mobilenet': ({'width': 0.25}, (16, 20, 1)),
  'resnet': ({'width': 4, 'depths': (1, 2, 1, 1)}, (24, 20, 3)),
  'transformer': ({'width': 16, 'patch': 4}, (1, 32, 4)),
  'vgg16': ({'width': 1 / 16, 'dense': 24}, (16, 20, 1)),
  'vgg_s': ({'width': 1 / 16, 'dense': 24}, (33, 40, 1)),
}


def make(name: str, **options):
  """Returns a small model with three classes; `options` override its own."""
  model = importlib.import_module(f'hybrid_jax.models.{name}').Model
  return model(classes=CLASSES, **_SMALL.get(name, ({},))[0] | options)


def examples(name: str, batch: int = 3) -> np.ndarray:
  """Returns random examples `[batch, ...]` for the small model `name`."""
  model = importlib.import_module(f'hybrid_jax.models.{name}').Model
  shape = _SMALL.get(name, ({}, model.EXAMPLE))[1]
  rng = np.random.default_rng(0)
  return rng.standard_normal((batch, *shape)).astype(np.float32)


def shapes(model, x, *args, **more):
  """Returns the shapes of the parameters that `model` uses for `x`."""
  variables = jax.eval_shape(
    lambda key, x: model.init(key, x, *args, **more), jax.random.key(0), x
  )
  return variables.get('params', {})


def params(model, x):
  """Returns parameters of about the size of the model's initial ones.

  Compiling the initialisation of each layer would take longer than all tests.
  """
  rng = np.random.default_rng(0)

  def draw(path, leaf):
    noise = rng.standard_normal(leaf.shape)
    if path[-1].key == 'kernel':
      noise *= np.sqrt(2 / np.prod(leaf.shape[:-1]))
    elif path[-1].key == 'scale':
      noise = 1 + 0.1 * noise
    else:
      noise *= 0.1
    return noise.astype(leaf.dtype)

  return jax.tree_util.tree_map_with_path(draw, shapes(model, x))


def quick(function):
  """Returns `jax.jit` with less optimisation, which compiles faster."""
  return jax.jit(
    function, compiler_options={'xla_backend_optimization_level': 0}
  )
