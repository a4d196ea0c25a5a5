import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.release import bottleneck, mechanisms, noise, pca, snap

_CUT = 'dense1'


def _config(**more):
  return ml_collections.ConfigDict(
    {
      'bottleneck_dim': 3,
      'reduced_dim': 3,
      'limit': 7.0,
      'prototypes': 3,
      'sharpness': 0.2,
      'noise': 0.5,
    }
    | more
  )


def _features(n=60, d=6, seed=0):
  """Correlated features with an offset, `[n, d]`."""
  rng = np.random.default_rng(seed)
  mixed = rng.standard_normal((n, d)) @ np.diag(np.arange(d, 0, -1.0))
  rotation, _ = np.linalg.qr(rng.standard_normal((d, d)))
  return jnp.asarray(mixed @ rotation + 4, jnp.float32)


def test_the_start_without_a_limit_is_scaled_pca():
  z = _features()
  fitted = bottleneck.fit(z, _config(limit=1e6), _CUT)
  reduced = pca.fit(z, _config(), _CUT)
  released, expected = fitted.transform(z), np.asarray(reduced.transform(z))
  gain = 3.3 / np.sqrt(np.mean(expected**2))
  np.testing.assert_allclose(released, gain * expected, atol=1e-4)
  assert np.sqrt(np.mean(np.square(released))) == pytest.approx(3.3, rel=1e-4)
  np.testing.assert_allclose(
    fitted.inverse(released), reduced.inverse(reduced.transform(z)), atol=1e-4
  )
  # With all six dimensions the inverse is exact.
  full = bottleneck.fit(z, _config(bottleneck_dim=6, limit=1e6), _CUT)
  np.testing.assert_allclose(full.inverse(full.transform(z)), z, atol=1e-4)


@pytest.mark.parametrize('limit', [0.5, 7.0])
def test_no_vector_is_longer_than_the_limit(limit):
  z = _features()
  fitted = bottleneck.fit(z, _config(limit=limit), _CUT)
  free = bottleneck.fit(z, _config(limit=1e6), _CUT)
  assert fitted.limit == limit
  far = 1e3 * (z - 4) + 4
  for x in (z, far):
    length = np.linalg.norm(fitted.transform(x), axis=1)
    assert (length <= limit * (1 + 1e-6)).all()
    # By hand: l / sqrt(1 + l^2 / limit^2), in the same direction.
    released = np.asarray(free.transform(x), np.float64)
    before = np.linalg.norm(released, axis=1)
    np.testing.assert_allclose(
      length, before / np.sqrt(1 + (before / limit) ** 2), rtol=1e-4
    )
    cosine = (released * fitted.transform(x)).sum(1) / (before * length)
    np.testing.assert_allclose(cosine, 1, atol=1e-5)
  assert np.linalg.norm(fitted.transform(far), axis=1).min() > 0.99 * limit


def test_settings_by_split_point():
  by_name = {
    'bottleneck_dim': {'dense1': 2, 'conv1': 5},
    'limit': {'dense1': 4.0, 'conv1': 9.0},
  }
  fitted = bottleneck.fit(_features(), _config(**by_name), _CUT)
  assert fitted.transform(_features()).shape == (60, 2)
  assert fitted.limit == 4
  with pytest.raises(errors.UserError, match='conv2'):
    bottleneck.fit(_features(), _config(**by_name), 'conv2')


@pytest.mark.parametrize('dim', [0, 7])
def test_an_invalid_bottleneck_dim(dim):
  with pytest.raises(errors.UserError, match=f'{dim} at .*1 to 6'):
    bottleneck.fit(_features(), _config(bottleneck_dim=dim), _CUT)


PROTOTYPES = jnp.array([[0.0, 0], [8, 0], [0, 9]])


def _snap(sharpness):
  return snap.Snap(prototypes=PROTOTYPES, sharpness=jnp.asarray(sharpness))


def test_with_high_sharpness_it_sends_the_nearest_prototype():
  rng = np.random.default_rng(1)
  z = jnp.asarray(6 * rng.standard_normal((50, 2)) + 2, jnp.float32)
  distance = np.linalg.norm(z[:, None] - PROTOTYPES, axis=-1)
  gap = np.sort(distance, axis=1)
  z, distance = (
    z[gap[:, 1] - gap[:, 0] > 0.05],
    distance[gap[:, 1] - gap[:, 0] > 0.05],
  )
  released = _snap(1e4).transform(z)
  nearest = distance.argmin(axis=1)
  assert set(nearest) == {0, 1, 2}
  np.testing.assert_array_equal(released, PROTOTYPES[nearest])
  np.testing.assert_array_equal(_snap(1e4).transform(released), released)


