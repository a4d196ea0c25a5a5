import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial.distance

from hybrid_jax.defences import pairs


def _reference(features):
  flat = features.reshape(len(features), -1).astype(np.float64)
  return scipy.spatial.distance.cdist(flat, flat, 'sqeuclidean')


def test_squared_distances_by_hand():
  points = jnp.array([[0.0, 0], [3, 4], [0, 4]])
  np.testing.assert_allclose(
    pairs.squared_distances(points),
    [[0, 25, 16], [25, 0, 9], [16, 9, 0]],
    atol=1e-5,
  )


@pytest.mark.parametrize('offset', [0.0, 1000.0, -1000.0])
@pytest.mark.parametrize('shape', [(23, 7), (9, 1, 4, 3), (2, 200)])
def test_squared_distances_equal_scipy(shape, offset):
  rng = np.random.default_rng(0)
  features = (rng.standard_normal(shape) + offset).astype(np.float32)
  squared = np.asarray(pairs.squared_distances(features))
  # The reference sees the same rounded float32 numbers. Without centring the
  # Gram matrix would be near 1e7, where float32 is off by about 1.
  np.testing.assert_allclose(
    squared, _reference(features), rtol=1e-4, atol=1e-3
  )
  np.testing.assert_array_equal(np.diag(squared), 0)
  np.testing.assert_array_equal(squared, squared.T)
  assert squared.min() >= 0


def test_rows_that_nearly_coincide_are_never_below_zero():
  rng = np.random.default_rng(1)
  rows = 30 * rng.standard_normal((100, 16))
  twins = rows + 1e-5 * rng.standard_normal(rows.shape)
  features = np.concatenate([rows, twins]).astype(np.float32)
  squared = np.asarray(pairs.squared_distances(features))
  # Rounding alone would take some of the twins' to a little below 0.
  assert squared.min() >= 0
  # Of distances about 3e4.
  assert squared[:100, 100:].diagonal().max() < 0.05
  assert np.median(squared) > 1e4


def test_half_precision_is_computed_in_float32():
  features = jnp.array([[256.0], [257.0]], jnp.float16)
  squared = pairs.squared_distances(features)
  assert squared.dtype == jnp.float32
  np.testing.assert_array_equal(squared, [[0, 1], [1, 0]])


def test_same_label_by_hand():
  np.testing.assert_array_equal(
    pairs.same_label(jnp.array([1, 0, 1])),
    [[True, False, True], [False, True, False], [True, False, True]],
  )
