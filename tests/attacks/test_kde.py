"""Kernel densities against NumPy's, over several tiles of the gallery."""

import numpy as np
import scipy.special

from hybrid_jax.attacks import kde


def _gallery(draws=2, n=300, m=1300, d=3, count=20):
  """Vectors far from the first tile's are near to a later one's."""
  rng = np.random.default_rng(0)
  gallery = rng.standard_normal((m, d)).astype(np.float32)
  gallery[1024:] += 10
  released = rng.standard_normal((draws, n, d)).astype(np.float32)
  released[1] += 10
  # The last component has no vector.
  return released, gallery, rng.integers(count - 1, size=m)


def _expected(released, gallery, component, bandwidth, count):
  squared = np.square(released[..., None, :] - gallery).sum(-1)
  logs = -squared / (2 * bandwidth**2)
  logs -= logs.max(axis=-1, keepdims=True)
  onehot = np.eye(count)[component]
  return np.log(np.exp(logs) @ onehot / len(gallery) + 1e-12)


def test_densities_equal_numpys():
  released, gallery, component = _gallery()
  bandwidths = np.array([0.5, 2.0])
  found = kde.log_densities(
    released,
    gallery,
    component,
    kde.kernel_sharpness(gallery, bandwidths, is_absolute=True),
    count=20,
  )
  assert found.shape == (2, 2, 300, 20)
  for row, bandwidth in zip(found, bandwidths, strict=True):
    expected = _expected(released, gallery, component, bandwidth, 20)
    # Below, a term of 1e-12 hides what is left of the density.
    clear = expected > np.log(1e-9)
    assert clear.mean() > 0.3
    np.testing.assert_allclose(row[clear], expected[clear], atol=2e-3)
  np.testing.assert_allclose(found[..., 19], np.log(1e-12), rtol=1e-5)


def test_the_density_of_a_class_is_the_sum_of_its_components():
  released, gallery, component = _gallery()
  sharpness = kde.kernel_sharpness(gallery, np.array([1.0]), is_absolute=True)
  classes = np.arange(20) % 3
  arguments = released, gallery, component, sharpness, 20
  by_component = kde.log_densities(*arguments)
  by_class = kde.log_densities(
    *arguments, onehot=np.eye(3, dtype=np.float32)[classes], capacity=2048
  )
  expected = np.stack(
    [
      scipy.special.logsumexp(by_component[..., classes == c], axis=-1)
      for c in range(3)
    ],
    axis=-1,
  )
  np.testing.assert_allclose(by_class, expected, atol=1e-4)
