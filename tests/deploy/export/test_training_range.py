import numpy as np

from hybrid_jax.datasets import normalization
from hybrid_jax.deploy.export import training_range


def test_the_range_by_hand():
  windows = np.zeros((10, 1, 4, 2), np.float32)
  windows[..., 1] = 5
  windows[3, 0, 2, 0] = -4  # 2 deviations
  windows[5, 0, 1, 1] = 13  # 8 deviations
  windows[6, 0, 1, 0] = 1e6  # one broken window of ten does not count
  normalizer = normalization.Normalizer(np.float32([0, 5]), np.float32([2, 1]))
  measured = training_range.measure(windows, normalizer)
  assert measured['mean'] == [0, 5]
  assert measured['std'] == [2, 1]
  assert measured['limit'] == [3 * 2, 3]
  assert measured['windows'] == 10
  assert measured['quantiles']['0.5'] == [0, 5]
