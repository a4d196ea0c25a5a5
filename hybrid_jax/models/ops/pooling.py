"""Two-dimensional max-pool with a gradient that is fast on the CPU.

The gradient of `lax` is a select-and-scatter, which is slow on the CPU. Here
each input is compared with the maximum of its window, and the first equal input
gets the gradient, as in `lax`. NVIDIA GPUs use it for signals (height 1) only.
For everything else, and on TPUs, `lax`'s gradient is used.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax


def max_pool(
  x: jax.Array,
  window: tuple[int, int],
  strides: tuple[int, int] | None = None,
  padding: str | Sequence[tuple[int, int]] = 'VALID',
) -> jax.Array:
  """Returns the largest value of each window.

  Args:
    x: `[batch, height, width, channels]`.
    window: height and width of the window.
    strides: the stride of each spatial dimension; the window's size if `None`.
    padding: `'SAME'`, `'VALID'`, or `(low, high)` for each spatial dimension;
      padding is never the maximum.

  Returns:
    `[batch, out_height, out_width, channels]`.
  """
  steps = window if strides is None else tuple(strides)
  if isinstance(padding, str):
    padding = lax.padtype_to_pads(x.shape[1:3], window, steps, padding)
  pads = tuple((int(low), int(high)) for low, high in padding)

  def fast(a):
    return _pool(a, window, steps, pads)

  def reference(a):
    return _reduce(a, window, steps, pads)

  return lax.platform_dependent(
    x,
    cpu=fast,
    cuda=fast if x.shape[1] == 1 else reference,
    default=reference,
  )


def _reduce(x, window, strides, pads):
  return lax.reduce_window(
    x,
    -jnp.inf,
    lax.max,
    (1, *window, 1),
    (1, *strides, 1),
    ((0, 0), *pads, (0, 0)),
  )


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _pool(x, window, strides, pads):
  return _reduce(x, window, strides, pads)


def _pool_forward(x, window, strides, pads):
  pooled = _pool(x, window, strides, pads)
  return pooled, (x, pooled)


def _pool_backward(window, strides, pads, saved, dy):
  x, pooled = saved
  if strides == window and not any(map(any, pads)):
    return (_backward_tiled(x, pooled, window, dy),)
  return (_backward_overlapping(x, pooled, window, strides, pads, dy),)


def _backward_tiled(x, pooled, window, dy):
  """Computes the gradient for windows that do not overlap, by reshaping."""
  (kh, kw), (batch, out_h, out_w, channels) = window, dy.shape
  covered = x[:, : out_h * kh, : out_w * kw]
  tiles = covered.reshape(batch, out_h, kh, out_w, kw * channels)
  assigned = jnp.zeros(dy.shape, bool)
  rows = []
  for i in range(kh):
    columns = []
    for j in range(kw):
      candidate = tiles[:, :, i, :, j * channels : (j + 1) * channels]
      is_max = (candidate == pooled) & ~assigned
      assigned |= is_max
      columns.append(jnp.where(is_max, dy, 0))
    rows.append(jnp.concatenate(columns, -1))
  d_covered = jnp.stack(rows, 2).reshape(covered.shape)
  rest = [(0, a - b) for a, b in zip(x.shape, covered.shape, strict=True)]
  return jnp.pad(d_covered, rest)


def _backward_overlapping(x, pooled, window, strides, pads, dy):
  out_h, out_w = dy.shape[1:3]
  padded = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=-jnp.inf)
  assigned = jnp.zeros(dy.shape, bool)
  d_padded = jnp.zeros(padded.shape, dy.dtype)
  for i in range(window[0]):
    for j in range(window[1]):
      span_h = strides[0] * (out_h - 1) + 1
      span_w = strides[1] * (out_w - 1) + 1
      candidate = padded[
        :, i : i + span_h : strides[0], j : j + span_w : strides[1]
      ]
      is_max = (candidate == pooled) & ~assigned
      assigned |= is_max
      d_padded += lax.pad(
        jnp.where(is_max, dy, 0),
        jnp.zeros((), dy.dtype),
        (
          (0, 0, 0),
          (i, padded.shape[1] - i - span_h, strides[0] - 1),
          (j, padded.shape[2] - j - span_w, strides[1] - 1),
          (0, 0, 0),
        ),
      )
  (top, _), (left, _) = pads
  return d_padded[:, top : top + x.shape[1], left : left + x.shape[2]]


_pool.defvjp(_pool_forward, _pool_backward)
