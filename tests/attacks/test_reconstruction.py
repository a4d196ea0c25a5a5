import dataclasses
import functools

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.attacks import adversary, decoder, inversion
from hybrid_jax.datasets import dataset
from hybrid_jax.measures import reconstruction
from hybrid_jax.metrics import similarity
from hybrid_jax.models import cnn1d
from hybrid_jax.study import config_tree

_COUNTS = (900, 200, 100)
_FOLD = np.repeat([0, 1, 2], _COUNTS)
_TEST = _FOLD == dataset.TEST
_SHAPE = (1, 8, 2)


_OPTIONS = {
  decoder: {
    'widths': (64,),
    'steps': 500,
    'every': 100,
    'batch_size': 64,
    'learning_rate': 5e-3,
  },
  inversion: {
    'steps': 100,
    'learning_rate': 0.1,
    'restarts': 2,
    'prior': 0.0,
    'smooth': 0.0,
    'max_items': 0,
  },
}


def _config(module, **more):
  return ml_collections.ConfigDict(_OPTIONS[module] | more)


@functools.cache
def _inputs():
  rng = np.random.default_rng(0)
  return rng.standard_normal((len(_FOLD), *_SHAPE)).astype(np.float32)


def _flat(x):
  return x.reshape(len(x), -1)


def _first_channel(x):
  return x[..., 0].reshape(len(x), -1)


def _problem(edge=_flat, noise_scale=None, x=None, **more):
  x = _inputs() if x is None else x
  return adversary.Problem(
    x=x,
    clean=more.pop('clean', None) if 'clean' in more else np.asarray(edge(x)),
    noise_scale=noise_scale,
    fold=_FOLD,
    primary=np.arange(len(x)) % 2,
    sensitive={},
    recording=np.arange(len(x)),
    edge=edge,
    **more,
  )


def _figures(problem, items, rebuilt):
  original = problem.x[_TEST][items]
  assert rebuilt.shape == original.shape
  assert np.isfinite(rebuilt).all()
  return similarity.signal(original, rebuilt, np.arange(len(items)))


def _overall(problem, found):
  figures = _figures(problem, *found)
  return (
    figures['correlation']['overall']['value'],
    figures['error']['overall']['value'],
  )


@pytest.mark.parametrize('module', [decoder, inversion])
def test_inputs_released_unchanged_are_rebuilt(module):
  problem = _problem()
  correlation, error = _overall(
    problem, module.reconstruct(problem, _config(module), 0)
  )
  assert correlation > 0.95
  assert error < 0.1


@pytest.mark.parametrize('module', [decoder, inversion])
def test_a_channel_that_is_not_released_is_not_rebuilt(module):
  problem = _problem(_first_channel)
  figures = _figures(problem, *module.reconstruct(problem, _config(module), 0))
  first, second = figures['correlation']['channels']
  assert first['value'] > 0.95
  assert abs(second['value']) < 0.2
  assert figures['error']['channels'][1]['value'] > 0.95


@pytest.mark.parametrize('constant', [False, True])
def test_random_and_constant_features_hold_no_information(constant):
  clean = np.random.default_rng(5).standard_normal((len(_FOLD), 6))
  problem = _problem(clean=np.ones_like(clean) if constant else clean)
  found = decoder.reconstruct(problem, _config(decoder), 0)
  correlation, error = _overall(problem, found)
  assert abs(correlation) < 0.1
  assert 0.98 < error < 1.1
  mean = similarity.class_mean(problem.x, problem.primary, problem.fold)
  _, known = _overall(problem, (np.arange(len(mean)), mean))
  assert error > known - 0.02


def test_a_decoder_that_gets_worse_returns_to_the_training_mean():
  problem = _problem(x=_inputs() + 3)
  items, rebuilt = decoder.reconstruct(
    problem, _config(decoder, learning_rate=30.0), 0
  )
  np.testing.assert_array_equal(items, np.arange(_COUNTS[2]))
  mean = problem.x[_FOLD == 0].mean(axis=0)
  np.testing.assert_allclose(
    rebuilt, np.broadcast_to(mean, rebuilt.shape), atol=1e-5
  )


