"""Scaled-down models and parameters for them, drawn without compiling."""

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
  """The model `name` with three classes; `options` come over the small ones."""
  model = importlib.import_module(f'hybrid_jax.models.{name}').Model
  return model(classes=CLASSES, **_SMALL.get(name, ({},))[0] | options)


def examples(name: str, batch: int = 3) -> np.ndarray:
  """`[batch, ...]` of noise, which the small model `name` takes."""
  model = importlib.import_module(f'hybrid_jax.models.{name}').Model
  shape = _SMALL.get(name, ({}, model.EXAMPLE))[1]
  rng = np.random.default_rng(0)
  return rng.standard_normal((batch, *shape)).astype(np.float32)


def shapes(model, x, *args, **more):
  """The shapes of the parameters that `model` touches over `x`."""
  made = jax.eval_shape(
    lambda key, x: model.init(key, x, *args, **more), jax.random.key(0), x
  )
  return made.get('params', {})


def params(model, x):
  """Parameters of about the size that the model itself would draw.

  Compiling each layer's own draw would take longer than all tests.
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
  """`jax.jit` that compiles in half the time, to slower code."""
  return jax.jit(
    function, compiler_options={'xla_backend_optimization_level': 0}
  )
