import dataclasses

import numpy as np
import pytest

from hybrid_jax.attacks import adversary
from hybrid_jax.measures import (
  attacker_data,
  ceiling,
  leakage,
  ranked_attacks,
  ranks,
  releases,
)
from hybrid_jax.metrics import attack_accuracy
from tests.measures import problems

ALL_KINDS = {*problems.config().adversaries, 'committee'}


@pytest.fixture(scope='module')
def config():
  return problems.config()


@pytest.fixture(scope='module')
def random(config):
  problem = problems.problem(leak=0)
  return problem, leakage.measure(problem, config, 0)['who']


@pytest.fixture(scope='module')
def planted(config):
  problem = problems.problem(leak=8)
  return problem, leakage.measure(problem, config, 0)['who']


def test_random_vectors_are_at_chance(random):
  _, found = random
  assert found['by_kind'].keys() == ALL_KINDS
  for figures in (found, *found['by_kind'].values()):
    assert figures['chance'] == pytest.approx(0.1)
    assert figures['low'] <= 0.1
    assert figures['value'] < 0.2


def test_a_planted_identity_is_found_by_every_kind(planted):
  _, found = planted
  for kind, figures in found['by_kind'].items():
    if kind != 'majority':
      assert figures['value'] > 0.95
      assert figures['advantage'] == pytest.approx(figures['value'] - 0.1)
  assert found['value'] > 0.95
  assert found['validation'] == max(
    figures['validation'] for figures in found['by_kind'].values()
  )
  # Majority; views x trials twice; views x neighbours; views x bandwidths;
  # views x bandwidths x powers; two forests; and five committees.
  assert found['tried'] == 1 + 2 * (2 * 2) + 3 * 2 + 3 * 2 + 3 * 1 * 2 + 2 + 5
  for group in ('recording', 'class'):
    by_windows = found['by_windows'][group]
    # A recording has 5 windows and a person 15; none has a thousand.
    assert by_windows.keys() == {'1', '4'}
    assert by_windows['4']['value'] > 0.95
    assert by_windows['1']['groups'] == {'recording': 30, 'class': 10}[group]


def _attack(name, on_validation, on_test):
  logs = (np.log(np.array([p])) for p in (on_validation, on_test))
  return adversary.Attack(name, 'who', *logs)


def test_the_committee_averages_probabilities():
  one = _attack('one', [[0.6, 0.4]], [[0.9, 0.1]])
  two = _attack('two', [[0.1, 0.9]], [[0.2, 0.8]])
  found, thrice = ranked_attacks.committees(
    {'both': [one, two], 'one twice': [one, two, one]}
  )
  np.testing.assert_allclose(np.exp(found.test[0, 0]), [0.55, 0.45], atol=1e-5)
  np.testing.assert_allclose(
    np.exp(found.validation[0, 0]), [0.35, 0.65], atol=1e-5
  )
  np.testing.assert_allclose(np.exp(thrice.test[0, 0]), [2 / 3, 1 / 3], 1e-4)
  assert thrice.members == (one, two, one)


def test_the_best_at_a_window_need_not_be_the_best_at_a_recording():
  labels, recording = np.zeros(4, int), np.array([0, 0, 1, 1])
  # Correct in three windows, but so certain in the fourth that the recording
  # is wrong.
  hasty = _attack('hasty', [[0.6, 0.4]] * 3 + [[0.1, 0.9]], [[0.5, 0.5]] * 4)
  patient = _attack('patient', [[0.9, 0.1], [0.4, 0.6]] * 2, [[0.5, 0.5]] * 4)
  ranked = ranked_attacks.RankedAttacks(
    labels, attack_accuracy.RecordingParts(recording)
  )
  for attack in (hasty, patient):
    ranked.add('kind', attack)
  assert ranked.best_of_kind['window']['kind'] == (0.75, hasty)
  assert ranked.best['recording'][0][1] is patient
  assert ranked.tried == 2


def test_committees_have_the_best_by_either_score():
  labels, recording = np.zeros(4, int), np.array([0, 0, 1, 1])
  good = _attack('good', [[0.9, 0.1]] * 4, [[0.8, 0.2]] * 4)
  poor = _attack('poor', [[0.3, 0.7]] * 4, [[0.4, 0.6]] * 4)
  ranked = ranked_attacks.RankedAttacks(
    labels, attack_accuracy.RecordingParts(recording)
  )
  ranked.add('one', poor)
  ranked.add('two', good)
  assert [a for _, a in ranked.best['window']] == [good, poor]
  names = [committee.adversary for committee in ranked.committees()]
  assert names == [
    'committee of the best of each kind at one window',
    'committee of the best 2 at one window',
    'committee of the best of each kind at one recording',
    'committee of the best 2 at one recording',
    'committee of the best of every choice',
  ]
  # The good one is always right, and gets sharper; the poor one is always wrong
  # and gets blunter: as far as the temperatures of 1/8 and 16 go.
  sharp, blunt = np.array([0.8, 0.2]) ** 8, np.array([0.4, 0.6]) ** (1 / 16)
  want = (sharp / sharp.sum() + blunt / blunt.sum()) / 2
  for committee in ranked.committees():
    np.testing.assert_allclose(
      np.exp(committee.test), np.tile(want, (1, 4, 1)), atol=1e-5
    )


