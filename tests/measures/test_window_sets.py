"""Attackers that see sets of windows."""

import dataclasses

import numpy as np
import pytest

from hybrid_jax.attacks import adversary
from hybrid_jax.measures import leakage, window_sets
from hybrid_jax.metrics import attack_accuracy
from hybrid_jax.study import compile_timer
from tests.measures import problems

_WINDOWS = 16  # of a recording


def _spread_problem(noise=None):
  """Two people whose single windows have one law, N(0, 1).

  The windows of a recording of one person are around a point that is drawn for
  the recording, with a variance of 0.1; those of the other have 0.9. So the
  variance of several windows of a recording tells the person.
  """
  rng = np.random.default_rng(0)
  recordings = 3 * 2 * 30
  of_recording = np.arange(recordings)
  who = of_recording % 2
  variance = np.array([0.1, 0.9])[who]
  centre = np.sqrt(1 - variance) * rng.standard_normal((2, recordings))
  spread = np.sqrt(variance)[:, None, None]
  clean = centre.T[:, None] + spread * rng.standard_normal(
    (recordings, _WINDOWS, 2)
  )
  recording = np.repeat(of_recording, _WINDOWS)
  return adversary.Problem(
    clean=clean.reshape(-1, 2).astype(np.float32),
    noise_scale=None if noise is None else noise * np.eye(2, dtype='f'),
    primary=np.arange(len(recording)) % 2,
    sensitive={'who': who[recording]},
    recording=recording,
    fold=recording // 2 % 3,
    draws=2,
  )


def _config(kinds):
  config = problems.config()
  config.adversaries = ('linear', 'kde')
  config.windows = (1, 4, 16)
  config.sets.adversaries = config.sets.recording_adversaries = kinds
  config.sets.counts = (4, 16)
  return config


@pytest.fixture(scope='module')
def results():
  problem = _spread_problem(noise=0.2)
  return {
    kinds: leakage.measure(problem, _config(kinds), 0)['who']
    for kinds in ((), ('discriminant',))
  }


def test_the_variance_of_a_set_tells_the_person(results):
  added, sets = results[()], results['discriminant',]
  assert added['value'] == sets['value'] < 0.6
  curves = [r['by_windows']['recording'] for r in (added, sets)]
  assert curves[0]['1'] == curves[1]['1']
  assert curves[0]['16']['value'] < 0.75
  assert curves[1]['16']['value'] > 0.95
  assert curves[1]['4']['value'] > curves[0]['4']['value'] + 0.1
  assert curves[1]['16']['adversary'].endswith('of sets')
  assert curves[1]['16']['groups'] == 60


def test_whole_recordings_are_sets_too(results):
  added, sets = (
    results[kinds]['per_recording'] for kinds in ((), ('discriminant',))
  )
  assert added['value'] < 0.75
  assert sets['value'] > 0.95
  assert sets['adversary'].endswith('of sets')
  assert sets['validation'] > added['validation']
  # It learnt from the training fold alone before.
  first = results['discriminant',]['training_fold_only']['per_recording']
  assert first['low'] <= first['value'] <= first['high']
  assert first['value'] > 0.9


def test_windows_of_a_person_from_any_recording_are_alike(results):
  curve = results['discriminant',]['by_windows']['class']
  assert curve['16']['low'] < 0.8
  assert curve['16']['groups'] == 2


def test_the_statistics_by_hand():
  problem = problems.problem(leak=0)
  statistics = window_sets._Statistics(problem)
  view = problem.views['within']
  train = problem.rows(0)
  released = np.stack([problem.clean, 2 * problem.clean])
  z = view(released).reshape(1200, -1)
  centres = np.stack(
    [
      view(problem.clean)[train & (problem.primary == y)].mean(axis=0)
      for y in range(2)
    ]
  )
  rows = np.array([3, 700, 20])
  nearest = np.square(z[rows, None] - centres).sum(axis=2).argmin(axis=1)
  rest = z[rows] - centres[nearest]
  values = np.concatenate([z[rows], rest], axis=1)
  of_one = [rest[nearest == y].sum(axis=0) / 3 for y in range(2)]
  answers = np.concatenate([np.bincount(nearest, minlength=2) / 3, *of_one])
  spread = np.concatenate([values.mean(axis=0), values.std(axis=0)])
  sets = attack_accuracy.Sets(np.array([*rows, 8]), np.array([0, 3, 4]))
  found = statistics.of_sets(statistics.of_windows(released), sets)
  np.testing.assert_allclose(found['spread'][0], spread, atol=1e-5)
  np.testing.assert_allclose(found['answers'][0], answers, atol=1e-5)
  # One window has no spread.
  np.testing.assert_array_equal(found['spread'][1, 8:], 0)


