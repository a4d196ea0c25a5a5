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


def squared_by_difference(a: jax.Array, b: jax.Array) -> jax.Array:
  """Computes squared distances `[n, m]` as sums of squared differences.

  Slower than `squared`, but equal vectors have distance 0 and equal distances
  are equal, which ranks need.

  Args:
    a: `[d, n]`, one vector in each column.
    b: `[d, m]`.
  """

  def add(total, row):
    return total + jnp.square(row[0][:, None] - row[1]), None

  zero = jnp.zeros((a.shape[1], b.shape[1]), jnp.float32)
  return jax.lax.scan(add, zero, (a, b), unroll=min(len(a), _UNROLL))[0]
