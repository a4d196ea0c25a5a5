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


def test_untrained_and_without_limit_it_is_pca_times_a_gain():
  z = _features()
  found = bottleneck.fit(z, _config(limit=1e6), _CUT)
  reduced = pca.fit(z, _config(), _CUT)
  sent, want = found.transform(z), np.asarray(reduced.transform(z))
  gain = 3.3 / np.sqrt(np.mean(want**2))
  np.testing.assert_allclose(sent, gain * want, atol=1e-4)
  assert np.sqrt(np.mean(np.square(sent))) == pytest.approx(3.3, rel=1e-4)
  np.testing.assert_allclose(
    found.inverse(sent), reduced.inverse(reduced.transform(z)), atol=1e-4
  )
  # Of all six dimensions it brings back the features themselves.
  whole = bottleneck.fit(z, _config(bottleneck_dim=6, limit=1e6), _CUT)
  np.testing.assert_allclose(whole.inverse(whole.transform(z)), z, atol=1e-4)


@pytest.mark.parametrize('limit', [0.5, 7.0])
def test_no_length_passes_the_limit(limit):
  z = _features()
  found = bottleneck.fit(z, _config(limit=limit), _CUT)
  free = bottleneck.fit(z, _config(limit=1e6), _CUT)
  assert found.limit == limit
  far = 1e3 * (z - 4) + 4
  for x in (z, far):
    length = np.linalg.norm(found.transform(x), axis=1)
    assert (length <= limit * (1 + 1e-6)).all()
    # By hand: l / sqrt(1 + l^2 / limit^2), in the same direction.
    sent = np.asarray(free.transform(x), np.float64)
    before = np.linalg.norm(sent, axis=1)
    np.testing.assert_allclose(
      length, before / np.sqrt(1 + (before / limit) ** 2), rtol=1e-4
    )
    cosine = (sent * found.transform(x)).sum(1) / (before * length)
    np.testing.assert_allclose(cosine, 1, atol=1e-5)
  assert np.linalg.norm(found.transform(far), axis=1).min() > 0.99 * limit


def test_settings_by_split_point():
  by_name = {
    'bottleneck_dim': {'dense1': 2, 'conv1': 5},
    'limit': {'dense1': 4.0, 'conv1': 9.0},
  }
  found = bottleneck.fit(_features(), _config(**by_name), _CUT)
  assert found.transform(_features()).shape == (60, 2)
  assert found.limit == 4
  with pytest.raises(errors.UserError, match='conv2'):
    bottleneck.fit(_features(), _config(**by_name), 'conv2')


@pytest.mark.parametrize('dim', [0, 7])
def test_a_bottleneck_that_there_cannot_be(dim):
  with pytest.raises(errors.UserError, match=f'{dim} at .*1 to 6'):
    bottleneck.fit(_features(), _config(bottleneck_dim=dim), _CUT)


PROTOTYPES = jnp.array([[0.0, 0], [8, 0], [0, 9]])


def _snap(sharpness):
  return snap.Snap(prototypes=PROTOTYPES, sharpness=jnp.asarray(sharpness))


def test_sharp_it_sends_the_nearest_prototype():
  rng = np.random.default_rng(1)
  z = jnp.asarray(6 * rng.standard_normal((50, 2)) + 2, jnp.float32)
  distance = np.linalg.norm(z[:, None] - PROTOTYPES, axis=-1)
  gap = np.sort(distance, axis=1)
  z, distance = (
    z[gap[:, 1] - gap[:, 0] > 0.05],
    distance[gap[:, 1] - gap[:, 0] > 0.05],
  )
  sent = _snap(1e4).transform(z)
  nearest = distance.argmin(axis=1)
  assert set(nearest) == {0, 1, 2}
  np.testing.assert_array_equal(sent, PROTOTYPES[nearest])
  np.testing.assert_array_equal(_snap(1e4).transform(sent), sent)


