"""Depthwise convolution with gradients that are fast on the CPU.

`lax`'s gradient of a depthwise convolution is slow on the CPU, also outside
`lax.scan`. When a gradient is needed, the convolution and both gradients are
computed here as sums over the positions in the kernel: the shifted input times
one weight for each channel. On two cores, a training step of `models.mobilenet`
at half width with 64 pictures of 48 x 48 pixels takes 0.05 s instead of 0.65 s.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

Pads = tuple[tuple[int, int], ...]


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def convolution(
  x: jax.Array,
  kernel: jax.Array,
  strides: tuple[int, int],
  pads: Pads,
  precision: lax.PrecisionLike = None,
) -> jax.Array:
  """Convolves each channel with its own filter.

  Args:
    x: input `[batch, height, width, channels]`.
    kernel: `[kernel_height, kernel_width, 1, channels]`.
    strides: of each spatial dimension.
    pads: `(low, high)` of each spatial dimension, none of them negative.
    precision: see `lax`; it is used only when no gradient is needed.

  Returns:
    `[batch, out_height, out_width, channels]`.
  """
  # Without a gradient it is a plain convolution, also in exported files.
  return lax.conv_general_dilated(
    x,
    kernel,
    strides,
    pads,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    feature_group_count=x.shape[-1],
    precision=precision,
  )


def _forward(x, kernel, strides, pads, precision):
  del precision
  padded = jnp.pad(x, ((0, 0), *pads, (0, 0)))
  y = sum(
    padded[:, rows, columns] * kernel[i, j, 0]
    for i, j, rows, columns in _positions(padded.shape, kernel.shape, strides)
  )
  return y, (x, kernel)


def _backward(strides, pads, precision, saved, dy):
  del precision
  x, kernel = saved
  padded = jnp.pad(x, ((0, 0), *pads, (0, 0)))
  positions = list(_positions(padded.shape, kernel.shape, strides))
  _, _, rows, columns = positions[0]  # Both slices start at 0.
  extent = (x.shape[0], rows.stop, columns.stop, x.shape[3])

  def weight_gradient(position):
    shifted = lax.dynamic_slice(padded, (0, *position, 0), extent)
    shifted = shifted[:, :: strides[0], :: strides[1]]
    return jnp.sum(shifted * dy, axis=(0, 1, 2))

  # A loop, because the unrolled sum is several times slower to compile and run.
  d_kernel = lax.map(
    weight_gradient, tuple(jnp.indices(kernel.shape[:2]).reshape(2, -1))
  ).reshape(kernel.shape)
  d_padded = sum(
    lax.pad(
      dy * kernel[i, j, 0],
      jnp.zeros((), dy.dtype),
      (
        (0, 0, 0),
        (i, padded.shape[1] - rows.stop, strides[0] - 1),
        (j, padded.shape[2] - columns.stop, strides[1] - 1),
        (0, 0, 0),
      ),
    )
    for i, j, rows, columns in positions
  )
  (top, _), (left, _) = pads
  return d_padded[:, top : top + x.shape[1], left : left + x.shape[2]], d_kernel


def _positions(shape, kernel_shape, strides):
  """Yields each position in the kernel, and the input slices it multiplies."""
  spans = [
    (size - k) // stride * stride + 1
    for size, k, stride in zip(
      shape[1:3], kernel_shape[:2], strides, strict=True
    )
  ]
  for i in range(kernel_shape[0]):
    for j in range(kernel_shape[1]):
      rows = slice(i, i + spans[0], strides[0])
      yield i, j, rows, slice(j, j + spans[1], strides[1])


convolution.defvjp(_forward, _backward)
