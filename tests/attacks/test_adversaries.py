import dataclasses
import functools

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
import scipy.stats
import sklearn.ensemble
from flax import linen as nn

from hybrid_jax import errors, plugins
from hybrid_jax.attacks import adversary, kde, knn, majority, transfer, trees
from hybrid_jax.datasets import dataset
from hybrid_jax.metrics import attack_accuracy

_TRAIN, _HELD, _TEST, _WHO, _DIM = 600, 300, 300, 3, 4

# Two need more than vectors, `majority` ignores the vectors, and `frequencies`
# needs few different ones.
ON_VECTORS = sorted(
  set(plugins.known('adversary'))
  - {'decensor', 'frequencies', 'majority', 'transfer'}
)


def _config(**more):
  return ml_collections.ConfigDict(
    {
      'heads': {
        'trials': 1,
        'views': ('standardised', 'within'),
        'batch_size': 64,
        'learning_rate': 1e-2,
        'weight_decay': 1e-3,
        'chunk': 100,
        'max_chunks': 4,
        'patience': 2,
      },
      'noise_copies': 2,
      'widths': ((16,),),
      'neighbours': (1, 9),
      'shrinkages': (0.3,),
      'bandwidths': (0.6, 1.5),
      'powers': (0.5, 1.0),
      'most': 512,
      'count': 20,
      'leaves': (2,),
      # Of the transfer attack.
      'starts': ('fresh weights', "the cloud's weights"),
      'steps': 60,
      'batch_size': 64,
      'every': 30,
      'patience': 2,
      'learning_rate': 1e-2,
      'warmup': 0.1,
      'weight_decay': 1e-3,
    }
    | more
  )


