"""Kernel densities against NumPy's, over several tiles of the gallery."""

import jax
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
    k=20,
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
  classes, halves = np.arange(20) % 3, np.arange(20) // 10
  arguments = released, gallery, component, sharpness
  by_component = kde.log_densities(*arguments, k=20)
  by_class = kde.log_densities(
    *arguments, k=5, columns=np.stack([classes, 3 + halves]), capacity=2048
  )
  expected = np.stack(
    [
      scipy.special.logsumexp(by_component[..., members], axis=-1)
      for members in (
        *(classes == c for c in range(3)),
        *(halves == h for h in range(2)),
      )
    ],
    axis=-1,
  )
  np.testing.assert_allclose(by_class, expected, atol=1e-4)


def test_an_accelerator_adds_up_alike(monkeypatch):
  released, gallery, component = _gallery(n=40)
  sharpness = kde.kernel_sharpness(gallery, np.array([1.0]), is_absolute=True)
  columns = np.arange(20)[None] % 3
  arguments = released, gallery, component, sharpness, 3, columns
  expected = kde.log_densities(*arguments)
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  # Without `jit`, which would take the program of the CPU.
  plain = kde._block_log_densities.__wrapped__
  monkeypatch.setattr(kde, '_block_log_densities', plain)
  found = kde.log_densities(*arguments)
  np.testing.assert_allclose(found, expected, atol=1e-4)
