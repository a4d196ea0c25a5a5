"""A small untrained network with PCA and noise at a split point."""

import jax
import jax.numpy as jnp
import numpy as np

from hybrid_jax.datasets import normalization
from hybrid_jax.deploy.export import split_functions
from hybrid_jax.models import cnn1d
from hybrid_jax.release import mechanisms, noise, pca

DIM = 4
WINDOW = (1, 32, 2)
# Two sensors: with one 8-bit scale, the first would have only a few steps.
MEAN, STD = np.float32([0.5, -3.0]), np.float32([0.1, 10.0])


def make(noisy: bool = True) -> split_functions.SplitFunctions:
  """Splits at `dense1`, and reduces to `DIM` numbers, with or without noise."""
  model = cnn1d.Model(classes=3, widths=(16, 32, 32), dense=16)
  params = model.init(jax.random.key(0), jnp.zeros((1, *WINDOW)))['params']
  rows = np.linalg.qr(np.random.default_rng(1).normal(size=(16, 16)))[0]
  chain = [
    pca.Pca(
      mean=jnp.linspace(-1, 1, 16),
      components=jnp.asarray(rows[:DIM], jnp.float32),
    )
  ]
  if noisy:
    chain.append(noise.Noise(scale=scale()))
  return split_functions.SplitFunctions(
    model=model,
    params=params,
    split_point='dense1',
    normalizer=normalization.Normalizer(MEAN, STD),
    release=mechanisms.Release(tuple(chain)),
    example_shape=WINDOW,
    feature_shape=(16,),
  )


def scale() -> jax.Array:
  """A lower triangular matrix; its asymmetry shows a wrong transpose."""
  return 0.3 * jnp.tril(jnp.arange(1.0, 17.0).reshape(4, 4) / 8)


def windows(count: int, seed: int = 0) -> np.ndarray:
  """Returns `[count, 1, 32, 2]` in the units of the normalizer."""
  rng = np.random.default_rng(seed)
  return MEAN + STD * rng.standard_normal((count, *WINDOW), np.float32)