def test_without_sharpness_it_sends_the_mean():
  released = _snap(0.0).transform(jnp.array([[1.0, 2], [-30, 5]]))
  np.testing.assert_allclose(released, [[8 / 3, 3]] * 2, rtol=1e-6)


def test_it_is_the_posterior_mean_of_a_mixture_of_gaussians():
  """Each Gaussian has the variance one over the sharpness."""
  z = np.array([[3.0, 2], [5, 5]])
  squared = np.square(z[:, None] - np.asarray(PROTOTYPES)).sum(axis=-1)
  weight = np.exp(-0.1 / 2 * squared)
  weight /= weight.sum(axis=1, keepdims=True)
  assert weight.max() < 0.9
  released = _snap(0.1).transform(jnp.asarray(z, jnp.float32))
  np.testing.assert_allclose(released, weight @ PROTOTYPES, rtol=1e-5)


def test_prototypes_of_separate_clusters_are_their_means():
  rng = np.random.default_rng(2)
  label = np.arange(90) % 3
  z = np.array([[0.0, 0], [20, 0], [0, 30]])[label]
  z = (z + rng.standard_normal((90, 2))).astype(np.float32)
  fitted = snap.fit(jnp.asarray(z), _config(), _CUT)
  expected = np.array([z[label == k].mean(axis=0) for k in range(3)])
  order = np.argsort(np.asarray(fitted.prototypes) @ [1, 2])
  np.testing.assert_allclose(
    np.asarray(fitted.prototypes)[order], expected, atol=1e-4
  )
  assert float(fitted.sharpness) == pytest.approx(0.2)


@pytest.mark.parametrize('count', [1, 61])
def test_an_invalid_number_of_prototypes(count):
  with pytest.raises(errors.UserError) as raised:
    snap.fit(_features(), _config(prototypes=count), _CUT)
  message = str(raised.value)
  assert f'prototypes is {count}' in message
  assert '2 to 60' in message
  assert '\n' not in message


def test_prototypes_without_a_value_for_the_split_point():
  config = _config(prototypes={'conv1': 3})
  with pytest.raises(errors.UserError, match='conv1'):
    snap.fit(_features(), config, _CUT)


def test_unit_noise_after_bottleneck_and_prototypes():
  z = _features()
  release = mechanisms.fit_release(
    ('bottleneck', 'snap', 'unit_noise'), z, _config(), _CUT
  )
  np.testing.assert_array_equal(release.noise_scale(), np.eye(3))
  released = release.transform(z)
  assert released.shape == (60, 3)
  first = bottleneck.fit(z, _config(), _CUT)
  second = snap.fit(first.transform(z), _config(), _CUT)
  np.testing.assert_allclose(
    released, second.transform(first.transform(z)), atol=1e-4
  )
  many = jnp.tile(released, (100, 1))
  added = np.asarray(release.add_noise(many, jax.random.key(0)) - many)
  # 6000 draws.
  np.testing.assert_allclose(np.cov(added.T), np.eye(3), atol=0.08)
  # Only the bottleneck has an inverse.
  np.testing.assert_allclose(release.inverse(released), first.inverse(released))


def test_a_trained_mechanism_is_not_fitted():
  z = _features()
  trained = bottleneck.fit(z, _config(), _CUT)
  trained = trained.replace(encode=2 * trained.encode, limit=1e6)
  # Invalid for a fit, which would raise.
  config = _config(bottleneck_dim=99)
  release = mechanisms.fit_release(
    ('bottleneck', 'noise'), z, config, _CUT, {'bottleneck': trained}
  )
  assert release.mechanisms[0] is trained
  released = trained.transform(z)
  np.testing.assert_array_equal(release.transform(z), released)
  # The noise is fitted on the output of the trained mechanism.
  expected = noise.fit(released, config, _CUT).noise_scale()
  np.testing.assert_allclose(release.noise_scale(), expected, rtol=1e-5)
  with pytest.raises(errors.UserError):
    mechanisms.fit_release(('bottleneck',), z, config, _CUT, {'snap': trained})
