"""Accuracy of the best attacker on each sensitive label."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset
from hybrid_jax.measures import ranked_attacks, window_sets
from hybrid_jax.metrics import attack_accuracy

_SURE = 0.98  # accuracy at which no attacker on sets is tried


@dataclasses.dataclass(frozen=True)
class SetResult:
  """Result of an attack on sets of windows, on the test fold.

  Attributes:
    adversary: its name.
    correct: `[groups]`, the share of correct sets of each group.
    truth: `[groups]`, its label.
    correct_first: the same as `correct` before it learnt again; `None` where it
      is not reported.
  """

  adversary: str
  correct: np.ndarray
  truth: np.ndarray
  correct_first: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class Choice:
  """Attacks on one sensitive label that did best on validation.

  A use is `'window'`, `'recording'`, or `(group, k)` for k windows of one
  group, `'recording'` or `'class'`. `first` has the attacks as they learnt on
  the training fold, `again` as they learnt on the training and the validation
  fold. These add up the log-likelihoods of several windows. Where an attack
  on sets did better on validation, `sets` has its result.

  Attributes:
    ranked: all attacks on windows.
    validation: use to the score on validation.
    first: use to attack.
    again: use to the same attack, learnt again.
    sets: use to the result of an attack on sets.
    labels: `[n]`, of the test fold.
    recording: `[n]`.
    recording_prior: `[k]`, see `_recording_prior`.
  """

  ranked: ranked_attacks.RankedAttacks
  validation: dict[Any, float]
  first: dict[Any, adversary.Attack]
  again: dict[Any, adversary.Attack]
  sets: dict[Any, SetResult]
  labels: np.ndarray
  recording: np.ndarray
  recording_prior: np.ndarray

  def adversary(self, use: Any) -> str:
    """Returns the name of the attacker for a use."""
    chosen = self.sets[use] if use in self.sets else self.first[use]
    return chosen.adversary

  def by_recording(self, again: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Returns `correct` and `truth` of each recording, from all its windows.

    Args:
      again: whether the attacker has learnt again.
    """
    result = self.sets.get('recording')
    if result is not None:
      correct = result.correct if again else result.correct_first
      assert correct is not None
      return correct, result.truth
    attack = (self.again if again else self.first)['recording']
    return attack_accuracy.per_recording(
      attack.likelihoods('test'),
      self.labels,
      self.recording,
      attack.columns,
      ranked_attacks.prior_of_columns(attack, self.recording_prior),
    )

  def by_windows(
    self, group: str, count: int
  ) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns `correct` and `truth` of each group, from `count` windows.

    Args:
      group: `'recording'` or `'class'`.
      count: the number of windows.

    Returns:
      `None` if no group has so many windows.
    """
    if (group, count) in self.sets:
      result = self.sets[group, count]
      return result.correct, result.truth
    attack = self.again[group, count]
    of, prior = self.labels, None
    if group == 'recording':
      of = self.recording
      prior = ranked_attacks.prior_of_columns(attack, self.recording_prior)
    return (
      attack_accuracy.WindowSets(of, [count])
      .correct(attack.likelihoods('test'), self.labels, attack.columns, prior)
      .get(count)
    )


def measure(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> dict[str, dict]:
  """Runs all adversaries and reports the one that is best on validation.

  What is reported is the chosen attacker after it learnt again, on the training
  and the validation fold.

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
      committees as a kind of their own, learnt on the training fold alone;
    * `per_recording`, of the attacker that did best on validation by
      `attack_accuracy.RecordingParts`;
    * `training_fold_only`, `value`, `low` and `high` of the same attackers as
      they learnt on the training fold alone, also `per_recording`;
    * `by_windows`, for `'recording'` and `'class'` the number of windows of one
      recording, or of one class, to the figures of the attacker that did best
      on validation at that number: `attack_accuracy.figures`, `adversary`, and
      `groups`, the number of recordings or classes.
  """
  validation, test = (
    problem.rows(fold) for fold in (dataset.VALIDATION, dataset.TEST)
  )
  recording = problem.recording[test]
  out = {}
  for attribute, choice in choose(problem, config, seed).items():
    labels = problem.sensitive[attribute][test]
    by_kind = {
      kind: {
        **attack_accuracy.per_window(
          attack.test, labels, recording, attack.columns
        ),
        'validation': score,
        'adversary': attack.adversary,
      }
      for kind, (score, attack) in choice.ranked.best_of_kind['window'].items()
    }
    again, first = (
      attack_accuracy.per_window(
        attacks['window'].test, labels, recording, attacks['window'].columns
      )
      for attacks in (choice.again, choice.first)
    )
    recordings_first = attack_accuracy.figures(*choice.by_recording(False))
    out[attribute] = {
      **again,
      'per_recording': attack_accuracy.figures(*choice.by_recording())
      | {
        'adversary': choice.adversary('recording'),
        'validation': choice.validation['recording'],
      },
      'training_fold_only': _ends(first)
      | {'per_recording': _ends(recordings_first)},
      'adversary': choice.adversary('window'),
      'validation': choice.validation['window'],
      'validation_chance': attack_accuracy.chance(
        problem.sensitive[attribute][validation]
      ),
      'tried': choice.ranked.tried,
      'by_kind': by_kind,
      'by_windows': {
        group: dict(_by_windows(choice, group, config.windows))
        for group in ('recording', 'class')
      },
    }
  return out


def choose(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> dict[str, Choice]:
  """Runs all adversaries, chooses on validation, and lets the chosen relearn.

  Args:
    problem: the attack problem.
    config: see `measure`.
    seed: for all attackers.

  Returns:
    Sensitive label to the choice.
  """
  every = run_adversaries(problem, config.adversaries, config, seed)
  firsts, scores = {}, {}
  for attribute, ranked in every.items():
    best = {
      'window': ranked.best_window(),
      'recording': ranked.best['recording'][0],
      **_best_by_windows(ranked, problem, attribute, config.windows),
    }
    firsts[attribute] = {use: attack for use, (_, attack) in best.items()}
    scores[attribute] = {use: score for use, (score, _) in best.items()}
  again = relearn(
    problem,
    [attack for first in firsts.values() for attack in first.values()],
    config,
    seed,
  )
  sets = _attack_sets(problem, scores, config, seed)
  test = problem.rows(dataset.TEST)
  return {
    attribute: Choice(
      every[attribute],
      scores[attribute],
      first,
      {use: again(attack) for use, attack in first.items()},
      sets[attribute],
      problem.sensitive[attribute][test],
      problem.recording[test],
      _recording_prior(problem, attribute),
    )
    for attribute, first in firsts.items()
  }


def _attack_sets(problem, scores, config, seed):
  """Attacks sets of windows; raises the scores where that is better.

  Returns:
    For each sensitive label a use to its `SetResult`.
  """
  of_counts = config.sets.adversaries
  of_recordings = config.sets.recording_adversaries
  out = {attribute: {} for attribute in scores}
  attacker = window_sets.Attacker(
    problem,
    {kind: settings(config, kind) for kind in (*of_counts, *of_recordings)},
    seed,
  )
  for attribute, best in scores.items():
    for use, held, test in _uses(problem, attribute, config):
      kinds = of_recordings if use == 'recording' else of_counts
      if best[use] >= _SURE or not kinds:
        continue
      what = attribute, *(('recording', 0) if use == 'recording' else use)
      choice = attacker.choose(*what, held, kinds)
      if choice.score <= best[use]:
        continue
      best[use] = choice.score
      first = None
      if use == 'recording':
        first, _ = attacker.test(*what, test, choice, again=False)
      correct, truth = attacker.test(*what, test, choice, again=True)
      out[attribute][use] = SetResult(choice.name, correct, truth, first)
  return out


def _uses(problem, attribute, config):
  """Yields each use with its sets of validation and of the test fold.

  Numbers of windows that one of the folds does not have are left out.
  """
  held, test = dataset.VALIDATION, dataset.TEST
  draws = {f: len(problem.evaluation_draws[f]) for f in (held, test)}
  parts = attack_accuracy.RecordingParts(problem.recording[problem.rows(held)])
  whole = attack_accuracy.RecordingParts(
    problem.recording[problem.rows(test)], (1.0,) * draws[test]
  )
  yield 'recording', parts.sets(draws[held]), whole.sets(draws[test])
  for group in ('recording', 'class'):
    groups = {
      f: _labels_and_groups(problem, attribute, f)[1][group] for f in draws
    }
    of_held = attack_accuracy.WindowSets(groups[held], config.windows)
    for count in config.windows:
      if count not in config.sets.counts:
        continue
      of_test = attack_accuracy.WindowSets(groups[test], [count])
      held_sets = of_held.sets(count, draws[held])
      test_sets = of_test.sets(count, draws[test])
      if held_sets and test_sets:
        yield (group, count), held_sets, test_sets


def relearn(
  problem: adversary.Problem,
  attacks: Sequence[adversary.Attack],
  config: ml_collections.ConfigDict,
  seed: int,
) -> Callable[[adversary.Attack], adversary.Attack]:
  """Lets chosen attacks learn again, on the training and the validation fold.

  A real attacker does so: once it has chosen, validation is only more data. A
  committee's members learn again.

  Args:
    problem: the attack problem.
    attacks: of `run_adversaries`, on any labels.
    config: see `measure`.
    seed: the same as at first.

  Returns:
    A function from each of the attacks to the one that learnt again.
  """
  parts = {
    (part.adversary, part.attribute): part
    for attack in attacks
    for part in attack.members or (attack,)
  }
  again = dict(parts)
  merged = problem.relearn(tuple(parts.values()))
  for kind in dict.fromkeys(part.kind for part in parts.values()):
    module = plugins.load('adversary', kind)
    for attack in module.attack(merged, settings(config, kind), seed):
      key = attack.adversary, attack.attribute
      if key in parts:
        again[key] = dataclasses.replace(
          _with_prior(attack, merged), temperature=parts[key].temperature
        )

  def learnt_again(attack):
    key = attack.adversary, attack.attribute
    if key not in again:  # A committee; it may have several uses.
      members = [again[m.adversary, m.attribute] for m in attack.members]
      (again[key],) = ranked_attacks.committees({attack.adversary: members})
    return again[key]

  return learnt_again


def measure_best(
  problem: adversary.Problem,
  kinds: Sequence[str],
  config: ml_collections.ConfigDict,
  seed: int,
  again: bool = True,
) -> dict[str, dict]:
  """Measures the best attacker of some kinds, for one point of a curve.

  Args:
    problem: the attack problem.
    kinds: the names of the adversaries.
    config: see `measure`.
    seed: for all attackers.
    again: whether it learns again, on the training and the validation fold.

  Returns:
    For each sensitive label the figures of `attack_accuracy.measure` without
    `per_recording`, and `adversary`, `validation` and `validation_chance`.
  """
  test = problem.rows(dataset.TEST)
  best = {
    attribute: ranked.best_window()
    for attribute, ranked in run_adversaries(
      problem, kinds, config, seed
    ).items()
  }
  if again:
    chosen = [attack for _, attack in best.values()]
    learnt_again = relearn(problem, chosen, config, seed)
    best = {a: (score, learnt_again(b)) for a, (score, b) in best.items()}
  out = {}
  for attribute, (score, attack) in best.items():
    figures = attack_accuracy.per_window(
      attack.test,
      problem.sensitive[attribute][test],
      problem.recording[test],
      attack.columns,
    )
    validation = problem.sensitive[attribute][problem.rows(dataset.VALIDATION)]
    out[attribute] = figures | {
      'adversary': attack.adversary,
      'validation': score,
      'validation_chance': attack_accuracy.chance(validation),
    }
  return out


def _ends(figures):
  return {key: figures[key] for key in ('value', 'low', 'high')}


def run_adversaries(
  problem: adversary.Problem,
  kinds: Iterable[str],
  config: ml_collections.ConfigDict,
  seed: int,
) -> dict[str, ranked_attacks.RankedAttacks]:
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
  parts = attack_accuracy.RecordingParts(problem.recording[rows])
  out = {
    attribute: ranked_attacks.RankedAttacks(
      labels[rows], parts, _recording_prior(problem, attribute)
    )
    for attribute, labels in problem.sensitive.items()
  }
  for kind in kinds:
    module = plugins.load('adversary', kind)
    for attack in module.attack(problem, settings(config, kind), seed):
      out[attack.attribute].add(
        plugins.key(kind),
        dataclasses.replace(_with_prior(attack, problem), kind=kind),
      )
  for ranked in out.values():
    for attack in ranked.committees():
      ranked.add('committee', attack)
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


def _with_prior(attack, problem):
  """The attack with `log_prior`, of what attackers of the problem learn from.

  A class without windows has 0: it must not gain from its rarity.
  """
  if attack.columns is not None:
    return attack
  k = attack.test.shape[-1]
  labels = problem.sensitive[attack.attribute][problem.rows(dataset.TRAIN)]
  counts = np.bincount(labels, minlength=k)[:k]
  share = np.where(counts > 0, counts / counts.sum(), 1.0)
  return dataclasses.replace(attack, log_prior=np.log(share, dtype=np.float32))


def _recording_prior(problem, attribute):
  """`[k]`, the logarithm of each class's share of the labelled recordings."""
  rows = problem.rows(dataset.TRAIN)
  labels = problem.sensitive[attribute]
  pairs = np.stack([labels[rows], problem.recording[rows]])
  of_recordings = np.unique(pairs, axis=1)[0]
  counts = np.bincount(of_recordings, minlength=int(labels.max()) + 1)
  return np.log(np.maximum(counts, 1e-6) / len(of_recordings))


