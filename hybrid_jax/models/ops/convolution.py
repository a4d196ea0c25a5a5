"""Two-dimensional convolution with gradients that are fast on the CPU.

On the CPU, `lax`'s gradient of a convolution is an order of magnitude slower
inside `lax.scan` than outside. XLA has fast kernels for one order of axes, and
converts only the convolutions of the outermost computation to it. The gradients
here are written in that order:

* A convolution over height and width with stride 1 has two convolutions as its
  gradients.
* A convolution over one axis, or with a larger stride, is a matrix product over
  patches when a gradient is needed, and so are its gradients.

NVIDIA GPUs use the matrix products for signals (height 1) only: with few
channels in float32, cuDNN's convolutions are slow and take gigabytes. For
everything else, and on TPUs, `lax`'s gradient is used. The choice is made when
the program is lowered.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from hybrid_jax.models.ops import depthwise

_NHWC = ('NHWC', 'HWIO', 'NHWC')


def conv_general_dilated(
  lhs: jax.Array,
  rhs: jax.Array,
  window_strides: Sequence[int],
  padding: str | Sequence[tuple[int, int]],
  lhs_dilation: Sequence[int] | None = None,
  rhs_dilation: Sequence[int] | None = None,
  dimension_numbers: Any = None,
  feature_group_count: int = 1,
  batch_group_count: int = 1,
  precision: Any = None,
  preferred_element_type: Any = None,
) -> jax.Array:
  """Computes `lax.conv_general_dilated`, with fast gradients on the CPU.

  Pass it as `flax.linen.Conv(conv_general_dilated=...)`. The fast gradients
  apply to plain and depthwise NHWC convolutions of any stride and padding.
  Other groups, dilations, layouts and numbers of spatial dimensions fall back
  to `lax`.

  Args:
    lhs: input `[batch, height, width, channels]`.
    rhs: kernel `[kernel_height, kernel_width, channels, features]`.
    window_strides: the stride of each spatial dimension.
    padding: `'SAME'`, `'VALID'`, or `(low, high)` for each spatial dimension.
    lhs_dilation: see `lax`; all but ones fall back.
    rhs_dilation: see `lax`; all but ones fall back.
    dimension_numbers: see `lax`; all but NHWC, HWIO, NHWC fall back.
    feature_group_count: see `lax`; all but 1 fall back, except for one group
      for each channel and each feature.
    batch_group_count: see `lax`; all but 1 fall back.
    precision: see `lax`.
    preferred_element_type: see `lax`; all but `None` fall back.

  Returns:
    `[batch, out_height, out_width, features]`.
  """
  reference = functools.partial(
    lax.conv_general_dilated,
    window_strides=window_strides,
    padding=padding,
    lhs_dilation=lhs_dilation,
    rhs_dilation=rhs_dilation,
    dimension_numbers=dimension_numbers,
    feature_group_count=feature_group_count,
    batch_group_count=batch_group_count,
    precision=precision,
    preferred_element_type=preferred_element_type,
  )
  plain = (
    lhs.ndim == 4
    and math.prod(lhs_dilation or (1,)) == 1
    and math.prod(rhs_dilation or (1,)) == 1
    and batch_group_count == 1
    and preferred_element_type is None
    and lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
    == lax.conv_dimension_numbers(lhs.shape, rhs.shape, _NHWC)
  )
  one_group = feature_group_count == 1
  if not plain or not (
    one_group or feature_group_count == lhs.shape[-1] == rhs.shape[-1]
  ):
    return reference(lhs, rhs)
  strides = tuple(window_strides)
  if isinstance(padding, str):
    padding = lax.padtype_to_pads(
      lhs.shape[1:3], rhs.shape[:2], strides, padding
    )
  pads = tuple((int(low), int(high)) for low, high in padding)
  if min(min(p) for p in pads) < 0:
    return reference(lhs, rhs)
  if not one_group:
    convolve = depthwise.convolution
  elif rhs.shape[0] == 1 or max(strides) > 1:
    convolve = _over_patches
  else:
    convolve = _conv

  def fast(x, k):
    return convolve(x, k, strides, pads, precision)

  is_signal = one_group and rhs.shape[0] == 1 and lhs.shape[1] == 1
  return lax.platform_dependent(
    lhs, rhs, cpu=fast, cuda=fast if is_signal else reference, default=reference
  )


def _canonical(x, kernel, strides, pads, precision):
  """Computes a convolution in the order of axes of XLA's fast kernels."""
  return lax.conv_general_dilated(
    x, kernel, strides, pads, dimension_numbers=_NHWC, precision=precision
  )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _conv(x, kernel, strides, pads, precision):
  return _canonical(x, kernel, strides, pads, precision)


