import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.release import mechanisms, noise, pca

_CUT = 'conv1'


def _config(reduced_dim=3, noise=0.5):
  return ml_collections.ConfigDict({'reduced_dim': reduced_dim, 'noise': noise})


def _features(n=60, d=6, seed=0):
  """Correlated features with an offset, `[n, d]`."""
  rng = np.random.default_rng(seed)
  mixed = rng.standard_normal((n, d)) @ np.diag(np.arange(d, 0, -1.0))
  rotation, _ = np.linalg.qr(rng.standard_normal((d, d)))
  return (mixed @ rotation + 10).astype(np.float32)


def _svd(features):
  centred = features.astype(np.float64) - features.mean(axis=0)
  return np.linalg.svd(centred, full_matrices=False)[2]


@pytest.mark.parametrize('dim', [1, 3, 6])
def test_pca_equals_numpy_up_to_sign(dim):
  features = _features()
  fitted = pca.fit(jnp.asarray(features), _config(dim), _CUT)
  expected = _svd(features)[:dim]
  signs = np.sign(np.sum(np.asarray(fitted.components) * expected, axis=1))
  np.testing.assert_allclose(
    fitted.components, signs[:, None] * expected, atol=1e-5
  )
  np.testing.assert_allclose(fitted.mean, features.mean(axis=0), rtol=1e-6)
  released = fitted.transform(jnp.asarray(features))
  np.testing.assert_allclose(
    released,
    signs * ((features - features.mean(axis=0)) @ expected.T),
    atol=1e-4,
  )


@pytest.mark.parametrize('dim', [1, 3, 6])
def test_pca_components_are_orthonormal(dim):
  fitted = pca.fit(jnp.asarray(_features()), _config(dim), _CUT)
  np.testing.assert_allclose(
    fitted.components @ fitted.components.T, np.eye(dim), atol=1e-5
  )


def test_pca_components_are_orthonormal_at_a_lower_rank():
  """The Siamese loss can collapse the features like this."""
  rng = np.random.default_rng(0)
  flat = rng.standard_normal((50, 2)) @ rng.standard_normal((2, 6))
  features = jnp.asarray(flat.astype(np.float32))
  fitted = pca.fit(features, _config(4), _CUT)
  np.testing.assert_allclose(
    fitted.components @ fitted.components.T, np.eye(4), atol=1e-5
  )
  np.testing.assert_allclose(
    fitted.inverse(fitted.transform(features)), flat, atol=1e-4
  )


def test_pca_of_all_components_is_inverted():
  features = jnp.asarray(_features())
  fitted = pca.fit(features, _config(6), _CUT)
  np.testing.assert_allclose(
    fitted.inverse(fitted.transform(features)), features, rtol=1e-5
  )


def test_pca_inverse_is_the_projection():
  features = _features()
  fitted = pca.fit(jnp.asarray(features), _config(2), _CUT)
  axes = _svd(features)[:2]
  mean = features.mean(axis=0)
  new = _features(seed=5)
  np.testing.assert_allclose(
    fitted.inverse(fitted.transform(jnp.asarray(new))),
    mean + (new - mean) @ axes.T @ axes,
    atol=1e-4,
  )


@pytest.mark.parametrize('dim', [0, -1, 7])
def test_pca_rejects_a_dimension(dim):
  with pytest.raises(errors.UserError) as caught:
    pca.fit(jnp.asarray(_features()), _config(dim), _CUT)
  for part in (f'reduced_dim is {dim}', 'allow 1 to 6', _CUT):
    assert part in str(caught.value)


def test_pca_rejects_more_dimensions_than_examples():
  with pytest.raises(errors.UserError, match='reduced_dim is 5'):
    pca.fit(jnp.asarray(_features(n=4)), _config(5), _CUT)


def test_settings_may_differ_between_split_points():
  config = _config({'conv1': 2, 'conv2': 4}, {'conv1': 0.5, 'conv2': 1.0})
  features = jnp.asarray(_features())
  for cut, dim in (('conv1', 2), ('conv2', 4)):
    assert pca.fit(features, config, cut).components.shape == (dim, 6)
  one, two = (noise.fit(features, config, c) for c in ('conv1', 'conv2'))
  np.testing.assert_allclose(2 * one.scale, two.scale, rtol=1e-6)


def test_noise_scale_by_hand():
  # About their means: 1, -1 and 3, -3; rms = sqrt((1 + 1 + 9 + 9) / 4).
  features = jnp.array([[11.0, 3.0], [9.0, -3.0]])
  fitted = noise.fit(features, _config(noise=0.4), _CUT)
  np.testing.assert_allclose(
    fitted.noise_scale(), 0.4 * np.sqrt(5) * np.eye(2), rtol=1e-6
  )


def test_noise_has_the_covariance_of_its_scale():
  features = _features(d=3)
  release = mechanisms.fit_release(
    ('noise',), features, _config(noise=0.3), _CUT
  )
  draws = 200_000
  clean = jnp.broadcast_to(jnp.array([5.0, -2.0, 0.0]), (draws, 3))
  added = np.asarray(release.add_noise(clean, jax.random.key(0)) - clean)
  rms = np.sqrt(np.mean((features - features.mean(axis=0)) ** 2))
  sigma = 0.3 * rms
  # The standard error of a covariance is sigma^2 sqrt(2 / draws): 0.3 %.
  np.testing.assert_allclose(
    np.cov(added.T), sigma**2 * np.eye(3), atol=0.015 * sigma**2
  )
  np.testing.assert_allclose(added.mean(axis=0), 0, atol=0.015 * sigma)


