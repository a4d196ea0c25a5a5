"""Chosen attacks learn again on all the data; recordings as a mixture."""

import dataclasses

import numpy as np
import pytest

from hybrid_jax.attacks import adversary, mixture
from hybrid_jax.measures import leakage
from hybrid_jax.metrics import attack_accuracy
from tests.measures import problems

KINDS = ('linear', 'mlp', 'knn', 'kde', 'mixture', 'trees')


def test_components_of_a_class_are_added_up():
  log_probs = np.log([[0.1, 0.4, 0.3, 0.2]])
  columns = np.array([2, 0, 2, 0])
  found = attack_accuracy.class_log_probs(log_probs, columns, 4)
  np.testing.assert_allclose(np.exp(found[0, [0, 2]]), [0.6, 0.4])
  # Classes without a component lose.
  assert found[0, [1, 3]].max() < np.log(0.4) - 49
  # What underflows still has its order.
  far = attack_accuracy.class_log_probs(
    np.array([-2000.0, -1000.0, 0.0]), np.array([0, 1, 2]), 3
  )
  np.testing.assert_array_equal(far, [-2000, -1000, 0])


def test_windows_of_a_recording_are_added_by_component():
  # Two recordings of class 0, one of class 1, two windows of one recording.
  # Each window alone is likelier under class 0: .5 + .1 > .45. Together the
  # one recording of class 1 explains both better: .45^2 > 2 (.5 x .1).
  log_probs = np.log([[[0.5, 0.1, 0.45], [0.1, 0.5, 0.45]]])
  columns = np.array([0, 0, 1])
  labels, recording = np.array([1, 1]), np.array([7, 7])
  figures = attack_accuracy.measure(log_probs, labels, recording, columns)
  assert figures['value'] == 0
  assert figures['per_recording']['value'] == 1
  curve = attack_accuracy.WindowSets(recording, (1, 2)).figures(
    log_probs, labels, columns
  )
  assert [figures['value'] for figures in curve.values()] == [0, 1]
  # Added by class, as if independent given the class, they are class 0.
  by_class = attack_accuracy.class_log_probs(log_probs, columns, 2)
  figures = attack_accuracy.measure(by_class, labels, recording)
  assert figures['per_recording']['value'] == 0


def test_the_mixture_by_hand():
  # One dimension, noise of deviation 1: person 0 has recordings around 0 (two
  # windows) and 4 (four), person 1 around 2.
  clean = np.array([0, 0, 4, 4, 4, 4, 2, 2, 0, 2, 0, 3.0], np.float32)[:, None]
  problem = adversary.Problem(
    clean=clean,
    noise_scale=np.eye(1, dtype=np.float32),
    primary=np.zeros(12, int),
    sensitive={'who': np.array([0] * 6 + [1] * 2 + [0, 1, 0, 1])},
    recording=np.array([0, 0, 1, 1, 1, 1, 2, 2, 3, 4, 5, 6]),
    fold=np.array([0] * 8 + [1, 1, 2, 2]),
    draws=1,
  )
  config = leakage.settings(problems.config(), 'mixture')
  attacks = {a.adversary: a for a in mixture.attack(problem, config, 0)}
  attack = attacks['recordings 1, power 1, in units of noise']
  np.testing.assert_array_equal(attack.columns, [0, 0, 1])
  test = problem.evaluation_draws[2]
  want = -np.square(test - np.array([0.0, 4.0, 2.0])) / 2
  np.testing.assert_allclose(
    attack.test - attack.test[..., :1], want - want[..., :1], atol=1e-4
  )
  half = attacks['recordings 1, power 0.5, in units of noise']
  np.testing.assert_allclose(half.test, attack.test / 2)


@pytest.mark.parametrize('change', ['many', 'single'])
def test_the_mixture_needs_recordings_of_several_windows(change):
  problem = problems.problem(leak=1)
  config = problems.config()
  if change == 'many':
    config.mixture.most = 10
  else:
    problem = dataclasses.replace(problem, recording=np.arange(600))
  settings = leakage.settings(config, 'mixture')
  assert list(mixture.attack(problem, settings, 0)) == []


@pytest.fixture(scope='module')
def choices():
  """A problem whose training fold has nothing to learn from, and validation.

  Training windows are collapsed to a point, as a defence may do.
  """
  problem = problems.problem(leak=2)
  clean = np.where(problem.fold[:, None] == 0, 0, problem.clean)
  problem = dataclasses.replace(problem, clean=clean.astype(np.float32))
  config = problems.config()
  config.adversaries = KINDS
  every = leakage.run_adversaries(problem, KINDS, config, 0)['who']
  best = [attack for _, attack in every.best_of_kind['window'].values()]
  return problem, config, best, leakage.relearn(problem, best, config, 0)


def test_all_kinds_learn_again_from_validation(choices):
  problem, _, best, again = choices
  truth = problem.sensitive['who'][problem.rows(2)]
  assert {a.kind for a in best} == {*KINDS, ''}
  for attack in best:
    learnt = again(attack)
    assert (learnt.adversary, learnt.attribute) == (
      attack.adversary,
      attack.attribute,
    )
    first, second = (
      attack_accuracy.correct_windows(a.test, truth, a.columns).mean()
      for a in (attack, learnt)
    )
    assert first < 0.25, attack.adversary
    assert second > 0.5, attack.adversary


def test_heads_learn_again_for_as_long_as_they_were_best(choices):
  _, config, best, again = choices
  chunks = {a.adversary: a.chunks for a in best if a.kind in ('linear', 'mlp')}
  assert all(1 <= c <= config.heads.max_chunks for c in chunks.values())
  for attack in best:
    if attack.kind in ('linear', 'mlp'):
      assert again(attack).chunks == attack.chunks


def test_both_figures_are_kept(choices):
  problem, config, _, _ = choices
  found = leakage.measure(problem, config, 0)['who']
  before = found['training_fold_only']
  assert found['value'] > before['value'] + 0.2
  assert before['low'] <= before['value'] <= before['high']
  assert found['per_recording']['value'] > before['per_recording']['value']


def test_the_best_of_a_curve_learns_again(choices):
  problem, config, _, _ = choices
  first, again = (
    leakage.measure_best(problem, ('kde', 'trees'), config, 0, again)['who']
    for again in (False, True)
  )
  assert first['adversary'] == again['adversary']
  assert first['validation'] == again['validation']
  assert again['value'] > first['value'] + 0.2


def test_learning_again_has_the_rows_of_both_folds():
  problem = problems.problem(leak=1)
  releases = {
    0: np.tile(problem.clean[problem.rows(0)], (3, 1, 1)),
    1: np.tile(problem.clean[problem.rows(1)], (2, 1, 1)),
  }
  again = dataclasses.replace(problem, device_releases=releases).relearn([])
  np.testing.assert_array_equal(again.rows(0), problem.fold != 2)
  np.testing.assert_array_equal(again.rows(1), problem.fold == 1)
  copies = again.copies(0, 4, 0)
  assert copies.shape == (2, 450, problems.DIM)
  np.testing.assert_array_equal(copies[1], problem.clean[problem.fold != 2])
  assert not again.wants('linear', 'who')
  assert problem.wants('linear', 'who')