@functools.cache
def _labels():
  """Person, primary label, recording and fold; ten vectors a recording.

  Within each fold every person does every class equally often.
  """
  recording = np.repeat(np.arange((_TRAIN + _HELD + _TEST) // 10), 10)
  fold = np.repeat([0, 1, 2], [_TRAIN, _HELD, _TEST])
  return recording % _WHO, recording // _WHO % 2, recording, fold


def _problem(features, noise_scale=None, **more):
  who, primary, recording, fold = _labels()
  return adversary.Problem(
    clean=features.astype(np.float32),
    noise_scale=None
    if noise_scale is None
    else np.asarray(noise_scale, np.float32),
    primary=primary,
    sensitive=more.pop('sensitive', {'who': who, 'class': primary}),
    recording=recording,
    fold=fold,
    **more,
  )


def _features(leak, dim=_DIM, seed=1):
  """Normal vectors; each person's mean is shifted by `leak` on one axis.

  The primary class moves the last axis by 6, on which it is the loudest.
  """
  who, primary, *_ = _labels()
  x = np.random.default_rng(seed).standard_normal((len(who), dim))
  x[np.arange(len(who)), who] += leak
  x[:, -1] += 6 * primary
  return x


def _found(name, problem, config=None, seed=0):
  """Returns all attacks on `who`, the best on validation first."""
  module = plugins.load('adversary', name)
  attacks = [
    a
    for a in module.attack(problem, config or _config(), seed)
    if a.attribute == 'who'
  ]
  assert attacks
  return sorted(attacks, key=lambda a: -_validation(problem, a))


def _validation(problem, attack):
  truth = problem.sensitive[attack.attribute][problem.rows(1)]
  return attack_accuracy.correct_windows(
    attack.validation, truth, attack.columns
  ).mean()


def _test(problem, attack):
  truth = problem.sensitive[attack.attribute][problem.rows(2)]
  return attack_accuracy.correct_windows(
    attack.test, truth, attack.columns
  ).mean()


def _assert_log_probs(problem, attack, draws, classes=_WHO):
  if attack.columns is not None:
    assert set(attack.columns) == set(range(classes))
    classes = len(attack.columns)
  for found, count in ((attack.validation, _HELD), (attack.test, _TEST)):
    assert found.shape == (draws, count, classes)
    assert np.isfinite(found).all()
  assert attack.adversary


@pytest.mark.parametrize('name', ON_VECTORS)
def test_a_planted_identity_is_found(name):
  problem = _problem(_features(leak=7))
  attacks = list(plugins.load('adversary', name).attack(problem, _config(), 0))
  assert {a.attribute for a in attacks} == {'who', 'class'}
  for attack in attacks:
    classes = {'who': _WHO, 'class': 2}[attack.attribute]
    _assert_log_probs(problem, attack, 1, classes)
    # Every variant finds so clear a leak. The view `within` removes the
    # primary class.
    if attack.attribute == 'who' or 'within' not in attack.adversary:
      assert _test(problem, attack) >= 0.95


@pytest.mark.parametrize('name', ON_VECTORS)
def test_one_of_many_people_is_found(name):
  _, _, recording, _ = _labels()
  who = recording % 24  # more than the least number of columns of a program
  rng = np.random.default_rng(1)
  places = 20 * rng.standard_normal((24, _DIM))
  x = places[who] + rng.standard_normal((len(who), _DIM))
  problem = _problem(x, 0.1 * np.eye(_DIM), sensitive={'who': who})
  best, *_ = _found(name, problem)
  _assert_log_probs(problem, best, draws=4, classes=24)
  assert _test(problem, best) >= 0.9


@pytest.mark.parametrize('name', ON_VECTORS)
def test_pure_noise_is_at_chance(name):
  problem = _problem(_features(leak=0))
  best, *_ = _found(name, problem)
  assert _test(problem, best) == pytest.approx(1 / 3, abs=0.1)


@pytest.mark.parametrize('name', ON_VECTORS)
def test_large_noise_hides_a_leak(name):
  problem = _problem(_features(leak=7), 100 * np.eye(_DIM))
  best, *_ = _found(name, problem)
  _assert_log_probs(problem, best, draws=4)
  assert _test(problem, best) == pytest.approx(1 / 3, abs=0.1)


@pytest.mark.parametrize('name', ON_VECTORS)
def test_noise_on_another_axis_hides_no_leak(name):
  # The last axis depends on the primary class only.
  scale = np.diag([1e-3, 1e-3, 1e-3, 30.0])
  problem = _problem(_features(leak=9), scale)
  best, *_ = _found(name, problem)
  assert _test(problem, best) >= 0.95


def test_the_majority_guess_by_hand():
  who, _, _, fold = _labels()
  rare = (who == 1).astype(int)
  rare[np.flatnonzero((fold == 0) & (who == 1))[:50]] = 0
  problem = _problem(
    _features(7), np.eye(_DIM), sensitive={'who': who, 'rare': rare}
  )
  attacks = {a.attribute: a for a in majority.attack(problem, _config(), 0)}
  assert attacks.keys() == {'who', 'rare'}
  _assert_log_probs(problem, attacks['rare'], draws=4, classes=2)
  # Of 600 training examples 150 are still rare.
  np.testing.assert_allclose(
    np.exp(attacks['rare'].test),
    np.broadcast_to([3 / 4, 1 / 4], (4, _TEST, 2)),
  )
  # A third of the test examples is rare.
  assert _test(problem, attacks['rare']) == pytest.approx(2 / 3)
  assert attack_accuracy.chance(rare[fold == 2]) == pytest.approx(2 / 3)


def test_votes_of_the_nearest_by_hand():
  # In one dimension: the three nearest neighbours of a test vector lie in its
  # own group, near 0 or near 30.
  who = np.array([0, 0, 1, 1, 1, 0, 0, 1, 0, 1])
  problem = adversary.Problem(
    clean=np.array([[0, 1, 2, 30, 31, 33, 1, 31, 1, 31]], np.float32).T,
    noise_scale=None,
    primary=np.array([0, 1] * 5),
    sensitive={'who': who},
    recording=np.arange(10),
    fold=np.array([0] * 6 + [1] * 2 + [2] * 2),
  )
  attacks = {
    a.adversary: a.test[0]
    for a in knn.attack(problem, _config(neighbours=(1, 3)), 0)
  }
  for view in adversary.VIEWS:
    # Two of three for class 0, then for class 1, each smoothed by a half.
    np.testing.assert_allclose(
      np.exp(attacks[f'3 nearest neighbours, {view}']),
      [[2.5 / 4, 1.5 / 4], [1.5 / 4, 2.5 / 4]],
      atol=1e-3,
    )
    np.testing.assert_allclose(
      np.exp(attacks[f'1 nearest neighbours, {view}']),
      [[1.5 / 2, 0.5 / 2], [0.5 / 2, 1.5 / 2]],
      atol=1e-3,
    )


def test_kernel_densities_equal_a_direct_sum():
  problem = _problem(_features(leak=2))
  who, *_ = _labels()
  train, test = problem.rows(0), problem.rows(2)
  attacks = {a.adversary: a for a in _found('kde', problem)}
  found = attacks['kernel density 1.5, standardised'].test[0]
  view = problem.views['standardised']
  gallery = view(problem.clean[train]).astype(np.float64)
  x = view(problem.clean[test]).astype(np.float64)
  # 1.5 times the median distance to the nearest other training vector.
  between = np.linalg.norm(gallery[:, None] - gallery[None], axis=-1)
  width = 1.5 * np.median(np.sort(between, axis=1)[:, 1])
  squared = ((x[:, None] - gallery[None]) ** 2).sum(-1)
  kernels = np.exp(-squared / (2 * width**2))
  density = np.stack(
    [kernels[:, who[train] == c].mean(axis=1) for c in range(_WHO)], axis=1
  )
  # Equal up to a factor for each vector, the same for all classes.
  want = np.log(density) - np.log(density).mean(axis=1, keepdims=True)
  near = found.min(axis=1) > np.log(1e-11)
  assert near.mean() > 0.5
  np.testing.assert_allclose(
    (found - found.mean(axis=1, keepdims=True))[near],
    want[near],
    atol=0.02,
  )


def test_with_known_noise_the_densities_are_nearly_bayes():
  """Two points at distance 2, noise 1: Phi(1) = 84.1 % is the best accuracy."""
  _, who, recording, fold = _labels()
  problem = adversary.Problem(
    clean=(2.0 * who[:, None] - 1).astype(np.float32),
    noise_scale=np.eye(1, dtype=np.float32),
    primary=np.zeros(len(who), int),
    sensitive={'who': who},
    recording=recording,
    fold=fold,
    draws=16,
  )
  attacks = {a.adversary: a for a in kde.attack(problem, _config(), 0)}
  accuracy = _test(problem, attacks['kernel density 1, in units of noise'])
  # One standard deviation of 4800 draws is 0.5 points.
  assert accuracy == pytest.approx(scipy.stats.norm.cdf(1), abs=0.02)


def test_equal_seeds_attack_alike():
  problem = _problem(_features(leak=1), 0.5 * np.eye(_DIM))
  for name in ('linear', 'trees'):
    one, again, other = (
      _found(name, problem, seed=seed)[0].test for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3


def test_larger_leaves_of_a_forest_are_joined_nodes():
  rng = np.random.default_rng(0)
  x = rng.standard_normal((2, 40, 3)).astype(np.float32)
  labels = np.stack([rng.integers(3, size=40), 5 * rng.integers(2, size=40)], 1)
  forest = sklearn.ensemble.ExtraTreesClassifier(
    3, min_samples_leaf=2, random_state=0
  ).fit(x[0], labels)
  smallest, joined = trees.vote_shares(forest, x, (2, 7))
  assert smallest.shape == (2, 40, 2, 3)
  for output, shares in enumerate(forest.predict_proba(x.reshape(80, 3))):
    np.testing.assert_allclose(
      smallest[..., output, : shares.shape[1]].reshape(80, -1),
      shares,
      atol=1e-6,
    )
  assert (smallest[..., 1, 2] == 0).all()  # The second label has two classes.
  # By hand: the last node on the path with 7 examples, or the root.
  expected = np.zeros(2)
  for estimator in forest.estimators_:
    path = estimator.decision_path(x[1, :1]).indices
    passed = estimator.decision_path(x[0]).toarray()
    node = [n for n in path if passed[:, n].sum() >= 7][-1]
    rows = passed[:, node] == 1
    expected += [(labels[rows, 1] == c).mean() / 3 for c in (0, 5)]
  np.testing.assert_allclose(joined[1, 0, 1, :2], expected, atol=1e-6)
  assert np.abs(joined - smallest).max() > 0.1


def test_trees_attack_a_label_alone_and_a_class_without_training_examples():
  who, _, _, fold = _labels()
  rare = np.where((fold > 0) & (who == 0), 7, who)
  problem = _problem(_features(leak=7), sensitive={'rare': rare})
  (attack,) = trees.attack(problem, _config(), 0)
  assert attack.test.shape == (1, _TEST, 8)
  np.testing.assert_allclose(attack.test[..., 3:], np.log(1e-3), rtol=1e-6)
  known = rare[fold == 2] < _WHO
  correct = attack.test[0].argmax(-1) == rare[fold == 2]
  assert correct[known].mean() > 0.95


def test_copies_have_the_distribution_of_the_noise():
  scale = np.array([[1, 0, 0, 0], [0.5, 2, 0, 0], [0, 0, 0.1, 0], [0, 1, 0, 3]])
  problem = _problem(_features(leak=1), scale)
  clean = problem.clean[problem.rows(0)]
  copies = problem.copies(0, 50, seed=8)
  assert copies.shape == (50, _TRAIN, _DIM)
  added = (copies - clean).reshape(-1, _DIM)
  # There are 30,000 of them.
  np.testing.assert_allclose(np.cov(added.T), scale @ scale.T, atol=0.03 * 10)
  np.testing.assert_allclose(added.mean(axis=0), 0, atol=0.06)
  # Draws, seeds and folds all differ.
  assert np.abs(copies[0] - copies[1]).min() > 0
  np.testing.assert_array_equal(copies, problem.copies(0, 50, seed=8))
  assert np.abs(copies - problem.copies(0, 50, seed=9)).min() > 0
  held = problem.copies(1, 1, seed=8)[0] - problem.clean[problem.rows(1)]
  assert np.abs(held - (copies[0] - clean)[:_HELD]).max() > 0.1


def test_evaluation_draws_are_fixed():
  features = _features(leak=1)
  one, other = (_problem(features, np.eye(_DIM), draws=3) for _ in range(2))
  assert sorted(one.evaluation_draws) == [dataset.VALIDATION, dataset.TEST]
  for fold, count in ((1, _HELD), (2, _TEST)):
    assert one.evaluation_draws[fold].shape == (3, count, _DIM)
    np.testing.assert_array_equal(
      one.evaluation_draws[fold], other.evaluation_draws[fold]
    )
    gaps = np.diff(one.evaluation_draws[fold], axis=0)
    assert np.abs(gaps).min() > 0


def test_without_noise_there_is_one_copy():
  problem = _problem(_features(leak=1))
  for copies in (problem.copies(1, 7, seed=0), problem.evaluation_draws[1]):
    np.testing.assert_array_equal(copies, problem.clean[problem.rows(1)][None])


def _covariances(problem):
  """Covariance of the training vectors, and within the primary classes."""
  train = problem.rows(0)
  x = problem.clean[train].astype(np.float64)
  classes = problem.primary[train]
  within = sum(
    np.cov(x[classes == c].T, bias=True) * (classes == c).mean() for c in (0, 1)
  )
  return np.cov(x.T, bias=True), within


NOISES = {
  'no noise': None,
  'noise': np.array(
    [[1, 0, 0, 0], [0.5, 2, 0, 0], [0, 0, 0.1, 0], [0, 1, 0, 3]]
  ),
}


@pytest.mark.parametrize('scale', NOISES.values(), ids=NOISES.keys())
def test_views_make_covariances_the_identity(scale):
  problem = _problem(_features(leak=2), scale)
  total, within = _covariances(problem)
  noise = np.zeros_like(total) if scale is None else scale @ scale.T
  views = problem.views
  assert tuple(views) == adversary.VIEWS
  for name, covariance in (('whitened', total), ('within', within)):
    m = views[name].matrix
    np.testing.assert_allclose(
      m.T @ (covariance + noise) @ m, np.eye(_DIM), atol=1e-6
    )
  # The two differ, since the primary class moves the vectors.
  m = views['within'].matrix
  assert np.abs(m.T @ (total + noise) @ m - np.eye(_DIM)).max() > 0.3
  m = views['standardised'].matrix
  np.testing.assert_allclose(np.diag(m.T @ (total + noise) @ m), 1, atol=1e-6)
  np.testing.assert_array_equal(m, np.diag(np.diag(m)))


def test_noisy_vectors_have_the_identity_within_classes():
  problem = _problem(_features(leak=2), NOISES['noise'])
  copies = problem.copies(0, 40, seed=5)
  seen = problem.views['within'](copies)
  assert seen.dtype == np.float32
  classes = problem.primary[problem.rows(0)]
  pooled = sum(
    np.cov(seen[:, classes == c].reshape(-1, _DIM).T) * (classes == c).mean()
    for c in (0, 1)
  )
  np.testing.assert_allclose(pooled, np.eye(_DIM), atol=0.05)


def test_views_of_constant_and_wide_features():
  features = _features(leak=2, dim=70)
  features[:, 20:25] = 3.0
  problem = _problem(features)
  assert problem.views['standardised'].matrix.shape == (70, 64)
  for view in problem.views.values():
    seen = view(problem.clean)
    assert seen.shape == (len(features), 64)
    assert np.isfinite(seen).all()
    # Constant features are not scaled up.
    np.testing.assert_allclose(view.matrix[20:25], 0, atol=1e-12)


def test_views_of_wide_features_of_few_examples():
  _, primary, recording, fold = _labels()
  rows = np.concatenate([np.arange(i, i + 40) for i in (0, 600, 900)])
  problem = adversary.Problem(
    clean=np.random.default_rng(0).standard_normal((120, 70)).astype('f'),
    noise_scale=None,
    primary=primary[rows],
    sensitive={'who': primary[rows]},
    recording=recording[rows],
    fold=fold[rows],
  )
  for view in problem.views.values():
    assert np.isfinite(view(problem.clean)).all()


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_refused(value):
  features = _features(leak=0)
  features[5, 2] = value
  with pytest.raises(errors.UserError, match='NaN or infinity'):
    _problem(features)


def _cloud_half(classes):
  """As the attack stage builds it: a network on `[n, 1, 8, 2]`."""
  model = nn.Sequential(
    [
      nn.Conv(4, (1, 3)),
      nn.relu,
      lambda x: x.reshape(len(x), -1),
      nn.Dense(classes),
    ]
  )
  return adversary.TrainableCloud(
    lambda key: jax.jit(model.init)(key, jnp.zeros((1, 1, 8, 2)))['params'],
    lambda params, x: model.apply({'params': params}, x.reshape(-1, 1, 8, 2)),
  )


@pytest.mark.parametrize('leak', [True, False], ids=['planted', 'noise'])
def test_the_transfer_attack(leak):
  who, *_ = _labels()
  x = np.random.default_rng(4).standard_normal((len(who), 1, 8, 2))
  if leak:
    # The slope along time differs; a random gain does not hide it.
    ramp = np.linspace(-4, 4, 8)
    x[:, 0, :, 0] += (who - 1)[:, None] * ramp
  problem = _problem(
    x.reshape(len(x), -1),
    cloud=_cloud_half,
    sensitive={'who': who},
  )
  (attack,) = transfer.attack(problem, _config(), 0)
  _assert_log_probs(problem, attack, draws=1)
  np.testing.assert_allclose(np.exp(attack.test).sum(axis=-1), 1, rtol=1e-5)
  if leak:
    assert _test(problem, attack) >= 0.95
  else:
    assert _test(problem, attack) == pytest.approx(1 / 3, abs=0.1)


@pytest.mark.parametrize(
  ('scale', 'offset'), [(1e-3, 30), (1.0, 0), (1.0, 300), (1e3, 30)]
)
def test_fresh_weights_learn_alike_at_any_scale(scale, offset):
  who, *_ = _labels()
  x = np.random.default_rng(4).standard_normal((len(who), 16))
  x[:, 3] += 4 * (who - 1)
  problem = _problem(
    (scale * (x + offset)).astype(np.float32),
    cloud=_cloud_half,
    sensitive={'who': who},
  )
  (attack,) = transfer.attack(problem, _config(), 0)
  assert _test(problem, attack) >= 0.8


def test_features_are_scaled_for_fresh_weights_alone():
  x = 5 + 3 * np.random.default_rng(0).standard_normal((200, 7))
  mean, factor = transfer.scaling_of(jnp.asarray(x), trained=False)
  z = (x - mean) * factor
  np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-5)
  assert np.square(z).mean() == pytest.approx(1, abs=1e-5)
  mean, factor = transfer.scaling_of(jnp.asarray(x), trained=True)
  np.testing.assert_array_equal(mean, np.zeros(7))
  assert factor == 1
  # A constant is not blown up.
  assert transfer.scaling_of(jnp.ones((4, 7)), trained=False).factor == 1


def test_the_starts_of_the_transfer_attack():
  def make(classes):
    cloud = _cloud_half(classes)
    return dataclasses.replace(cloud, trained=cloud.fresh)

  who, *_ = _labels()
  x = np.random.default_rng(4).standard_normal((len(who), 16)) + 5
  problem = _problem(x.astype(np.float32), cloud=make, sensitive={'who': who})
  both = list(transfer.attack(problem, _config(), 0))
  assert [a.adversary for a in both] == [
    'transfer, fresh weights',
    "transfer, the cloud's weights",
  ]
  own = _config(starts=("the cloud's weights",))
  (one,) = transfer.attack(problem, own, 0)
  np.testing.assert_array_equal(one.test, both[1].test)
  # A cloud without weights of its own starts from fresh ones.
  bare = dataclasses.replace(problem, cloud=_cloud_half)
  (one,) = transfer.attack(bare, own, 0)
  assert one.adversary == 'transfer, fresh weights'


def test_without_a_cloud_half_there_is_no_transfer():
  assert list(transfer.attack(_problem(_features(7)), _config(), 0)) == []


def test_no_attack_changes_the_vectors():
  problem = _problem(_features(leak=1), np.eye(_DIM))
  before = problem.clean.copy()
  scored = jax.tree.map(np.copy, problem.evaluation_draws)
  for name in ON_VECTORS:
    _found(name, problem)
  np.testing.assert_array_equal(problem.clean, before)
  jax.tree.map(np.testing.assert_array_equal, problem.evaluation_draws, scored)
