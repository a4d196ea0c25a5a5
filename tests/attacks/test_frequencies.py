"""The attacker that counts, by hand and beside the best there can be."""

import ml_collections
import numpy as np
import pytest

from hybrid_jax.attacks import adversary, frequencies

_TRAIN, _TEST = 0, 2


def _problem(answer, who, fold, noise_scale=None):
  n = len(answer)
  return adversary.Problem(
    clean=np.eye(int(answer.max()) + 1, dtype=np.float32)[answer],
    noise_scale=noise_scale,
    primary=answer,
    sensitive={'who': who},
    recording=np.arange(n),
    fold=fold,
    draws=1,
  )


def _attack(problem, *pseudo_counts):
  config = ml_collections.ConfigDict({'pseudo_counts': pseudo_counts})
  return list(frequencies.attack(problem, config, 0))


def test_the_table_by_hand():
  # Person 0 has the answers 0, 0, 1 in training, and person 1 has 1; answer 2
  # does not occur there.
  answer = np.array([0, 0, 1, 1, 0, 0, 1, 2])
  who = np.array([0, 0, 0, 1, 0, 0, 0, 1])
  fold = np.array([0, 0, 0, 0, 1, 2, 2, 2])
  (attack,) = _attack(_problem(answer, who, fold), 1.0)
  expected = [
    [3 / 4 * 3 / 6, 1 / 4 * 1 / 4],
    [3 / 4 * 2 / 6, 1 / 4 * 2 / 4],
    [3 / 4 * 1 / 6, 1 / 4 * 1 / 4],
  ]
  np.testing.assert_allclose(np.exp(attack.test[0]), expected, rtol=1e-5)
  np.testing.assert_allclose(
    np.exp(attack.validation[0]), expected[:1], rtol=1e-5
  )
  assert attack.adversary == 'frequencies, pseudo-count 1'


def test_it_is_nearly_the_best_there_can_be():
  """People whose answers are drawn from known laws."""
  rng = np.random.default_rng(0)
  laws = rng.dirichlet(np.ones(10), 8)
  who = np.repeat(np.arange(8), 1500)
  answer = np.array([rng.choice(10, p=laws[p]) for p in who])
  fold = np.arange(len(who)) % 3
  problem = _problem(answer, who, fold)
  accuracies = [
    (attack.test[0].argmax(axis=-1) == who[fold == _TEST]).mean()
    for attack in _attack(problem, 0.1, 1.0)
  ]
  bayes = laws.max(axis=0).sum() / 8
  assert accuracies == pytest.approx([bayes] * 2, abs=0.02)


def test_many_or_noisy_vectors_are_left_to_others():
  answer, who = np.arange(900) % 300, np.arange(900) % 2
  fold = np.arange(900) // 300
  assert not _attack(_problem(answer, who, fold), 1.0)
  few = answer % 4
  assert _attack(_problem(few, who, fold), 1.0)
  assert not _attack(_problem(few, who, fold, np.eye(4)), 1.0)