def _conv_forward(x, kernel, strides, pads, precision):
  return _conv(x, kernel, strides, pads, precision), (x, kernel)


def _conv_backward(strides, pads, precision, saved, dy):
  """Computes both gradients at stride 1 as convolutions of `dy`.

  For the gradient of the input the kernel is flipped, and its channels and
  features are swapped. For the gradient of the kernel `x` is the kernel, and
  batch and channels are swapped.
  """
  x, kernel = saved
  window = kernel.shape[:2]
  back = tuple(
    (k - 1 - low, k - 1 - high)
    for k, (low, high) in zip(window, pads, strict=True)
  )
  d_x = _canonical(
    dy, jnp.flip(kernel, (0, 1)).swapaxes(2, 3), strides, back, precision
  )
  flipped = _canonical(
    dy.transpose(3, 1, 2, 0), x.transpose(1, 2, 0, 3), strides, back, precision
  )
  return d_x, jnp.flip(flipped, (1, 2)).transpose(1, 2, 3, 0)


_conv.defvjp(_conv_forward, _conv_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _over_patches(x, kernel, strides, pads, precision):
  # Without a gradient it is a plain convolution, also in exported files.
  return _canonical(x, kernel, strides, pads, precision)


def _patches_forward(x, kernel, strides, pads, precision):
  kh, kw, channels, features = kernel.shape
  padded = jnp.pad(x, ((0, 0), *pads, (0, 0)))
  patches = _patches(padded, (kh, kw), strides)
  y = jnp.matmul(
    patches.reshape(-1, kh * kw * channels),
    kernel.reshape(-1, features),
    precision=precision,
  )
  # Only the shape of `x` is used, so XLA does not keep its values.
  return y.reshape(*patches.shape[:3], features), (x, kernel, patches)


def _patches_backward(strides, pads, precision, saved, dy):
  x, kernel, patches = saved
  kh, kw, channels, features = kernel.shape
  # `dy` comes first, because it is narrower and cheaper to transpose.
  d_kernel = jnp.matmul(
    dy.reshape(-1, features).T,
    patches.reshape(-1, kh * kw * channels),
    precision=precision,
  ).T.reshape(kernel.shape)

  # The gradient of each patch, summed where the patches overlap.
  d_patches = jnp.matmul(
    dy.reshape(-1, features),
    kernel.reshape(-1, features).T,
    precision=precision,
  ).reshape(*dy.shape[:3], kh, kw, channels)
  (top, bottom), (left, right) = pads
  height, width = x.shape[1] + top + bottom, x.shape[2] + left + right
  span_h = strides[0] * (dy.shape[1] - 1) + 1
  span_w = strides[1] * (dy.shape[2] - 1) + 1
  d_padded = sum(
    lax.pad(
      d_patches[:, :, :, i, j],
      jnp.zeros((), dy.dtype),
      (
        (0, 0, 0),
        (i, height - i - span_h, strides[0] - 1),
        (j, width - j - span_w, strides[1] - 1),
        (0, 0, 0),
      ),
    )
    for i in range(kh)
    for j in range(kw)
  )
  d_x = d_padded[:, top : top + x.shape[1], left : left + x.shape[2]]
  return d_x, d_kernel


def _patches(padded, window, strides):
  """Gathers the patches of the kernel: `[b, out_h, out_w, kh * kw * c]`."""
  out_h, out_w = (
    (size - k) // stride + 1
    for size, k, stride in zip(padded.shape[1:3], window, strides, strict=True)
  )
  patches = jnp.concatenate(
    [
      padded[
        :,
        i : i + strides[0] * (out_h - 1) + 1 : strides[0],
        j : j + strides[1] * (out_w - 1) + 1 : strides[1],
      ]
      for i in range(window[0])
      for j in range(window[1])
    ],
    axis=-1,
  )
  # Fused into the matrix product, the patches would be gathered repeatedly.
  return lax.optimization_barrier(patches)


_over_patches.defvjp(_patches_forward, _patches_backward)
