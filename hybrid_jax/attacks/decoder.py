"""Decoder: a network trained to map released vectors to their inputs.

After Dosovitskiy and Brox, "Inverting visual representations with convolutional
networks", CVPR 2016: squared error, with a frozen edge. Signals are decoded by
a multilayer perceptron, images by a dense layer and up-convolutions.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from flax import linen as nn

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset, padding
from hybrid_jax.models import perceptron
from hybrid_jax.models.ops import convolution
from hybrid_jax.training import counter_keys, fit_best

OPTIONS = {
  'widths': plugins.Option(
    (256, 512),
    'Hidden layers of the perceptron for signals.',
    unit='units',
    low=1,
  ),
  'steps': plugins.Option(
    400,
    'Training steps, rounded up to a multiple of every.',
    unit='steps',
    low=1,
  ),
  'every': plugins.Option(
    100, 'Steps between validations.', unit='steps', low=1
  ),
  'batch_size': plugins.Option(128, 'Examples in a batch.', low=1),
  'learning_rate': plugins.Option(
    1e-3, 'Initial learning rate, with a cosine decay to zero.', above=0
  ),
}

_CLIP = 10.0
_SMALLEST = 7  # pixels, the longest side of the first map at most
_NARROWEST = 16  # features of the last map


class UpConvolution(nn.Module):
  """Decoder of images: `[b, d]` to `[b, height * width * channels]`.

  A dense layer makes a small map. The map is doubled until it is large enough,
  and cut to size. Each doubling repeats the pixels and convolves them, since a
  transposed convolution leaves a checkerboard pattern (Odena et al.,
  "Deconvolution and checkerboard artifacts", Distill 2016).
  """

  height: int
  width: int
  channels: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    doublings = 0
    while -(-max(self.height, self.width) // 2**doublings) > _SMALLEST:
      doublings += 1
    small = (-(-self.height // 2**doublings), -(-self.width // 2**doublings))
    features = _NARROWEST * 2 ** min(doublings, 2)
    x = nn.relu(
      nn.Dense(
        small[0] * small[1] * features,
        kernel_init=nn.initializers.he_normal(),
      )(x)
    ).reshape(len(x), *small, features)
    for _ in range(doublings):
      features = max(features // 2, _NARROWEST)
      x = nn.relu(_conv(features, nn.initializers.he_normal())(_double(x)))
    x = _conv(self.channels, nn.initializers.zeros)(x)
    return x[:, : self.height, : self.width].reshape(len(x), -1)


def reconstruct(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> tuple[np.ndarray, np.ndarray]:
  """Rebuilds all test inputs with the decoder that is best on validation.

  The untrained decoder puts out the training mean. It is kept if training never
  improves on it.

  Args:
    problem: the attack problem.
    config: see `OPTIONS`.
    seed: for the weights, the batches and the noise.

  Returns:
    `items [n_test]`, all test items, and `rebuilt [n_test, ...]`.
  """
  shape = problem.inputs.shape
  flat = problem.inputs.reshape(shape[0], -1).astype(np.float32)
  train = problem.rows(dataset.TRAIN)
  mean = flat[train].mean(axis=0)

  def standardised(released):
    return ((released - problem.mean) / problem.std).astype(np.float32)

  # Convolutions are not padded: the first layer would start differently.
  d = problem.clean.shape[1]
  wide = d if dataset.is_image(shape) else padding.width(d)

  def examples(fold, released):
    x = flat[problem.rows(fold)] - mean
    return {'z': padding.pad(standardised(released), {1: wide}), 'x': x}

  noise = problem.noise_argument()
  if noise is not None:
    noise = padding.pad(noise / problem.std[:, None], {0: wide, 1: wide})
  decoder = _decoder(shape[1:], tuple(config.widths))
  every = min(config.every, config.steps)
  params = _train(
    decoder,
    examples(dataset.TRAIN, problem.clean[train]),
    examples(dataset.VALIDATION, problem.released(dataset.VALIDATION)),
    noise,
    problem.noise_scale is not None,
    np.float32(d),
    config.learning_rate,
    np.int32(seed),
    steps=-(-config.steps // every) * every,
    every=every,
    batch_size=min(config.batch_size, int(train.sum())),
  )
  test = examples(dataset.TEST, problem.released(dataset.TEST))['z']
  deviation = np.asarray(_apply(decoder.apply, params, test))
  rebuilt = mean + deviation
  return np.arange(len(rebuilt)), rebuilt.reshape(-1, *shape[1:])


class _Decoder(NamedTuple):
  """Functions `init(key, z, inputs)` and `apply(params, z) -> [b, size]`.

  `init` returns parameters for `z [b, d]`, of which `inputs` columns are not
  padding.
  """

  init: Callable[[jax.Array, jax.Array, jax.Array], Any]
  apply: Callable[[Any, jax.Array], jax.Array]


# Cached, since equal functions share a compilation.
@functools.lru_cache
def _decoder(shape, widths):
  """The decoder of inputs of a shape; untrained, its outputs are zero."""
  if dataset.is_image((1, *shape)):
    module = UpConvolution(*shape)
    return _Decoder(lambda key, z, inputs: module.init(key, z), module.apply)

  def init(key, z, inputs):
    sizes = (z.shape[1], *widths, math.prod(shape))
    params = perceptron.init(key, sizes, inputs=inputs)
    weight, bias = params[-1]
    return [*params[:-1], (jnp.zeros_like(weight), bias)]

  return _Decoder(init, perceptron.apply)


def _double(x):
  """Repeats each pixel four times: `[b, h, w, c]` to `[b, 2 h, 2 w, c]`."""
  b, h, w, c = x.shape
  x = jnp.broadcast_to(x[:, :, None, :, None], (b, h, 2, w, 2, c))
  return x.reshape(b, 2 * h, 2 * w, c)


def _conv(features, kernel_init):
  return nn.Conv(
    features,
    (3, 3),
    kernel_init=kernel_init,
    conv_general_dilated=convolution.conv_general_dilated,
  )


@functools.partial(jax.jit, static_argnums=0)
def _apply(apply, params, z):
  # A feature that hardly varied in training may be far out in another fold.
  return apply(params, jnp.clip(z, -_CLIP, _CLIP))


@functools.partial(
  jax.jit, static_argnames=('decoder', 'steps', 'every', 'batch_size')
)
def _train(
  decoder,
  train,
  validation,
  noise,
  has_noise,
  inputs,
  learning_rate,
  seed,
  steps,
  every,
  batch_size,
):
  init_key = counter_keys.make(seed, 0, fit_best.WEIGHTS)

  def error(params, z, x):
    return jnp.square(_apply(decoder.apply, params, z) - x).mean()

  def loss(params, batch, key):
    z = adversary.add_noise(batch['z'], noise, has_noise, key)
    return error(params, z, batch['x'])

  return fit_best.fit_best(
    loss,
    decoder.init(init_key, validation['z'][:1], inputs),
    optax.adam(optax.cosine_decay_schedule(learning_rate, steps)),
    train,
    seed,
    steps=steps,
    every=every,
    batch_size=batch_size,
    score=lambda params: -error(params, validation['z'], validation['x']),
    include_start=True,
  )