def test_a_decoder_reaches_the_best_error_under_noise():
  problem = _problem(noise_scale=np.eye(16, dtype=np.float32))
  _, error = _overall(
    problem, decoder.reconstruct(problem, _config(decoder, steps=1000), 0)
  )
  # Of x + e, both of variance 1, the best guess is half of it, with error 1/2.
  # A decoder trained without noise would have error 1.
  assert error == pytest.approx(0.5, abs=0.06)


def _blobs():
  """Images `[n, 8, 9, 1]` of a soft disc at a random place."""
  rng = np.random.default_rng(3)
  y, x = rng.uniform(1, [6, 7], (len(_FOLD), 2)).T[..., None, None]
  rows, columns = np.mgrid[:8, :9]
  squared = (rows - y) ** 2 + (columns - x) ** 2
  return np.exp(-squared / 8)[..., None].astype(np.float32)


def test_images_are_decoded():
  problem = _problem(x=_blobs())
  _, rebuilt = decoder.reconstruct(
    problem, _config(decoder, steps=100, every=50), 0
  )
  original = problem.x[_TEST]
  assert rebuilt.shape == original.shape
  flat = similarity.measure(_flat(original), _flat(rebuilt), np.arange(100))
  assert flat['correlation']['overall']['value'] > 0.95


@pytest.mark.parametrize('shape', [(2, 2, 3), (7, 7, 1), (8, 30, 3)])
def test_an_image_has_its_size(shape):
  module = decoder.UpConvolution(*shape)
  out, variables = jax.eval_shape(
    module.init_with_output, jax.random.key(0), jnp.ones((3, 5))
  )
  assert out.shape == (3, np.prod(shape))
  # 30 pixels are 4, doubled three times; a convolution follows each.
  convolutions = [k for k in variables['params'] if k.startswith('Conv')]
  assert len(convolutions) == 1 + {2: 0, 7: 0, 8: 3}[shape[0]]


def test_a_pixel_is_doubled_to_four():
  x = jnp.array([[1.0, 2], [3, 4]]).reshape(1, 2, 2, 1)
  want = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
  np.testing.assert_array_equal(decoder._double(x)[0, :, :, 0], want)


@functools.cache
def _network():
  """The problem of a small network's first block, and its parameters."""
  model = cnn1d.Model(classes=2, widths=(8, 8, 8), kernel=3, dense=8)
  params = jax.jit(model.init)(jax.random.key(0), _inputs()[:1])['params']

  @jax.jit
  def apply(params, x):
    return _flat(model.apply({'params': params}, x, 'conv1', method='edge'))

  return _problem(jax.tree_util.Partial(apply, params)), params


@pytest.mark.parametrize('module', [decoder, inversion])
def test_a_network_is_attacked_and_not_changed(module):
  problem, params = _network()
  before = jax.tree.map(np.array, params)
  clean = problem.clean.copy()
  more = {'max_items': 20, 'steps': 200} if module is inversion else {}
  config = _config(module, **more)
  _, error = _overall(problem, module.reconstruct(problem, config, 0))
  # Pooling loses half of the positions; eight filters see the rest.
  assert error < 0.6
  jax.tree.map(np.testing.assert_array_equal, before, params)
  np.testing.assert_array_equal(clean, problem.clean)


@pytest.mark.parametrize('module', [decoder, inversion])
def test_equal_seeds_give_equal_results(module):
  problem, config = _problem(), _config(module)
  (_, one), (_, again), (_, other) = (
    module.reconstruct(problem, config, seed) for seed in (3, 3, 4)
  )
  np.testing.assert_array_equal(one, again)
  assert np.abs(one - other).max() > 1e-6


def test_the_objective_by_hand():
  released = np.array([[1.0, 0.0]], np.float32)
  start = jnp.array([1.0, 3.0, 2.0]).reshape(1, 1, 1, 3, 1)

  def edge(x):
    return x[:, 0, :2, 0]

  # Residuals 0 and 3; L = [[1, 0], [1, 2]] makes them 0 and 1.5.
  problem = _problem(
    edge, np.array([[1, 0], [1, 2]], np.float32), clean=np.zeros((1200, 2))
  )
  whiten = inversion.noise_whitening(problem)
  np.testing.assert_allclose(whiten, [[1, 0], [-0.5, 0.5]])
  x, objective = inversion.descend(
    edge, released, start, whiten, (1, 0.0, 0.1, 0.01)
  )
  np.testing.assert_array_equal(x, start)
  # 1.5^2 / 2; 1 + 9 + 4 = 14; 2 + 1 = 3.
  assert float(objective[0, 0]) == pytest.approx(1.125 + 1.4 + 0.03)


