"""Multilayer perceptron as two pure functions.

It has ReLU between its layers, and no hidden layer at all is allowed. The
functions can be traced under `vmap`, so that many networks train at once.
"""

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

# The weights `[in, out]` and the bias `[out]` of each layer.
Params = list[tuple[jax.Array, jax.Array]]


def init(
  key: jax.Array,
  sizes: Sequence[int],
  width: jax.Array | float = 1.0,
  inputs: jax.Array | None = None,
) -> Params:
  """Draws normal weights of variance 2 / inputs, and zero biases.

  After He et al., "Delving deep into rectifiers", ICCV 2015.

  Args:
    key: random key.
    sizes: the sizes of the layers, from input to output.
    width: the share of the hidden units that are active, above 0 to 1. The
      others have zero weights: they put nothing out and learn nothing, as if
      the layer were narrower, while the shapes stay the same.
    inputs: the number of inputs that are not always zero; by default all.
  """
  pairs = list(itertools.pairwise(sizes))
  ends = np.cumsum([a * b for a, b in pairs])
  # One draw for all layers, since each draw takes long to compile.
  draws = jnp.split(jax.random.normal(key, (int(ends[-1]),)), ends[:-1])
  params, active = [], sizes[0] if inputs is None else inputs
  for i, (draw, (a, b)) in enumerate(zip(draws, pairs, strict=True), start=1):
    weight = draw.reshape(a, b) * jnp.sqrt(2 / active)
    if i < len(pairs):
      active = jnp.ceil(width * b)
      weight = jnp.where(jnp.arange(b) < active, weight, 0)
    params.append((weight, jnp.zeros(b)))
  return params


def apply(params: Params, x: jax.Array) -> jax.Array:
  """Computes the outputs `[..., sizes[-1]]` of `x [..., sizes[0]]`."""
  for layer, (weight, bias) in enumerate(params):
    if layer:
      x = jax.nn.relu(x)
    x = x @ weight + bias
  return x
