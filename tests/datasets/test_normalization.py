import numpy as np

from hybrid_jax.datasets import normalization


def test_the_normalizer_by_hand():
  # Channel 0: 1, 3, 5, 7, of mean 4 and deviation sqrt(5); channel 1 constant.
  x = np.array([[[1, 9], [3, 9]], [[5, 9], [7, 9]]], np.float32)
  normalizer = normalization.fit_normalizer(x)
  np.testing.assert_allclose(normalizer.mean, [4, 9])
  np.testing.assert_allclose(normalizer.std, [np.sqrt(5), 1], rtol=1e-6)
  np.testing.assert_allclose(
    normalizer(np.array([[4 + np.sqrt(5), 10]])), [[1, 1]], rtol=1e-6
  )
  assert normalizer(x).dtype == np.float32


def test_the_normalizer_of_a_large_offset():
  x = np.random.default_rng(0).standard_normal((500, 1, 40, 2)) + 1e4
  normalizer = normalization.fit_normalizer(x.astype(np.float32))
  normalized = normalizer(x)
  np.testing.assert_allclose(normalized.mean(axis=(0, 1, 2)), 0, atol=1e-2)
  np.testing.assert_allclose(normalized.std(axis=(0, 1, 2)), 1, atol=1e-2)
