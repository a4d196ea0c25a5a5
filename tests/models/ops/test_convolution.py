import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from hybrid_jax.models.ops import convolution

_NHWC = ('NHWC', 'HWIO', 'NHWC')

# Input [b, h, w, c], kernel [h, w, c, f], strides, padding.
CASES = {
  'plain': ((2, 7, 9, 3), (3, 3, 3, 4), (1, 1), 'SAME'),
  'a signal': ((3, 1, 13, 6), (1, 5, 6, 4), (1, 1), 'SAME'),
  'unequal strides': ((2, 7, 9, 3), (3, 2, 3, 4), (2, 3), 'VALID'),
  'stride over height': ((1, 11, 5, 2), (2, 4, 2, 3), (3, 1), 'SAME'),
  'same at stride 2': ((2, 8, 11, 2), (3, 4, 2, 3), (2, 2), 'SAME'),
  'same, lower': ((2, 8, 9, 2), (2, 4, 2, 3), (2, 1), 'SAME_LOWER'),
  'asymmetric': ((3, 8, 13, 1), (1, 5, 1, 2), (1, 2), ((0, 0), (3, 1))),
  'stride over kernel': ((2, 9, 10, 2), (2, 2, 2, 3), (3, 3), 'VALID'),
  'stride over kernel, padded': (
    (2, 9, 10, 2),
    (2, 1, 2, 3),
    (3, 3),
    ((1, 0), (0, 2)),
  ),
  'one by one': ((2, 5, 6, 3), (1, 1, 3, 2), (2, 2), 'SAME'),
  'kernel almost the input': (
    (2, 6, 7, 2),
    (5, 4, 2, 3),
    (2, 1),
    ((4, 1), (0, 3)),
  ),
  'uneven at stride 1': ((2, 6, 9, 3), (3, 4, 3, 2), (1, 1), ((2, 0), (0, 3))),
  'more padding than kernel at stride 1': (
    (2, 4, 5, 2),
    (2, 3, 2, 3),
    (1, 1),
    ((3, 2), (4, 5)),
  ),
  'padding over the kernel': (
    (2, 4, 5, 2),
    (2, 2, 2, 3),
    (2, 3),
    ((3, 4), (2, 5)),
  ),
}


def _draw(*shapes, seed=0):
  rng = np.random.default_rng(seed)
  return [rng.standard_normal(s).astype(np.float32) for s in shapes]


def _pair(strides, padding, **more):
  more = {'dimension_numbers': _NHWC} | more
  return tuple(
    functools.partial(conv, window_strides=strides, padding=padding, **more)
    for conv in (convolution.conv_general_dilated, lax.conv_general_dilated)
  )


def _value_and_gradients(conv, x, kernel, dy):
  """The value alone, then again with both gradients."""
  y, back = jax.vjp(conv, x, kernel)
  return conv(x, kernel), y, *back(dy)


def _assert_same(pair, x, kernel, shaped=np.positive, rtol=1e-5, atol=2e-5):
  out = jax.eval_shape(pair[1], x, kernel)
  dy = jnp.asarray(shaped(_draw(out.shape, seed=9)[0]), out.dtype)
  # One program of both, which compiles in half the time.
  results = jax.jit(
    lambda *args: [_value_and_gradients(conv, *args) for conv in pair]
  )(x, kernel, dy)
  for got, expected in zip(*results, strict=True):
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(
      got.astype(jnp.float32), expected.astype(jnp.float32), rtol, atol
    )


def test_value_and_gradients_worked_out_by_hand():
  x = jnp.array([1.0, 2, 3, 4]).reshape(1, 1, 4, 1)
  kernel = jnp.array([1.0, 10]).reshape(1, 2, 1, 1)
  mine, _ = _pair((1, 1), 'VALID')
  y, back = jax.vjp(mine, x, kernel)
  # 1 + 20, 2 + 30, 3 + 40
  np.testing.assert_array_equal(y.ravel(), [21, 32, 43])
  d_x, d_kernel = back(jnp.array([1.0, 2, 3]).reshape(1, 1, 3, 1))
  # Each input: the kernel's weights that met it, times their dy.
  np.testing.assert_array_equal(d_x.ravel(), [1, 10 + 2, 20 + 3, 30])
  # Each weight: 1 * x0 + 2 * x1 + 3 * x2, and the same one further on.
  np.testing.assert_array_equal(d_kernel.ravel(), [14, 20])


