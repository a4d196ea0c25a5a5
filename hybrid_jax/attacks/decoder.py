"""A decoder trained on released vectors and their inputs: a learned inverse.

After Dosovitskiy and Brox, "Inverting visual representations with convolutional
networks", CVPR 2016: squared error against a frozen edge. Signals come from a
multilayer perceptron, images from a dense layer and up-convolutions.
"""

import functools

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from flax import linen as nn

from hybrid_jax import errors, plugins
from hybrid_jax.attacks import inputs_problem
from hybrid_jax.datasets import dataset
from hybrid_jax.models.ops import convolution

OPTIONS = {
  'widths': plugins.Option(
    (256, 512),
    'Hidden layers of the perceptron that rebuilds signals.',
    unit='units',
    low=1,
  ),
  'steps': plugins.Option(
    400,
    'Steps, rounded up to a multiple of every.',
    unit='steps',
    low=1,
  ),
  'every': plugins.Option(
    100, 'Steps between validations.', unit='steps', low=1
  ),
  'batch_size': plugins.Option(128, 'Examples of a step.', low=1),
  'learning_rate': plugins.Option(
    1e-3, 'First learning rate; a cosine to zero.', above=0
  ),
}

_CLIP = 10.0
_SMALLEST = 7  # pixels, the longest side of the first map at most
_NARROWEST = 16  # features of the last map


class Perceptron(nn.Module):
  """`[b, d]` to `[b, size]`: ReLU layers of `widths`, linear at the end."""

  widths: tuple[int, ...]
  size: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    for width in self.widths:
      x = nn.relu(nn.Dense(width, kernel_init=nn.initializers.he_normal())(x))
    return nn.Dense(self.size, kernel_init=nn.initializers.zeros)(x)


class UpConvolution(nn.Module):
  """`[b, d]` to `[b, height * width * channels]`.

  A dense layer makes a small map, which is doubled until it is large enough
  and cut to size. Nearest neighbours and a convolution in place of a transposed
  one, which leaves a checkerboard (Odena et al., "Deconvolution and
  checkerboard artifacts", Distill 2016).
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
  problem: inputs_problem.Problem, config: ml_collections.ConfigDict, seed: int
) -> tuple[np.ndarray, np.ndarray]:
  """Rebuilds every test item with the decoder that is best on validation.

  It starts as the training mean, to which it returns where it learns nothing.

  Args:
    problem: what is attacked.
    config: `decoder` with `widths` (of the perceptron), `steps`, `every` (steps
      between validations; `steps` are rounded up to a multiple), `batch_size`
      and `learning_rate` (the first, of a cosine to zero).
    seed: of the weights, the batches and the noise.

  Returns:
    `items [n_test]`, all of them, and `rebuilt [n_test, ...]`.

  Raises:
    UserError: `steps`, `every` or `batch_size` is below 1.
  """
  c = config.decoder
  for name in ('steps', 'every', 'batch_size'):
    if c[name] < 1:
      raise errors.UserError(
        f'decoder.{name} is {c[name]}; it must be at least 1.'
      )
  shape = problem.x.shape
  flat = problem.x.reshape(len(problem.x), -1).astype(np.float32)
  mean = flat[problem.rows(dataset.TRAIN)].mean(axis=0)
  module = (
    UpConvolution(*shape[1:])
    if dataset.is_image(shape)
    else Perceptron(tuple(c.widths), flat.shape[1])
  )
  scaled = functools.partial(_standardise, problem)
  noise = problem.noise_scale
  data = {
    'train': scaled(problem.clean[problem.rows(dataset.TRAIN)]),
    'train_x': flat[problem.rows(dataset.TRAIN)] - mean,
    'held': scaled(problem.held),
    'held_x': flat[problem.rows(dataset.VALIDATION)] - mean,
    'noise': None if noise is None else noise / problem.spread[:, None],
  }
  every = min(c.every, c.steps)
  settings = (-(-c.steps // every), every, c.batch_size)
  key = jax.random.key(seed)
  params = _train(module, settings, data, c.learning_rate, key)
  deviation = _apply(module, params, scaled(problem.released))
  rebuilt = (mean + deviation).reshape(-1, *shape[1:])
  return np.arange(len(rebuilt)), np.asarray(rebuilt)


def _standardise(problem, released):
  return ((released - problem.center) / problem.spread).astype(np.float32)


def _double(x):
  """`[b, h, w, c]` to `[b, 2 h, 2 w, c]`, each pixel four times."""
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


def _apply_clipped(module, params, z):
  # What hardly moved in training may be far out in another fold.
  return module.apply({'params': params}, jnp.clip(z, -_CLIP, _CLIP))


_apply = jax.jit(_apply_clipped, static_argnums=0)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _train(module, settings, data, rate, key):
  """The parameters of the best validation, the untrained ones among them."""
  chunks, every, batch_size = settings
  tx = optax.adam(optax.cosine_decay_schedule(rate, chunks * every))
  n = len(data['train'])

  def step(carry, number):
    params, opt_state = carry
    row_key, noise_key = jax.random.split(jax.random.fold_in(key, number + 1))
    rows = jax.random.randint(row_key, (min(batch_size, n),), 0, n)
    z, x = data['train'][rows], data['train_x'][rows]
    if data['noise'] is not None:
      z += jax.random.normal(noise_key, z.shape) @ data['noise'].T

    def loss(params):
      return jnp.square(_apply_clipped(module, params, z) - x).mean()

    updates, opt_state = tx.update(jax.grad(loss)(params), opt_state)
    return (optax.apply_updates(params, updates), opt_state), None

  def held_error(params):
    rebuilt = _apply_clipped(module, params, data['held'])
    return jnp.square(rebuilt - data['held_x']).mean()

  def chunk(carry, number):
    training, best, least = carry
    training, _ = jax.lax.scan(
      step, training, number * every + jnp.arange(every)
    )
    error = held_error(training[0])
    best = jax.tree.map(
      lambda new, old: jnp.where(error < least, new, old), training[0], best
    )
    return (training, best, jnp.minimum(error, least)), None

  params = module.init(jax.random.fold_in(key, 0), data['held'][:1])['params']
  start = ((params, tx.init(params)), params, held_error(params))
  (_, best, _), _ = jax.lax.scan(chunk, start, jnp.arange(chunks))
  return best
