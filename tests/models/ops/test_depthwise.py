import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from hybrid_jax.models.ops import convolution

_NHWC = ('NHWC', 'HWIO', 'NHWC')

# Input, height and width of the kernel, strides, padding.
CASES = {
  'a picture': ((2, 6, 7, 3), (3, 3), (1, 1), 'SAME'),
  'a signal': ((3, 1, 13, 4), (1, 5), (1, 1), 'SAME'),
  'stride 2': ((2, 7, 8, 3), (3, 3), (2, 2), 'SAME'),
  'a large kernel': ((2, 5, 6, 2), (5, 5), (2, 2), 'SAME'),
  'unequal': ((2, 9, 8, 3), (2, 4), (3, 2), 'VALID'),
  'asymmetric': ((2, 5, 8, 3), (3, 2), (1, 3), ((2, 0), (1, 4))),
  'stride over kernel': ((2, 9, 10, 2), (2, 1), (3, 4), 'VALID'),
  'one pixel': ((2, 1, 1, 3), (3, 3), (2, 2), 'SAME'),
}


def _draw(*shapes, seed=0):
  rng = np.random.default_rng(seed)
  return [rng.standard_normal(s).astype(np.float32) for s in shapes]


def _pair(channels, strides, padding):
  return tuple(
    functools.partial(
      conv,
      window_strides=strides,
      padding=padding,
      dimension_numbers=_NHWC,
      feature_group_count=channels,
    )
    for conv in (convolution.conv_general_dilated, lax.conv_general_dilated)
  )


def test_value_and_gradients_worked_out_by_hand():
  # Two channels, 1 2 3 and 10 20 30, filters (1, 2) and (3, 0).
  x = jnp.array([[1.0, 10], [2, 20], [3, 30]]).reshape(1, 1, 3, 2)
  kernel = jnp.array([[1.0, 3], [2, 0]]).reshape(1, 2, 1, 2)
  mine, _ = _pair(2, (1, 1), 'VALID')
  y, back = jax.vjp(mine, x, kernel)
  # 1 + 2 * 2 and 2 + 2 * 3; 3 * 10 and 3 * 20.
  np.testing.assert_array_equal(y[0, 0], [[5, 30], [8, 60]])
  d_x, d_kernel = back(jnp.array([[1.0, 1], [10, 10]]).reshape(1, 1, 2, 2))
  # 1 * 1; 2 * 1 + 1 * 10; 2 * 10: and 3 * 1; 3 * 10; nothing.
  np.testing.assert_array_equal(d_x[0, 0], [[1, 3], [12, 30], [20, 0]])
  # 1 + 10 * 2 and 2 + 10 * 3, and ten times both.
  np.testing.assert_array_equal(d_kernel[0, :, 0], [[21, 210], [32, 320]])


@pytest.mark.parametrize('case', CASES.values(), ids=CASES.keys())
def test_equals_lax(case):
  shape, window, strides, padding = case
  x, kernel = _draw(shape, (*window, 1, shape[-1]))
  pair = _pair(shape[-1], strides, padding)
  (dy,) = _draw(jax.eval_shape(pair[1], x, kernel).shape, seed=9)

  def gradients_of(conv):
    y, back = jax.vjp(conv, x, kernel)
    return conv(x, kernel), y, *back(dy)

  for got, expected in zip(
    *jax.jit(lambda: list(map(gradients_of, pair)))(), strict=True
  ):
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-5)


def test_inside_scan_and_vmap():
  xs, kernel = _draw((3, 2, 5, 6, 2), (3, 3, 1, 2))

  def gradients(conv):
    def loss(x):
      return jnp.sum(jnp.sin(conv(x, kernel)))

    def scanned(xs):
      return lax.scan(lambda _, x: (None, jax.grad(loss)(x)), None, xs)[1]

    return jax.jit(lambda xs: (jax.vmap(jax.grad(loss))(xs), scanned(xs)))(xs)

  mine, expected = map(gradients, _pair(2, (2, 1), 'SAME'))
  np.testing.assert_allclose(mine[0], expected[0], atol=1e-5)
  np.testing.assert_allclose(mine[1], expected[1], atol=1e-5)


def test_bfloat16_keeps_its_dtype():
  x, kernel = (
    jnp.asarray(np.round(a), jnp.bfloat16)
    for a in _draw((2, 5, 7, 2), (3, 3, 1, 2))
  )
  for conv in _pair(2, (1, 1), 'SAME'):
    y, back = jax.vjp(conv, x, kernel)
    assert {a.dtype for a in (y, *back(y))} == {jnp.dtype(jnp.bfloat16)}


def test_the_cpu_uses_a_convolution_forward_and_products_backward():
  x, kernel = _draw((2, 5, 6, 3), (3, 3, 1, 3))

  def program(conv, backward):
    def loss(x, kernel):
      return jnp.sum(jnp.square(conv(x, kernel)))

    f = jax.grad(loss, (0, 1)) if backward else loss
    return jax.jit(f).lower(x, kernel).as_text()

  mine, reference = _pair(3, (1, 1), 'SAME')
  name = 'stablehlo.convolution'
  assert name in program(reference, backward=True)
  assert name in program(mine, backward=False)
  assert name not in program(mine, backward=True)


def test_several_filters_for_a_channel_fall_back_to_lax():
  x, kernel = _draw((2, 5, 6, 2), (3, 3, 1, 4))
  y = jax.grad(lambda k, conv: jnp.sum(jnp.square(conv(x, k))), argnums=0)
  got, expected = (y(kernel, conv) for conv in _pair(2, (1, 1), 'SAME'))
  np.testing.assert_array_equal(got, expected)


def test_it_equals_the_layer_of_flax():
  (x,) = _draw((2, 6, 9, 4))
  layers = [
    nn.Conv(4, (3, 3), strides=2, feature_group_count=4, **more)
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
