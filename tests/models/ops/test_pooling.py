import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from hybrid_jax.models.ops import pooling

# Input, window, strides, padding.
CASES = {
  'tiled': ((2, 6, 8, 3), (2, 2), (2, 2), 'VALID'),
  'tiled along time': ((3, 1, 10, 4), (1, 2), None, 'VALID'),
  'tiled, a rest': ((2, 7, 8, 3), (2, 3), (2, 3), 'VALID'),
  'tiled, a rest of both': ((2, 5, 7, 2), (3, 3), None, 'VALID'),
  'tiled, padded': ((2, 7, 9, 2), (2, 2), (2, 2), 'SAME'),
  'overlapping': ((2, 6, 7, 3), (3, 3), (1, 1), 'VALID'),
  'overlapping, unequal': ((2, 7, 8, 2), (3, 2), (2, 1), 'VALID'),
  'overlapping, padded': ((2, 7, 8, 2), (3, 4), (2, 3), 'SAME'),
  'asymmetric': ((2, 6, 9, 2), (2, 3), (1, 2), ((1, 0), (0, 2))),
  'stride over window': ((2, 8, 9, 2), (2, 2), (3, 3), 'VALID'),
  'the whole input': ((2, 4, 5, 3), (4, 5), None, 'VALID'),
}


def _reference(x, window, strides, padding):
  strides = strides or window
  if not isinstance(padding, str):
    padding = ((0, 0), *padding, (0, 0))
  return lax.reduce_window(
    x, -jnp.inf, lax.max, (1, *window, 1), (1, *strides, 1), padding
  )


def _value_and_gradient(pool, x, window, strides, padding):
  y, back = jax.vjp(lambda x: pool(x, window, strides, padding), x)
  # Each place has its own cotangent, so that none stands for another.
  dy = jnp.sin(jnp.arange(1, y.size + 1.0)).reshape(y.shape)
  return y, back(dy)[0]


def _draw(shape, seed=0):
  return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_the_first_of_equals_takes_the_gradient():
  x = jnp.array([1.0, 3, 3, 2]).reshape(1, 1, 4, 1)
  y, back = jax.vjp(lambda x: pooling.max_pool(x, (1, 2), (1, 1)), x)
  np.testing.assert_array_equal(y.ravel(), [3, 3, 3])
  # Windows (1, 3), (3, 3) and (3, 2): the second goes to its first 3.
  (d_x,) = back(jnp.array([1.0, 10, 100]).reshape(1, 1, 3, 1))
  np.testing.assert_array_equal(d_x.ravel(), [0, 11, 100, 0])


def test_tiles_worked_out_by_hand():
  x = jnp.array([4.0, 4, 1, 2, 9]).reshape(1, 1, 5, 1)
  y, back = jax.vjp(lambda x: pooling.max_pool(x, (1, 2)), x)
  np.testing.assert_array_equal(y.ravel(), [4, 2])
  # The 9 is left over: no window holds it.
  (d_x,) = back(jnp.array([5.0, 7]).reshape(1, 1, 2, 1))
  np.testing.assert_array_equal(d_x.ravel(), [5, 0, 0, 7, 0])


@pytest.mark.parametrize('case', CASES.values(), ids=CASES.keys())
def test_equals_lax(case):
  shape, window, strides, padding = case

  @jax.jit
  def both(x):
    return [
      _value_and_gradient(pool, x, window, strides, padding)
      for pool in (pooling.max_pool, _reference)
    ]

  distinct = _draw(shape)
  ties = np.round(distinct)
  assert len(np.unique(ties)) < 10
  for x in (distinct, ties, np.zeros(shape, np.float32)):
    (y, d_x), (want_y, want_d_x) = both(x)
    np.testing.assert_array_equal(y, want_y)
    np.testing.assert_allclose(d_x, want_d_x, rtol=1e-6, atol=1e-6)


def test_padding_never_wins():
  x = -1 - np.abs(_draw((2, 5, 6, 2)))
  y, d_x = jax.jit(
    lambda x: _value_and_gradient(pooling.max_pool, x, (3, 3), (2, 2), 'SAME')
  )(x)
  assert y.max() <= -1
  dy = np.sin(np.arange(1, y.size + 1.0))
  # All of the gradient lands inside.
  np.testing.assert_allclose(d_x.sum(), dy.sum(), atol=1e-5)


@pytest.mark.parametrize('strides', [(2, 2), (1, 2)])
def test_inside_scan_and_vmap(strides):
  xs = np.round(_draw((3, 2, 6, 7, 2)))

  def gradient(pool):
    def one(x):
      y = pool(x, (2, 2), strides, 'VALID')
      return jnp.sum(y * jnp.cos(jnp.arange(y.size)).reshape(y.shape))

    def scanned(xs):
      return lax.scan(lambda _, x: (None, jax.grad(one)(x)), None, xs)[1]

    return jax.jit(lambda xs: (jax.vmap(jax.grad(one))(xs), scanned(xs)))(xs)

  mapped, scanned = gradient(pooling.max_pool)
  want, _ = gradient(_reference)
  np.testing.assert_allclose(mapped, want, atol=1e-6)
  np.testing.assert_allclose(scanned, want, atol=1e-6)


def test_no_select_and_scatter_on_the_cpu():
  x = _draw((2, 6, 8, 2))

  def program(pool, strides):
    def loss(x):
      return jnp.sum(jnp.square(pool(x, (2, 2), strides, 'VALID')))

    return jax.jit(jax.grad(loss)).lower(x).as_text()

  for strides in ((2, 2), (1, 1)):
    assert 'select_and_scatter' in program(_reference, strides)
    assert 'select_and_scatter' not in program(pooling.max_pool, strides)
