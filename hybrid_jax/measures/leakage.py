"""Accuracy of the best attacker on each sensitive label."""

from collections.abc import Iterable, Sequence

import jax
import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset
from hybrid_jax.metrics import attack_accuracy

_COMMITTEE_SIZE = 8


def measure(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> dict[str, dict]:
  """Runs all adversaries and reports the one that is best on validation.

  Args:
    problem: the attack problem.
    config: `adversaries`, their names; `windows`, the numbers of windows of one
      recording, or of one class, whose predictions are added up; and the
      settings of each adversary.
    seed: for all attackers.

  Returns:
    For each sensitive label the figures of `attack_accuracy.measure` on the
    test fold of the attacker that did best on validation, and

    * `adversary`, its name, and `validation`, its accuracy on validation;
    * `validation_chance`, chance on validation;
    * `tried`, the number of attackers;
    * `by_kind`, the same figures for the best attacker of each kind, with the
      committees as a kind of their own;
    * `per_recording`, of the attacker that did best on validation by
      `attack_accuracy.over_recordings`;
    * `by_windows`, see `attack_accuracy.by_windows`, of the attacker that did
      best on validation at each number of windows.
  """
  validation, test = (
    problem.rows(fold) for fold in (dataset.VALIDATION, dataset.TEST)
  )
  recording = problem.recording[test]
  out = {}
  for attribute, ranked in run_adversaries(
    problem, config.adversaries, config, seed
  ).items():
    labels = problem.sensitive[attribute][test]
    by_kind = {
      kind: {
        **attack_accuracy.per_window(attack.test, labels, recording),
        'validation': score,
        'adversary': attack.adversary,
      }
      for kind, (score, attack) in ranked.best_of_kind['window'].items()
    }
    # Of equal kinds the first in the config's order.
    best_kind = max(by_kind, key=lambda kind: by_kind[kind]['validation'])
    _, best = ranked.best_of_kind['window'][best_kind]
    recording_score, recording_best = ranked.best['recording'][0]
    recording_figures = attack_accuracy.measure(
      recording_best.test, labels, recording
    )
    out[attribute] = {
      **attack_accuracy.measure(best.test, labels, recording),
      'per_recording': recording_figures['per_recording']
      | {
        'adversary': recording_best.adversary,
        'validation': recording_score,
      },
      'adversary': by_kind[best_kind]['adversary'],
      'validation': by_kind[best_kind]['validation'],
      'validation_chance': attack_accuracy.chance(
        problem.sensitive[attribute][validation]
      ),
      'tried': ranked.tried,
      'by_kind': by_kind,
      'by_windows': {
        name: _by_windows(ranked, problem, attribute, group, config.windows)
        for name, group in (
          ('recording', problem.recording),
          ('class', problem.sensitive[attribute]),
        )
      },
    }
  return out


def measure_best(
  problem: adversary.Problem,
  kinds: Sequence[str],
  config: ml_collections.ConfigDict,
  seed: int,
) -> dict[str, dict]:
  """Measures the best attacker of some kinds, for one point of a curve.

  Args:
    problem: the attack problem.
    kinds: the names of the adversaries.
    config: see `measure`.
    seed: for all attackers.

  Returns:
    For each sensitive label the figures of `attack_accuracy.measure` without
    `per_recording`, and `adversary`, `validation` and `validation_chance`.
  """
  test = problem.rows(dataset.TEST)
  out = {}
  for attribute, ranked in run_adversaries(
    problem, kinds, config, seed
  ).items():
    score, attack = max(
      ranked.best_of_kind['window'].values(), key=lambda pair: pair[0]
    )
    figures = attack_accuracy.measure(
      attack.test, problem.sensitive[attribute][test], problem.recording[test]
    )
    figures.pop('per_recording')
    validation = problem.sensitive[attribute][problem.rows(dataset.VALIDATION)]
    out[attribute] = figures | {
      'adversary': attack.adversary,
      'validation': score,
      'validation_chance': attack_accuracy.chance(validation),
    }
  return out


class RankedAttacks:
  """Attacks on one sensitive label, ranked by their scores on validation.

  There are two scores: `'window'`, the accuracy for one window, and
  `'recording'`, see `attack_accuracy.over_recordings`. The best attack by one
  need not be the best by the other.

  Attributes:
    best: score name to the best attacks with their scores, best first.
    best_of_kind: score name to the best attack of each kind with its score.
    tried: the number of attacks.
  """

  def __init__(self) -> None:
    self.best: dict[str, list[tuple[float, adversary.Attack]]] = {
      'window': [],
      'recording': [],
    }
    self.best_of_kind: dict[str, dict[str, tuple[float, adversary.Attack]]] = {
      'window': {},
      'recording': {},
    }
    self.tried = 0

  def add(
    self,
    kind: str,
    attack: adversary.Attack,
    labels: np.ndarray,
    recording: np.ndarray,
  ) -> None:
    """Counts an attack, and keeps it if it is among the best so far.

    Args:
      kind: the name of the adversary.
      attack: the attack.
      labels: `[n]`, the labels of the validation fold.
      recording: `[n]`, their recordings.
    """
    self.tried += 1
    scores = {
      'window': float((attack.validation.argmax(-1) == labels).mean()),
      'recording': attack_accuracy.over_recordings(
        attack.validation, labels, recording
      ),
    }
    for name, score in scores.items():
      kinds = self.best_of_kind[name]
      if kind not in kinds or score > kinds[kind][0]:
        kinds[kind] = (score, attack)
      # The sort is stable: of equal attacks the first stays in front.
      ranked = [*self.best[name], (score, attack)]
      ranked.sort(key=lambda pair: -pair[0])
      self.best[name] = ranked[:_COMMITTEE_SIZE]

  def committees(self) -> list[adversary.Attack]:
    """Returns five attacks, each the mean probabilities of several others.

    For each of the two scores (one window, one recording): the best attack of
    each kind, and the best 8 of all. The last committee has all of
    these; an attack counts once for each time it was chosen.
    """
    out, all_members = [], []
    for name in self.best:
      for choice, pairs in (
        ('best of each kind', self.best_of_kind[name].values()),
        (f'best {len(self.best[name])}', self.best[name]),
      ):
        members = [attack for _, attack in pairs]
        all_members += members
        out.append(_committee(f'{choice} at one {name}', members))
    return [*out, _committee('best of every choice', all_members)]


def run_adversaries(
  problem: adversary.Problem,
  kinds: Iterable[str],
  config: ml_collections.ConfigDict,
  seed: int,
) -> dict[str, RankedAttacks]:
  """Runs adversaries, and committees of their best attacks.

  Args:
    problem: the attack problem.
    kinds: the names of the adversaries.
    config: see `measure`.
    seed: for all attackers.

  Returns:
    Sensitive label to its attacks.
  """
  rows = problem.rows(dataset.VALIDATION)
  out = {attribute: RankedAttacks() for attribute in problem.sensitive}

  def add(kind, attack):
    labels = problem.sensitive[attack.attribute][rows]
    out[attack.attribute].add(kind, attack, labels, problem.recording[rows])

  for kind in kinds:
    module = plugins.load('adversary', kind)
    for attack in module.attack(problem, settings(config, kind), seed):
      add(plugins.key(kind), attack)
  for ranked in out.values():
    for attack in ranked.committees():
      add('committee', attack)
  return out


def settings(
  config: ml_collections.ConfigDict, name: str
) -> ml_collections.ConfigDict:
  """Returns the settings of an adversary: its options, and the shared ones.

  Args:
    config: the study's `attack`.
    name: the name of the adversary.
  """
  return ml_collections.ConfigDict(
    {
      'heads': config.heads.to_dict(),
      'noise_copies': config.noise_copies,
      **plugins.settings('adversary', name, config).to_dict(),
    }
  )


def _committee(choice, members):
  """Mean of the probabilities of several attacks."""

  def mean(fold):
    every = [jax.nn.softmax(getattr(m, fold), axis=-1) for m in members]
    return np.log(np.mean(every, axis=0) + 1e-6)

  return adversary.Attack(
    f'committee of the {choice}',
    members[0].attribute,
    mean('validation'),
    mean('test'),
  )


def _by_windows(ranked, problem, attribute, group, counts):
  """Test figures for each number of windows.

  For each number, they are those of the attack that is best on validation at
  that number. Where validation has too few windows for it, the largest number
  that validation has decides.
  """

  def curve(attack, fold, counts):
    rows = problem.rows(dataset.FOLDS.index(fold))
    return attack_accuracy.by_windows(
      getattr(attack, fold),
      problem.sensitive[attribute][rows],
      group[rows],
      counts,
    )

  attacks = [attack for _, attack in ranked.best['recording']]
  validation = [curve(attack, 'validation', counts) for attack in attacks]
  out = {}
  for count in counts:
    *_, largest = (key for key in validation[0] if int(key) <= count)
    scores = [figures[largest]['value'] for figures in validation]
    out |= curve(attacks[int(np.argmax(scores))], 'test', [count])
  return out