def test_whitening_of_a_diagonal_scale():
  whiten = inversion.noise_whitening(
    _problem(clean=np.zeros((1200, 2)), noise_scale=np.diag([2.0, 4.0]))
  )
  np.testing.assert_allclose(whiten, [0.5, 0.25])
  problem = _problem(clean=_flat(_inputs()) * 10)
  np.testing.assert_allclose(
    inversion.noise_whitening(problem),
    1 / problem.clean[_FOLD == 0].std(axis=0),
    rtol=1e-5,
  )


def test_total_variation_by_hand():
  signal = jnp.array([[1.0, 10], [1, 10], [3, 10], [2, 12]])
  for x in (signal[None], signal[None, None]):
    np.testing.assert_allclose(inversion.total_variation(x), [2 + 1 + 2])
  image = jnp.array([[0.0, 1], [4, 2]])[None, :, :, None]
  np.testing.assert_allclose(inversion.total_variation(image), [4 + 1 + 1 + 2])
  np.testing.assert_allclose(
    inversion.total_variation(jnp.array([[1.0, 2, 0]])), [3]
  )


def test_smoothness_and_the_prior_have_an_effect():
  problem = _problem(_first_channel)
  size = {}
  for name in ('prior', 'smooth'):
    config = _config(inversion, **{name: 1.0, 'steps': 300})
    items, rebuilt = inversion.reconstruct(problem, config, 0)
    size[name] = np.abs(rebuilt).mean(), np.abs(np.diff(rebuilt, axis=2)).mean()
  original = np.abs(problem.x[_TEST][items])
  assert size['prior'][0] < 0.3 * original.mean()
  assert size['smooth'][1] < 0.1


def test_the_lowest_objective_is_selected():
  found = np.arange(6.0).reshape(3, 2, 1)
  objective = np.array([[0.5, np.nan], [0.2, 3], [0.9, np.inf]])
  np.testing.assert_array_equal(
    inversion.select_lowest(found, objective), [[2], [3]]
  )


@pytest.mark.parametrize('shift', [0.0, 5.0])
def test_the_best_of_all_starts_is_kept(shift):
  """With a learning rate of 0 the result is one of the starts."""
  x = np.full((len(_FOLD), *_SHAPE), 5.0, np.float32)
  x[_TEST] = shift
  problem = _problem(x=x)
  config = _config(inversion, learning_rate=0.0, steps=1)
  _, rebuilt = inversion.reconstruct(problem, config, 0)
  if shift:  # As the training inputs are.
    np.testing.assert_array_equal(rebuilt, 5.0)
  else:  # A random start, of standard deviation 0.1, the nearer of two.
    assert np.abs(rebuilt).max() < 0.6
    assert rebuilt.std() > 0.05
    config = _config(inversion, learning_rate=0.0, restarts=0)
    _, alone = inversion.reconstruct(problem, config, 0)
    np.testing.assert_array_equal(alone, 5.0)


def test_the_nearest_by_hand_in_units_of_the_noise():
  x = np.zeros((len(_FOLD), 2), np.float32)
  x[_FOLD == 0] = 1000
  x[0], x[1] = (3, 0), (0, 2)
  released = np.zeros((1, 2), np.float32)
  # At distance 3 and 2; the noise of the first axis is ten times the other's.
  for scale, want in ((np.eye(2), (0, 2)), (np.diag([10.0, 1]), (3, 0))):
    problem = _problem(x=x, noise_scale=scale.astype(np.float32))
    whiten = inversion.noise_whitening(problem)
    np.testing.assert_array_equal(
      inversion.nearest(problem, released, whiten), [want]
    )