@pytest.mark.parametrize('case', CASES.values(), ids=CASES.keys())
def test_equals_lax(case):
  x_shape, kernel_shape, strides, padding = case
  x, kernel = _draw(x_shape, kernel_shape)
  _assert_same(_pair(strides, padding), x, kernel)


def test_bfloat16_keeps_its_dtype():
  x, kernel = (
    jnp.asarray(np.round(a), jnp.bfloat16)
    for a in _draw((2, 5, 7, 2), (3, 3, 2, 2))
  )
  # Small whole numbers, which bfloat16 adds up without rounding.
  pair = _pair((1, 2), 'SAME')
  assert jax.eval_shape(pair[0], x, kernel).dtype == jnp.bfloat16
  _assert_same(pair, x, kernel, np.sign, rtol=0, atol=0)


def test_inside_a_scan():
  x, kernel = _draw((3, 6, 7, 2), (3, 2, 2, 2))

  def train(conv):
    def step(kernel, scale):
      loss, gradient = jax.value_and_grad(
        lambda k: jnp.mean(jnp.square(conv(x * scale, k) - 1))
      )(kernel)
      return kernel - 0.05 * gradient, loss

    return jax.jit(lambda k: lax.scan(step, k, jnp.arange(1, 5) / 4))(kernel)

  (mine, losses), (reference, expected) = map(train, _pair((2, 1), 'SAME'))
  assert losses.shape == (4,)
  np.testing.assert_allclose(losses, expected, rtol=1e-5)
  np.testing.assert_allclose(mine, reference, rtol=1e-5, atol=1e-6)
  assert np.abs(np.asarray(mine) - kernel).max() > 1e-3


@pytest.mark.parametrize('axes', [(0, 0), (None, 0), (0, None)])
def test_inside_a_vmap(axes):
  x, kernel = _draw((4, 2, 5, 6, 2), (4, 3, 2, 2, 3))
  x = x if axes[0] == 0 else x[0]
  kernel = kernel if axes[1] == 0 else kernel[0]

  def mapped(conv):
    def loss(x, kernel):
      return jnp.sum(jnp.sin(conv(x, kernel)))

    return jax.jit(jax.vmap(jax.value_and_grad(loss, (0, 1)), axes))(x, kernel)

  mine, reference = map(mapped, _pair((2, 1), ((1, 0), (2, 1))))
  assert mine[0].shape == (4,)
  for got, expected in zip(
    jax.tree.leaves(mine), jax.tree.leaves(reference), strict=True
  ):
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-5)


FALLBACKS = {
  'kernel dilation': ((2, 9, 8, 2), (2, 3, 2, 3), {'rhs_dilation': (2, 1)}),
  'input dilation': ((2, 5, 6, 2), (2, 3, 2, 3), {'lhs_dilation': (1, 2)}),
  'groups': ((2, 5, 6, 4), (2, 3, 2, 6), {'feature_group_count': 2}),
  'batch groups': ((4, 5, 6, 2), (2, 3, 2, 6), {'batch_group_count': 2}),
  'another layout': (
    (2, 3, 7, 6),
    (2, 3, 3, 4),
    {'dimension_numbers': ('NCHW', 'HWIO', 'NCHW')},
  ),
  "lax's own layout": (
    (2, 3, 7, 6),
    (4, 3, 2, 3),
    {'dimension_numbers': None},
  ),
}


@pytest.mark.parametrize('case', FALLBACKS.values(), ids=FALLBACKS.keys())
def test_falls_back_to_lax(case):
  x_shape, kernel_shape, more = case
  x, kernel = _draw(x_shape, kernel_shape)
  _assert_same(_pair((1, 2), ((1, 0), (0, 1)), **more), x, kernel)