def test_noise_of_a_full_triangle_is_correlated():
  scale = jnp.array([[1.0, 0.0], [2.0, 0.5]])
  release = mechanisms.Release((noise.Noise(scale=scale),))
  added = release.add_noise(jnp.zeros((200_000, 2)), jax.random.key(0))
  # L L^T
  np.testing.assert_allclose(
    np.cov(added.T), [[1.0, 2.0], [2.0, 4.25]], atol=0.05
  )


def test_noise_is_fresh_for_each_key_and_draw():
  release = mechanisms.fit_release(('noise',), _features(), _config(), _CUT)
  clean = jnp.zeros((2, 4, 6))
  one = release.add_noise(clean, jax.random.key(0))
  again = release.add_noise(clean, jax.random.key(0))
  other = release.add_noise(clean, jax.random.key(1))
  np.testing.assert_array_equal(one, again)
  assert (np.asarray(one) != other).all()
  assert len(np.unique(one)) == one.size


@pytest.mark.parametrize('value', [0.0, -0.5, float('nan')])
def test_noise_must_be_positive(value):
  with pytest.raises(errors.UserError, match=f'noise is {value}'):
    noise.fit(jnp.asarray(_features()), _config(noise=value), _CUT)


@pytest.mark.parametrize(
  'release',
  [mechanisms.Release(()), mechanisms.Release((mechanisms.Mechanism(),))],
)
def test_a_release_without_mechanisms_leaves_the_features(release):
  features = _features(n=4).reshape(4, 1, 2, 3)
  np.testing.assert_array_equal(
    release.transform(jnp.asarray(features)), features.reshape(4, 6)
  )
  assert release.noise_scale() is None
  released = jnp.ones((2, 6))
  np.testing.assert_array_equal(release.inverse(released), released)
  np.testing.assert_array_equal(
    release.add_noise(released, jax.random.key(0)), released
  )


def test_no_names_fit_an_empty_release():
  release = mechanisms.fit_release((), _features(), _config(), _CUT)
  assert release.mechanisms == ()


def test_pca_and_then_noise():
  features = _features().reshape(60, 1, 2, 3)
  release = mechanisms.fit_release(
    ('pca', 'noise'), features, _config(2, 0.5), _CUT
  )
  reduced = np.asarray(release.transform(jnp.asarray(features)))
  assert reduced.shape == (60, 2)
  # The noise is fitted on the two components, whose mean is zero.
  sigma = 0.5 * np.sqrt(np.mean(reduced**2))
  np.testing.assert_allclose(
    release.noise_scale(), sigma * np.eye(2), rtol=1e-4, atol=1e-6
  )
  alone = pca.fit(jnp.asarray(features.reshape(60, 6)), _config(2), _CUT)
  np.testing.assert_allclose(
    release.inverse(jnp.asarray(reduced)),
    alone.inverse(jnp.asarray(reduced)),
    atol=1e-5,
  )


@pytest.mark.parametrize('last', ['pca', 'noise', 'unit_noise'])
def test_nothing_comes_after_noise(last):
  with pytest.raises(errors.UserError, match=f"'{last}' comes after .* noise"):
    mechanisms.fit_release(
      ('pca', 'noise', last), _features(), _config(2), _CUT
    )


def test_mechanisms_are_inverted_in_reverse_order():
  features = jnp.asarray(_features())
  config = _config({'conv1': 4}, 0.5)
  # The second mechanism is a rotation of all four components.
  rotation, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((4, 4)))
  first = pca.fit(features, config, _CUT)
  second = pca.Pca(mean=jnp.arange(4.0), components=jnp.asarray(rotation))
  release = mechanisms.Release((first, second))
  released = release.transform(features)
  np.testing.assert_allclose(
    released, (first.transform(features) - np.arange(4)) @ rotation.T, atol=1e-4
  )
  np.testing.assert_allclose(
    release.inverse(released),
    first.inverse(first.transform(features)),
    atol=1e-4,
  )


def test_each_mechanism_is_fitted_on_the_output_of_the_one_before():
  features = _features()
  release = mechanisms.fit_release(('pca', 'pca'), features, _config(3), _CUT)
  first, second = release.mechanisms
  assert first.components.shape == (3, 6)
  assert second.components.shape == (3, 3)
  # They are in order already.
  np.testing.assert_allclose(np.abs(second.components), np.eye(3), atol=1e-3)


def test_an_unknown_mechanism_lists_the_known_ones():
  with pytest.raises(
    errors.UserError, match=r"'pcaa'.*'pca'.*bottleneck, noise"
  ):
    mechanisms.fit_release(('pcaa',), _features(), _config(), _CUT)


def test_a_release_can_be_jitted():
  release = mechanisms.fit_release(
    ('pca', 'noise'), _features(), _config(2), _CUT
  )
  x = jnp.asarray(_features())
  np.testing.assert_allclose(
    jax.jit(lambda m, x: m.transform(x))(release, x),
    release.transform(x),
    atol=1e-4,
  )