def _best_by_windows(ranked, problem, attribute, counts):
  """The best attack for each group and number of windows, with its score.

  It is the best on average from a quarter of the number on: few groups have so
  many windows, and smaller sets are less alike.

  Where validation has too few windows for a number, the largest number that
  validation has decides.
  """
  attacks = ranked.candidates()
  labels, groups = _labels_and_groups(problem, attribute, dataset.VALIDATION)
  out = {}
  for name, group in groups.items():
    sets = attack_accuracy.WindowSets(group, counts)
    prior = None
    if name == 'recording':
      prior = _recording_prior(problem, attribute)
    curves = [
      sets.values(
        a.likelihoods('validation'),
        labels,
        a.columns,
        ranked_attacks.prior_of_columns(a, prior),
      )
      for a in attacks
    ]
    for count in counts:
      *_, largest = (k for k in curves[0] if k <= count)
      near = [k for k in curves[0] if largest / 4 <= k <= largest]
      means = [np.mean([curve[k] for k in near]) for curve in curves]
      best = int(np.argmax(means))
      out[name, count] = curves[best][largest], attacks[best]
  return out


def _by_windows(choice, group, counts):
  """Yields each number of windows with its test figures."""
  for count in counts:
    result = choice.by_windows(group, count)
    if result:
      yield (
        str(count),
        attack_accuracy.figures(*result)
        | {
          'groups': len(result[1]),
          'adversary': choice.adversary((group, count)),
        },
      )


def _labels_and_groups(problem, attribute, fold):
  """Labels of a fold, and what its windows may be grouped by."""
  rows = problem.rows(fold)
  labels = problem.sensitive[attribute][rows]
  return labels, {'recording': problem.recording[rows], 'class': labels}