def test_sets_are_of_one_group_and_as_large_as_they_can_be():
  label = np.repeat([0, 1, 1], [3, 10, 6])
  problem = dataclasses.replace(
    problems.problem(leak=0, n=19),
    sensitive={'who': label},
    recording=np.repeat([0, 1, 2], [3, 10, 6]),
    fold=np.zeros(19, int),
  )
  windows = window_sets._Windows(problem, 'who', 'recording', 0)
  rng = np.random.default_rng(0)
  sets = windows.draw(2, 5, 30, rng)
  assert set(sets.sizes) == {5}
  groups = windows.groups(sets)
  assert np.bincount(groups).tolist() == [0, 15, 15]
  for i, rows in enumerate(np.split(sets.rows, sets.starts[1:-1])):
    assert len(set(rows)) == 5
    assert len(set(rows // 19)) == 1
    assert set(problem.recording[rows % 19]) == {groups[i]}
  assert set(sets.rows // 19) == {0, 1}
  # If no recording has so many, sets have all windows.
  assert set(windows.draw(1, 50, 30, rng).sizes) == {3, 6, 10}
  # Parts of all sizes, but a quarter at least.
  parts = windows.draw(1, 0, 90, rng)
  assert {2, 3} <= set(parts.sizes[windows.groups(parts) == 0])
  assert set(parts.sizes[windows.groups(parts) == 1]) == set(range(3, 11))
  np.testing.assert_array_equal(
    windows.labels(parts), windows.groups(parts) > 0
  )


def test_adversaries_may_yield_no_attack():
  config = _config(('mixture',))
  config.mixture.most = 1
  settings = {'mixture': leakage.settings(config, 'mixture')}
  problem = _spread_problem()
  sets = attack_accuracy.WindowSets(problem.recording[problem.rows(1)], [4])
  choice = window_sets.Attacker(problem, settings, 0).choose(
    'who', 'recording', 4, sets.sets(4, 1), ['mixture']
  )
  assert choice.score == 0


def test_all_numbers_of_windows_share_their_programs():
  config = _config(('linear', 'kde', 'discriminant'))
  config.heads.chunk = config.heads.max_chunks = 2
  settings = {
    kind: leakage.settings(config, kind) for kind in config.sets.adversaries
  }
  problem = _spread_problem()
  held = problem.recording[problem.rows(1)]

  def attack(count, n):
    part = attack_accuracy.WindowSets(held[:n], [count]).sets(count, 1)
    attacker = window_sets.Attacker(problem, settings, 0)
    choice = attacker.choose('who', 'recording', count, part, list(settings))
    for again in (False, True):
      attacker.test('who', 'recording', count, part, choice, again)

  attack(4, 960)
  timer = compile_timer.CompileTimer()
  attack(16, 960)
  attack(8, 480)
  assert timer.programs == []


def test_a_common_class_does_not_win_by_its_share():
  # Three quarters of the windows are of person 0. A window tells little, so
  # that it is best to name person 0 always; many windows tell who it is.
  rng = np.random.default_rng(0)
  recording = np.repeat(np.arange(48), 16 * np.array([3, 1] * 24))
  who = recording % 2
  problem = adversary.Problem(
    clean=rng.normal(0.6 * who[:, None], 1, (len(who), 1)).astype(np.float32),
    noise_scale=None,
    primary=np.arange(len(who)) % 2,
    sensitive={'who': who},
    recording=recording,
    fold=recording // 2 % 3,
    draws=1,
  )
  config = _config(())
  config.adversaries, config.windows = ('majority', 'linear'), (1, 16, 64)
  found = leakage.measure(problem, config, 0)['who']
  assert found['value'] < 0.8
  assert found['chance'] == 0.75
  assert found['by_windows']['class']['64']['value'] > 0.85
  assert found['per_recording']['value'] > 0.75
  # Nine of ten recordings that attackers learn from are of person 0: without
  # any other knowledge, all recordings are named so.
  left_out = (problem.fold == 0) & (recording % 16 > 1) & (who == 1)
  rare = dataclasses.replace(problem, fold=np.where(left_out, -1, problem.fold))
  config.adversaries = ('majority',)
  correct, truth = leakage.choose(rare, config, 0)['who'].by_recording()
  np.testing.assert_array_equal(correct, truth == 0)


def test_the_attack_for_many_windows_is_good_with_fewer_too(monkeypatch):
  problem = problems.problem(leak=0)
  lucky, steady = (
    adversary.Attack(name, 'who', np.full((1, 1, 1), i), np.zeros((1, 1, 1)))
    for i, name in enumerate(('lucky', 'steady'))
  )
  curves = [
    {1: 0.9, 4: 0.1, 16: 0.2, 64: 0.7},
    {1: 0, 4: 0.3, 16: 0.5, 64: 0.6},
  ]

  class Sets:
    def __init__(self, group, counts):
      pass

    def values(self, log_probs, labels, columns, prior):
      return curves[int(log_probs[0, 0, 0])]

  class Ranked:
    def candidates(self):
      return [lucky, steady]

  monkeypatch.setattr(attack_accuracy, 'WindowSets', Sets)
  found = leakage._best_by_windows(Ranked(), problem, 'who', (1, 4, 64, 256))
  chosen = {k: (score, a.adversary) for (_, k), (score, a) in found.items()}
  assert chosen == {
    1: (0.9, 'lucky'),
    4: (0.1, 'lucky'),  # 1 and 4 count.
    64: (0.6, 'steady'),  # 16 and 64 count.
    256: (0.6, 'steady'),  # Validation has no set of 256.
  }


def test_the_prior_is_removed_once_for_each_window():
  attack = adversary.Attack(
    'a',
    'who',
    *(np.log([[[0.8, 0.2]]]) for _ in range(2)),
    log_prior=np.log([0.9, 0.1]),
  )
  np.testing.assert_allclose(
    np.exp(attack.likelihoods('test')), [[[0.8 / 0.9, 2]]]
  )
  # Likelihoods of 8/9 and 2: class 1, but for a prior of 9/10 for class 0.
  logs, label = attack.likelihoods('test'), np.array([1])
  for prior, right in ((None, 1), (np.log([0.9, 0.1]), 0)):
    correct, _ = attack_accuracy.per_recording(logs, label, label, None, prior)
    assert correct == right
    sets = attack_accuracy.WindowSets(label, [1])
    assert sets.values(logs, label, None, prior) == {1: right}
    parts = attack_accuracy.RecordingParts(label)
    assert parts.accuracy(logs, label, None, prior) == right