def test_negative_padding_falls_back_to_lax():
  x, kernel = _draw((2, 7, 8, 2), (2, 3, 2, 3))
  _assert_same(_pair((1, 2), ((-1, 0), (0, -2))), x, kernel)


@pytest.mark.parametrize('spatial', [1, 3])
def test_other_numbers_of_dimensions_fall_back_to_lax(spatial):
  letters = 'DHW'[-spatial:]
  numbers = (f'N{letters}C', f'{letters}IO', f'N{letters}C')
  x, kernel = _draw((2, *[5] * spatial, 2), (*[2] * spatial, 2, 3))
  _assert_same(
    _pair((2,) * spatial, 'SAME', dimension_numbers=numbers), x, kernel
  )


def test_preferred_element_type_falls_back_to_lax():
  x, kernel = (
    jnp.asarray(a, jnp.bfloat16) for a in _draw((2, 7, 8, 2), (2, 3, 2, 3))
  )
  mine, reference = _pair((1, 1), 'SAME', preferred_element_type=jnp.float32)
  got, expected = mine(x, kernel), reference(x, kernel)
  assert got.dtype == jnp.float32
  np.testing.assert_array_equal(got, expected)


def _program(conv, x, kernel, backward):
  def loss(x, kernel):
    return jnp.sum(jnp.square(conv(x, kernel)))

  f = jax.grad(loss, (0, 1)) if backward else loss
  return jax.jit(f).lower(x, kernel).as_text()


@pytest.mark.parametrize(
  ('strides', 'height'), [((1, 1), 1), ((2, 1), 3)], ids=['signal', 'stride']
)
def test_the_cpu_uses_matrix_products_for_a_gradient(strides, height):
  x, kernel = _draw((2, 7, 9, 3), (height, 3, 3, 4))
  mine, reference = _pair(strides, 'SAME')
  name = 'stablehlo.convolution'
  assert name in _program(reference, x, kernel, backward=True)
  assert name in _program(mine, x, kernel, backward=False)
  assert name not in _program(mine, x, kernel, backward=True)


def test_stride_1_over_both_axes_uses_canonical_convolutions():
  x, kernel = _draw((2, 7, 9, 3), (3, 3, 3, 4))
  mine, reference = _pair((1, 1), 'SAME')
  canonical = 'dim_numbers = [b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]'
  results = {
    conv: [
      line
      for line in _program(conv, x, kernel, backward=True).splitlines()
      if 'stablehlo.convolution' in line
    ]
    for conv in (mine, reference)
  }
  assert len(results[mine]) == len(results[reference]) == 3
  assert all(canonical in line for line in results[mine])
  assert not all(canonical in line for line in results[reference])


@pytest.mark.parametrize(
  ('height', 'has_products'), [(1, True), (7, False)], ids=['signal', 'picture']
)
def test_a_gpu_uses_products_for_signals_only(height, has_products):
  x, kernel = _draw((2, height, 9, 3), (1, 3, 3, 4))
  mine, _ = _pair((1, 1), 'SAME')
  traced = jax.jit(jax.grad(lambda a, b: jnp.sum(mine(a, b) ** 2), (0, 1)))
  lowered = traced.trace(x, kernel).lower(lowering_platforms=('cuda',))
  assert ('stablehlo.convolution' not in lowered.as_text()) == has_products


def test_it_equals_the_layer_of_flax():
  (x,) = _draw((2, 6, 9, 3))
  layers = [
    nn.Conv(4, (3, 2), strides=(2, 1), padding='SAME', **more)
    for more in (
      {},
      {'conv_general_dilated': convolution.conv_general_dilated},
    )
  ]
  params = jax.jit(layers[0].init)(jax.random.key(0), x)
  expected, got = (
    jax.jit(jax.value_and_grad(lambda p, m=m: jnp.sum(m.apply(p, x) ** 2)))(
      params
    )
    for m in layers
  )
  for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