def test_without_sharpness_it_sends_one_mean():
  sent = _snap(0.0).transform(jnp.array([[1.0, 2], [-30, 5]]))
  np.testing.assert_allclose(sent, [[8 / 3, 3]] * 2, rtol=1e-6)


def test_in_between_it_is_the_posterior_mean():
  """Of a mixture of Gaussians of variance one over the sharpness."""
  z = np.array([[3.0, 2], [5, 5]])
  squared = np.square(z[:, None] - np.asarray(PROTOTYPES)).sum(axis=-1)
  weight = np.exp(-0.1 / 2 * squared)
  weight /= weight.sum(axis=1, keepdims=True)
  assert weight.max() < 0.9
  found = _snap(0.1).transform(jnp.asarray(z, jnp.float32))
  np.testing.assert_allclose(found, weight @ PROTOTYPES, rtol=1e-5)


def test_prototypes_of_separate_clusters_are_their_means():
  rng = np.random.default_rng(2)
  label = np.arange(90) % 3
  z = np.array([[0.0, 0], [20, 0], [0, 30]])[label]
  z = (z + rng.standard_normal((90, 2))).astype(np.float32)
  fitted = snap.fit(jnp.asarray(z), _config(), _CUT)
  want = np.array([z[label == k].mean(axis=0) for k in range(3)])
  order = np.argsort(np.asarray(fitted.prototypes) @ [1, 2])
  np.testing.assert_allclose(
    np.asarray(fitted.prototypes)[order], want, atol=1e-4
  )
  assert float(fitted.sharpness) == pytest.approx(0.2)


@pytest.mark.parametrize('count', [1, 61])
def test_prototypes_that_there_cannot_be(count):
  with pytest.raises(errors.UserError) as raised:
    snap.fit(_features(), _config(prototypes=count), _CUT)
  message = str(raised.value)
  assert f'prototypes is {count}' in message
  assert '2 to 60' in message
  assert '\n' not in message


def test_prototypes_of_no_such_split_point():
  config = _config(prototypes={'conv1': 3})
  with pytest.raises(errors.UserError, match='conv1'):
    snap.fit(_features(), config, _CUT)


def test_noise_after_them_is_of_unit_variance():
  z = _features()
  release = mechanisms.fit_release(
    ('bottleneck', 'snap', 'unit_noise'), z, _config(), _CUT
  )
  np.testing.assert_array_equal(release.noise_scale(), np.eye(3))
  sent = release.transform(z)
  assert sent.shape == (60, 3)
  first = bottleneck.fit(z, _config(), _CUT)
  second = snap.fit(first.transform(z), _config(), _CUT)
  np.testing.assert_allclose(
    sent, second.transform(first.transform(z)), atol=1e-4
  )
  many = jnp.tile(sent, (100, 1))
  added = np.asarray(release.add_noise(many, jax.random.key(0)) - many)
  # 6000 of three numbers each.
  np.testing.assert_allclose(np.cov(added.T), np.eye(3), atol=0.08)
  # Rebuilding undoes the bottleneck alone.
  np.testing.assert_allclose(release.inverse(sent), first.inverse(sent))


def test_what_was_trained_is_not_fitted():
  z = _features()
  trained = bottleneck.fit(z, _config(), _CUT)
  trained = trained.replace(encode=2 * trained.encode, limit=1e6)
  # Settings that no fit could take: it is not asked.
  config = _config(bottleneck_dim=99)
  release = mechanisms.fit_release(
    ('bottleneck', 'noise'), z, config, _CUT, {'bottleneck': trained}
  )
  assert release.mechanisms[0] is trained
  sent = trained.transform(z)
  np.testing.assert_array_equal(release.transform(z), sent)
  # What follows is fitted on what the trained one gives.
  want = noise.fit(sent, config, _CUT).noise_scale()
  np.testing.assert_allclose(release.noise_scale(), want, rtol=1e-5)
  with pytest.raises(errors.UserError):
    mechanisms.fit_release(('bottleneck',), z, config, _CUT, {'snap': trained})
