"""Two-dimensional convolution with a CPU-friendly gradient.

`lax`'s own gradient of a convolution runs an order of magnitude slower inside
`lax.scan` on the CPU than outside it: XLA brings only the convolutions of the
outermost computation into the order of axes that its fast kernels take. Here
the gradients are written in that order. A convolution of stride 1 over height
and width has two more convolutions as its gradients. One over a single axis, or
with a stride, is, wherever a gradient is asked for, a matrix product over
gathered patches, and so are its gradients. On NVIDIA's GPUs the products serve
for signals, a single axis of height 1: cuDNN's convolutions of few channels in
float32 are slow, and take gigabytes. All else there, and TPU, keeps `lax`'s
own: the choice is made when the program is lowered.
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
  """`lax.conv_general_dilated`, with gradients that are fast on the CPU.

  Pass it as `flax.linen.Conv(conv_general_dilated=...)`. The fast gradients
  apply to plain and depthwise NHWC convolutions of any stride and padding; one
  otherwise grouped or dilated, another layout or another number of spatial
  dimensions falls back to `lax`.

  Args:
    lhs: input `[batch, height, width, channels]`.
    rhs: kernel `[kernel_height, kernel_width, channels, features]`.
    window_strides: the stride of each spatial dimension.
    padding: `'SAME'`, `'VALID'`, or `(low, high)` for each spatial dimension.
    lhs_dilation: see `lax`; anything but ones falls back.
    rhs_dilation: see `lax`; anything but ones falls back.
    dimension_numbers: see `lax`; anything but NHWC, HWIO, NHWC falls back.
    feature_group_count: see `lax`; anything but 1 falls back, unless there are
      as many groups as channels and as features.
    batch_group_count: see `lax`; anything but 1 falls back.
    precision: see `lax`.
    preferred_element_type: see `lax`; a given one falls back.

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
  fast = depthwise.convolution
  if one_group:
    over_patches = rhs.shape[0] == 1 or max(strides) > 1
    fast = _over_patches if over_patches else _conv

  def ours(x, k):
    return fast(x, k, strides, pads, precision)

  is_signal = one_group and rhs.shape[0] == 1 and lhs.shape[1] == 1
  return lax.platform_dependent(
    lhs, rhs, cpu=ours, cuda=ours if is_signal else reference, default=reference
  )


def _canonical(x, kernel, strides, pads, precision):
  """A convolution in the order of axes of XLA's fast kernels."""
  return lax.conv_general_dilated(
    x, kernel, strides, pads, dimension_numbers=_NHWC, precision=precision
  )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _conv(x, kernel, strides, pads, precision):
  return _canonical(x, kernel, strides, pads, precision)


def _conv_forward(x, kernel, strides, pads, precision):
  return _conv(x, kernel, strides, pads, precision), (x, kernel)


def _conv_backward(strides, pads, precision, saved, dy):
  """Both gradients at stride 1, with `dy` as the picture.

  The input's has the kernel turned round, channels for features. The kernel's
  has `x` for a kernel, and batch for channels.
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
  turned = _canonical(
    dy.transpose(3, 1, 2, 0), x.transpose(1, 2, 0, 3), strides, back, precision
  )
  return d_x, jnp.flip(turned, (1, 2)).transpose(1, 2, 3, 0)


_conv.defvjp(_conv_forward, _conv_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _over_patches(x, kernel, strides, pads, precision):
  # Without a gradient it stays a convolution, so that an exported file has one.
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
  # `x` is kept for its shape alone; XLA drops it when nothing else needs it.
  return y.reshape(*patches.shape[:3], features), (x, kernel, patches)


def _patches_backward(strides, pads, precision, saved, dy):
  x, kernel, patches = saved
  kh, kw, channels, features = kernel.shape
  # The narrow factor goes first: transposing it is the cheaper half.
  d_kernel = jnp.matmul(
    dy.reshape(-1, features).T,
    patches.reshape(-1, kh * kw * channels),
    precision=precision,
  ).T.reshape(kernel.shape)

  # The gradient of each patch, added up where the patches overlap.
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
  """What the kernel sees at each place: `[b, out_h, out_w, kh * kw * c]`."""
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
  # Written once: fused into the product, it would be gathered again and again.
  return lax.optimization_barrier(patches)


_over_patches.defvjp(_patches_forward, _patches_backward)
