"""Squared Euclidean distances between two sets of vectors."""

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

Array = TypeVar('Array', np.ndarray, jax.Array)

_UNROLL = 16  # dimensions in one pass over a tile


def squared(a: Array, b: Array) -> Array:
  """Computes squared distances `[n, m]` through the matrix product `a b^T`.

  This is fast, but rounds: of two equal vectors the distance need not be 0.

  Args:
    a: `[n, d]`.
    b: `[m, d]`.
  """
  return (
    (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * a @ b.T
  ).clip(0)


def squared_by_difference(
  a: jax.Array, b: jax.Array, dimensions: jax.Array | int | None = None
) -> jax.Array:
  """Computes squared distances `[n, m]` as sums of squared differences.

  Slower than `squared`, but equal vectors have distance 0 and equal distances
  are equal, which ranks need.

  Args:
    a: `[d, n]`, one vector in each column.
    b: `[d, m]`.
    dimensions: the number of dimensions that count; the rest must be zeros. By
      default d.
  """
  unroll = min(len(a), _UNROLL)
  dimensions = len(a) if dimensions is None else dimensions
  a, b = (jnp.pad(x, ((0, -len(x) % unroll), (0, 0))) for x in (a, b))

  def add(i, total):
    for j in range(unroll):
      x, y = (
        jax.lax.dynamic_index_in_dim(v, i * unroll + j, keepdims=False)
        for v in (a, b)
      )
      total += jnp.square(x[:, None] - y)
    return total

  zero = jnp.zeros((a.shape[1], b.shape[1]), jnp.float32)
  return jax.lax.fori_loop(0, (dimensions + unroll - 1) // unroll, add, zero)