@pytest.mark.parametrize(
  ('most', 'want'), [(4, [0, 3, 6, 9]), (0, range(10)), (None, range(10))]
)
def test_items_are_evenly_spaced(most, want):
  np.testing.assert_array_equal(adversary.evenly_spaced(10, most), want)
  np.testing.assert_array_equal(adversary.evenly_spaced(3, 8), range(3))


def test_items_are_the_rebuilt_rows():
  problem = _problem()
  config = _config(inversion, max_items=4)
  items, rebuilt = inversion.reconstruct(problem, config, 0)
  np.testing.assert_array_equal(items, [0, 33, 66, 99])
  np.testing.assert_allclose(rebuilt, problem.x[_TEST][items], atol=0.1)


def test_mean_and_std_by_hand():
  clean = np.zeros((len(_FOLD), 3))
  clean[_FOLD == 0] = np.tile([[0, 5, 1], [2, 5, 1]], (450, 1))
  problem = _problem(clean=clean)
  np.testing.assert_allclose(problem.mean, [1, 5, 1])
  np.testing.assert_allclose(problem.std, [1, 1e-3, 1e-3])
  scale = np.array([[1, 0, 0], [2, 3, 0], [0, 0, 4]])
  noisy = _problem(clean=clean, noise_scale=scale)
  np.testing.assert_allclose(noisy.std, np.sqrt([2, 13, 16]))
  still = _problem(clean=np.ones_like(clean))
  np.testing.assert_allclose(still.std, 1)


def test_the_draw_is_fixed_and_has_the_distribution_of_the_noise():
  scale = np.tril(np.ones((16, 16), np.float32))
  one, other = (_problem(noise_scale=scale) for _ in range(2))
  np.testing.assert_array_equal(one.released(2), other.released(2))
  for fold in (1, 2):
    # One of the draws that the adversaries are evaluated on.
    np.testing.assert_array_equal(
      one.released(fold), one.evaluation_draws[fold][0]
    )
    added = one.released(fold) - one.clean[one.rows(fold)]
    standard = np.linalg.solve(scale, added.T)
    # 1600 numbers or more.
    assert standard.mean() == pytest.approx(0, abs=0.1)
    assert standard.std() == pytest.approx(1, abs=0.07)
  noise, other_noise = (
    (one.released(fold) - one.clean[one.rows(fold)])[:100] for fold in (2, 1)
  )
  assert np.abs(noise - other_noise).max() > 0.1
  np.testing.assert_array_equal(_problem().released(2), one.clean[_TEST])


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value):
  x = _inputs().copy()
  x[4, 0, 2, 1] = value
  problem = _problem(x=x, clean=_flat(_inputs()))
  with pytest.raises(errors.UserError, match='inputs hold NaN or infinity'):
    reconstruction.load_inputs(problem)
  with pytest.raises(errors.UserError, match='released vectors hold NaN'):
    _problem(clean=_flat(x))


def test_problems_that_do_not_fit_are_refused():
  with pytest.raises(
    errors.UserError, match="'primary' has 1200 entries, but there are 7"
  ):
    _problem(clean=np.zeros((7, 2)))
  with pytest.raises(errors.UserError, match="'x' has 3 entries"):
    dataclasses.replace(_problem(), x=np.zeros((3, 2)))
  problem = dataclasses.replace(_problem(), fold=np.where(_FOLD == 1, 0, _FOLD))
  with pytest.raises(errors.UserError, match='validation fold is empty'):
    reconstruction.load_inputs(problem)


@pytest.mark.parametrize(
  ('module', 'name', 'value'),
  [
    (decoder, 'steps', 0),
    (decoder, 'every', 0),
    (decoder, 'batch_size', 0),
    (inversion, 'steps', 0),
    (inversion, 'restarts', -1),
  ],
)
def test_settings_out_of_range_are_refused(module, name, value):
  config = _config(module, **{name: value}).to_dict()
  with pytest.raises(errors.UserError, match=f'{name} is {value}'):
    config_tree.check(config, module.OPTIONS)


def test_inversion_needs_an_edge():
  problem = dataclasses.replace(_problem(), edge=None)
  with pytest.raises(errors.UserError, match='needs the edge'):
    inversion.reconstruct(problem, _config(inversion), 0)