def test_classes_missing_in_a_part_of_the_data(config):
  problem = problems.problem(leak=4)
  # The first part of one long recording has only a few people.
  single = dataclasses.replace(problem, recording=np.zeros(600, int))
  found = attacker_data.measure(single, config, 0)['who']['by_share']
  values = [figures['value'] for figures in found.values()]
  assert values == sorted(values)
  assert values[0] < 0.9 < values[-1]


def test_ranks_at_chance_and_at_once(random, planted, config):
  found = ranks.measure(random[0], config, 0)
  who = found['classes']['who']
  assert who['chance_mean_rank'] == pytest.approx(11 / 20)
  assert who['mean_rank']['low'] <= 0.55 <= who['mean_rank']['high']
  assert who['nearest_error'] == pytest.approx(0.9, abs=0.08)
  # Without noise each vector is nearest to itself.
  assert found['linkage']['candidates'] == 150
  assert found['linkage']['mean_rank']['value'] == pytest.approx(1 / 150)
  assert found['linkage']['chance_mean_rank'] == pytest.approx(151 / 300)
  who = ranks.measure(planted[0], config, 0)['classes']['who']
  assert who['mean_rank']['value'] == pytest.approx(0.1, abs=0.005)
  assert who['nearest_error'] < 0.05


def test_ranks_use_evenly_spaced_items(config):
  few = problems.config()
  few.measures.ranks.max_items = 30
  noisy = problems.problem(leak=0, noise=100.0)
  found = ranks.measure(noisy, few, 0)
  assert found['linkage']['candidates'] == 30
  figures = found['linkage']['mean_rank']
  assert figures['low'] <= 31 / 60 <= figures['high']


def test_the_ceiling_of_a_planted_identity_is_one(planted, config):
  problem, found = planted
  assert ceiling.measure(problem, config, 0)['who']['value'] == 1
  noisy = dataclasses.replace(problem, noise_scale=np.eye(4, dtype='f'))
  top = ceiling.measure(noisy, config, 0)['who']
  assert top['value'] >= found['value'] - 0.01
  assert top['value'] > 0.95


@pytest.mark.parametrize('noise', [1.5, 3.0])
def test_no_attacker_passes_the_ceiling(noise, config):
  problem = problems.problem(leak=0.7, noise=noise)
  kinds = ('kde', 'trees')
  right = leakage.measure_best(problem, kinds, config, 0)['who']
  found = ceiling.measure(problem, config, 0)['who']
  assert found['value'] >= right['value']
  assert right['low'] <= found['value'] <= found['high']
  curve = found['by_releases']
  assert list(curve) == ['1', '4', '16', '64']
  assert curve['1'] == {'value': found['value'], 'high': found['high']}
  values = [one['value'] for one in curve.values()]
  assert values == sorted(values)
  assert values[0] < values[-1] == 1
  if noise == 3:
    assert found['value'] < 0.75


def test_the_ceiling_is_in_units_of_the_noise(config):
  problem = problems.problem(leak=0.7, noise=2.0)
  matrix = np.array(
    [[1, 0, 0, 0], [0.5, 2, 0, 0], [0, 1, 0.3, 0], [0, 0, 1, 3]], np.float32
  )
  turned = dataclasses.replace(
    problem,
    clean=problem.clean @ matrix.T,
    noise_scale=matrix @ problem.noise_scale,
  )
  one, other = (ceiling.measure(p, config, 0)['who'] for p in (problem, turned))
  assert one['value'] == pytest.approx(other['value'], abs=1e-3)


def test_without_noise_one_release_has_all_information(config):
  # Pairs of people send one vector each. A person's share of each primary
  # class is 2 of 5 windows or 3, and the other's is 3 or 2.
  problem = problems.problem(leak=0)
  who = problem.sensitive['who']
  same = dataclasses.replace(
    problem, clean=problems.CODE[who // 2].astype(np.float32)
  )
  found = ceiling.measure(same, config, 0)['who']
  assert found['value'] == pytest.approx(0.6)
  assert {one['value'] for one in found['by_releases'].values()} == {
    found['value']
  }
  assert releases.measure(same, config, 0) is None


def test_more_releases_leak_more():
  config = problems.config()
  config.measures.releases.update(
    {'counts': (256, 1, 16), 'adversaries': ('kde',), 'limit': 0.2}
  )
  problem = problems.problem(leak=1.5, noise=16.0)
  found = releases.measure(problem, config, 0)['who']
  assert list(found['by_count']) == ['1', '16', '256']
  one, some, many = found['by_count'].values()
  assert one['low'] <= 0.2
  assert one['value'] < some['value'] < many['value'] - 0.1
  assert many['advantage'] > 0.2
  assert found['limit'] == 0.2
  want = 16 if some['advantage'] <= 0.2 else 1
  assert found['budget'] == want


@pytest.mark.parametrize(
  ('advantages', 'budget'),
  [
    ([0.2, 0.3, 0.4], 0),
    ([0.05, 0.1, 0.3], 4),
    ([0.05, 0.2, 0.05], 1),  # Once exceeded, always exceeded.
    ([0.0, 0.1, 0.1], None),
  ],
)
def test_the_budget_by_hand(advantages, budget):
  curve = {
    count: {'advantage': value}
    for count, value in zip(('1', '4', '16'), advantages, strict=True)
  }
  assert releases.budget(curve, 0.1) == budget
