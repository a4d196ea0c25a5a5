"""Attackers with more knowledge than vectors, or with fewer vectors."""

import dataclasses

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from hybrid_jax.attacks import adversary, decensor, mlp, transfer
from hybrid_jax.measures import (
  attacker_data,
  leakage,
  measurement,
  reconstruction,
)
from hybrid_jax.metrics import attack_accuracy
from hybrid_jax.models import perceptron
from hybrid_jax.training import heads
from tests.measures import problems


def test_the_first_part_by_hand():
  recording = np.array([7, 7, 7, 7, 3, 3, 3, 3, 7, 5])
  fold = np.array([0, 0, 0, 0, 0, 0, 1, 2, 0, 0])
  # Recording 7 keeps 2 of 5 (2.5, rounded to even), 3 keeps 1 of 2, 5 keeps 1.
  found = attacker_data.first_part(fold, recording, 0.5)
  np.testing.assert_array_equal(found, [0, 0, -1, -1, 0, -1, 1, 2, -1, 0])
  # At least one example stays.
  found = attacker_data.first_part(fold, recording, 0.01)
  np.testing.assert_array_equal(found, [0, -1, -1, -1, 0, -1, 1, 2, -1, 0])
  found = attacker_data.first_part(fold, recording, 1.0)
  np.testing.assert_array_equal(found, fold)
  np.testing.assert_array_equal(fold, [0, 0, 0, 0, 0, 0, 1, 2, 0, 0])


def test_more_data_is_more_leakage():
  config = problems.config()
  config.measures.attacker_data.update(
    {'shares': (1.0, 0.2), 'adversaries': ('kde',)}
  )
  problem = problems.problem(leak=0.8)
  found = attacker_data.measure(problem, config, 0)['who']['by_share']
  assert list(found) == ['0.2', '1']
  assert [one['examples'] for one in found.values()] == [60, 300]
  assert found['0.2']['value'] < found['1']['value']


def test_measures_by_split_point():
  config = ml_collections.ConfigDict(
    {
      'measures': {
        'releases': {'split_points': ('dense1',)},
        'ceiling': {'resamples': 3},
        'leakage': {},
      }
    }
  )
  everywhere = ('leakage', 'ceiling')
  assert measurement.names(config, 'conv1') == everywhere
  assert measurement.names(config, 'dense1') == (*everywhere, 'releases')
  assert measurement.names(config) == (*everywhere, 'releases')


def _best(problem, attacks):
  truth = problem.sensitive['who'][problem.rows(2)]
  return max((a.test.argmax(-1) == truth).mean() for a in attacks)


def test_two_attacks_need_knowledge_of_the_network():
  problem, config = problems.problem(leak=8), problems.config()
  assert list(decensor.attack(problem, config, 0)) == []
  assert list(transfer.attack(problem, config, 0)) == []


def test_mapped_vectors_are_attacked():
  rng = np.random.default_rng(2)
  hidden, _ = np.linalg.qr(rng.standard_normal((4, 4)))
  problem = problems.problem(leak=6, noise=0.5)
  problem = dataclasses.replace(
    problem, uncensored=(problem.clean @ hidden).astype(np.float32)
  )
  config = problems.config()
  settings = leakage.settings(config, 'decensor')
  attacks = list(decensor.attack(problem, settings, 0))
  assert len(attacks) == 2 * config.heads.trials
  assert len({a.adversary for a in attacks}) == 2 * config.heads.trials
  for a in attacks:
    assert a.attribute == 'who'
    for found in (a.validation, a.test):
      assert found.shape == (2, 150, 10)
      assert np.isfinite(found).all()
  # Chance is 0.1. Of six seeds the first was at 0.89 to 0.99, the other at
  # 0.97 and more.
  for which, bound in (('uncensored', 0.85), ('mapped', 0.95)):
    assert _best(problem, [a for a in attacks if which in a.adversary]) > bound


def _cloud_half(classes):
  def apply(params, x):
    return x @ params['kernel']

  def fresh(key):
    return {'kernel': 0.1 * jax.random.normal(key, (4, classes))}

  return adversary.TrainableCloud(fresh, apply)


def test_the_cloud_half_is_trained_for_the_label():
  problem = problems.problem(leak=4, noise=0.5, cloud=_cloud_half)
  (attack,) = transfer.attack(
    problem, leakage.settings(problems.config(), 'transfer'), 0
  )
  assert attack.adversary == 'transfer, fresh weights'
  assert attack.test.shape == (2, 150, 10)
  np.testing.assert_allclose(np.exp(attack.test).sum(axis=-1), 1, rtol=1e-4)
  assert _best(problem, [attack]) > 0.95


def _settings(widths):
  count = len(widths)
  zeros = np.zeros(count, int)
  return heads.HeadSettings(
    zeros,
    zeros,
    np.arange(count),
    np.full(count, 1e-2),
    np.full(count, 1e-3),
    np.array(widths),
  )


