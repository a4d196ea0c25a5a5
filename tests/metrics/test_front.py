import numpy as np
import pytest

from hybrid_jax.metrics import front


def test_undominated_by_hand():
  utility = np.array([0.9, 0.8, 0.95, 0.8, 0.9])
  leakage = np.array([0.2, 0.1, 0.5, 0.3, 0.2])
  # The first and second dominate the fourth; equal points do not.
  np.testing.assert_array_equal(
    front.undominated(utility, leakage), [True, True, True, False, True]
  )


def test_hypervolume_by_hand():
  # From 0.5 to 0.7 at leakage 0.1, and on to 0.9 at leakage 0.4.
  found = front.hypervolume(
    np.array([0.9, 0.7]), np.array([0.4, 0.1]), 0.5, 1.0
  )
  assert found == pytest.approx((0.2 * 0.9 + 0.2 * 0.6) / 0.5)


def test_dominated_points_and_points_outside_add_nothing():
  one = front.hypervolume(np.array([0.9]), np.array([0.4]), 0.5, 1.0)
  more = front.hypervolume(
    np.array([0.9, 0.8, 0.4, 0.9]), np.array([0.4, 0.5, 0.0, 1.2]), 0.5, 1.0
  )
  assert more == pytest.approx(one) == pytest.approx(0.4 * 0.6 / 0.5)
  assert front.hypervolume(np.array([0.3]), np.array([0.1]), 0.5, 1.0) == 0


def test_the_largest_hypervolume_is_one():
  assert front.hypervolume(np.array([1.0]), np.array([-0.2]), 0.5, 1.0) == 1