def _check_active_units(params, members):
  """Checks the active units of layers of 16 and 8: half, all, a quarter."""
  for layer, size in ((0, 16), (1, 8)):
    kernel, bias = (np.asarray(a) for a in params[layer])
    active = np.abs(kernel).max(axis=1) > 0
    want = [size // 2, size, size // 4][:members]
    np.testing.assert_array_equal(active.sum(axis=1), want)
    # Inactive units put nothing out: their bias is 0.
    assert (bias[~active] == 0).all()
    yield active, bias


def test_inactive_units_stay_inactive():
  start = jax.jit(
    jax.vmap(
      lambda width: perceptron.init(jax.random.key(0), (4, 16, 8, 10), width)
    )
  )(jnp.array([0.5, 1.0, 0.25]))
  list(_check_active_units(start, 3))
  problem, config = problems.problem(leak=2), problems.config()
  data, _ = mlp.head_data(problem, ['standardised'])
  trained, _ = heads.train(data, _settings([0.5, 1.0]), (16, 8), config.heads)
  for active, bias in _check_active_units(trained, 2):
    assert np.abs(bias[active]).min() > 0


def test_weights_are_scaled_to_the_active_units():
  half, whole = (
    np.asarray(perceptron.init(jax.random.key(1), (4, 64, 64, 3), width)[1][0])
    for width in (0.5, 1.0)
  )
  assert half[:32, :32].std() == pytest.approx(np.sqrt(2 / 32), rel=0.1)
  assert whole.std() == pytest.approx(np.sqrt(2 / 64), rel=0.1)


def test_trials_draw_settings_except_the_first():
  config = problems.config()
  config.heads.trials = 40
  settings = mlp.head_settings(2, 3, config.heads, seed=5)
  assert len(settings.seed) == 2 * 3 * 40
  assert set(zip(settings.view, settings.label, strict=True)) == {
    (v, k) for v in range(2) for k in range(3)
  }
  first = settings.seed == 5000
  assert first.sum() == 6
  assert (settings.rate[first] == config.heads.learning_rate).all()
  assert (settings.decay[first] == config.heads.weight_decay).all()
  assert (settings.width[first] == 1).all()
  rate = settings.rate[:40] / config.heads.learning_rate
  decay = settings.decay[:40] / config.heads.weight_decay
  assert len(np.unique(rate)) == len(np.unique(decay)) == 40
  for factor, most in ((rate, 4), (decay, 30)):
    assert 1 / most <= factor.min() < most**-0.5
    assert most**0.5 < factor.max() <= most
  assert set(settings.width) == {0.25, 0.5, 1.0}
  other = mlp.head_settings(2, 3, config.heads, seed=6)
  assert np.abs(other.rate[1:40] - settings.rate[1:40]).min() > 0


def test_windows_by_hand():
  # Group 1 has three windows, 2 correct; group 2 has two, none correct.
  shares = np.array(
    [[0.9, 0.1], [0.6, 0.4], [0.4, 0.6], [0.6, 0.4], [0.7, 0.3]]
  )
  labels, group = np.array([0, 0, 0, 1, 1]), np.array([1, 1, 1, 2, 2])
  logs = np.log(shares)[None]
  found = attack_accuracy.WindowSets(group, (1, 2, 3, 4), repeats=3000).figures(
    logs, labels
  )
  assert found.keys() == {'1', '2', '3'}
  assert found['1']['value'] == pytest.approx((2 / 3 + 0) / 2, abs=0.02)
  assert found['2']['groups'] == found['1']['groups'] == 2
  # Two windows of group 1 are always correct: the tie of 0.6 * 0.4 with
  # 0.4 * 0.6 goes to class 0, the first. Two of group 2 never are.
  assert found['2']['value'] == pytest.approx(1 / 2, abs=0.01)
  # Only group 1 has three windows; they are correct, and so is chance.
  assert found['3']['groups'] == 1
  assert found['3']['value'] == found['3']['chance'] == 1


def test_a_weak_consistent_signal_adds_up():
  rng = np.random.default_rng(3)
  labels = np.repeat(np.arange(20) % 2, 64)
  score = rng.standard_normal((2, 1280)) + 0.3 * (2 * labels - 1)
  logs = np.stack([-score, score], axis=-1)
  found = attack_accuracy.WindowSets(np.arange(1280) // 64, (1, 8, 64)).figures(
    logs, labels
  )
  one, some, all_of_it = (found[k]['value'] for k in ('1', '8', '64'))
  # Phi(0.3 sqrt k): 62 %, 80 % and 99 %.
  assert one == pytest.approx(0.62, abs=0.05)
  assert some == pytest.approx(0.80, abs=0.06)
  assert all_of_it > 0.95
  # For one window it is the mean, since the groups have equal sizes.
  assert one == pytest.approx(((score > 0) == labels).mean(), abs=0.04)


def test_reconstruction_is_measured_beside_the_class_mean():
  rng = np.random.default_rng(4)
  problem, config = problems.problem(leak=0), problems.config()
  assert reconstruction.measure(problem, config, 0) is None
  x = rng.standard_normal((600, 1, 6, 2)).astype(np.float32)
  matrix = jnp.asarray(rng.standard_normal((12, 12)), jnp.float32)

  def edge(x):
    return x.reshape(len(x), -1) @ matrix

  known = dataclasses.replace(
    problem, clean=np.asarray(edge(x)), x=x, edge=edge
  )
  settings = config.measures.reconstruction
  settings.attacks, settings.pictures = ('decoder',), 4
  settings.decoder.update({'widths': (32,), 'steps': 150, 'every': 75})
  settings.decoder.learning_rate = 1e-2
  found = reconstruction.measure(known, config, 0)
  assert found['attacks'].keys() == {'class mean', 'decoder'}
  decoder, mean = (
    found['attacks'][name]['error']['overall']['value']
    for name in ('decoder', 'class mean')
  )
  assert mean == pytest.approx(1, abs=0.05)
  assert decoder < 0.5
  pictures = {name: np.array(a) for name, a in found['pictures'].items()}
  assert {a.shape for a in pictures.values()} == {(4, 1, 6, 2)}
  test = x[problem.rows(2)]
  np.testing.assert_allclose(pictures['original'], test[::37][:4], atol=6e-4)
