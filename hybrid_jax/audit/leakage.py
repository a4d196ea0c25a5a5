"""Each sensitive label's best attacker, of all kinds and all their variants."""

import jax
import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset
from hybrid_jax.metrics import attack_accuracy


def measure(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> dict[str, dict]:
  """All adversaries against one problem; the best by validation is reported.

  Args:
    problem: what is attacked.
    config: `adversaries`, their names; `windows`, how many windows of one
      recording, or of one class, are added up; each adversary's own settings.
    seed: of all attackers.

  Returns:
    For each sensitive label the figures of `leakage.measure` on the test fold
    for the attacker that did best on validation, `adversary`, its name,
    `validation`, its accuracy there, `tried`, how many there were, `by_kind`,
    the same choice for one window within each
    kind of adversary, and among the committees; `per_recording`, of the
    attacker that did best on validation by `leakage.over_recordings`; and
    `by_windows`, see `leakage.by_windows`, of who was best on validation at
    each number of windows.
  """
  held, test = (problem.rows(f) for f in (dataset.VALIDATION, dataset.TEST))
  recording = problem.recording[test]
  out = {}
  for attribute, found in run(
    problem, config.adversaries, config, seed
  ).items():
    labels = problem.sensitive[attribute][test]
    by_kind = {
      kind: {
        **attack_accuracy.per_window(attack.test, labels, recording),
        'validation': score,
        'adversary': attack.adversary,
      }
      for kind, (score, attack) in found.by_kind.items()
    }
    # The first of equals, in the config's order.
    winner = max(by_kind, key=lambda kind: by_kind[kind]['validation'])
    figures = attack_accuracy.measure(
      found.by_kind[winner][1].test, labels, recording
    )
    score, patient = found.best['recording'][0]
    over_all = attack_accuracy.measure(patient.test, labels, recording)
    out[attribute] = {
      **figures,
      'per_recording': over_all['per_recording']
      | {'adversary': patient.adversary, 'validation': score},
      'adversary': by_kind[winner]['adversary'],
      'validation': by_kind[winner]['validation'],
      'validation_chance': attack_accuracy.chance(
        problem.sensitive[attribute][held]
      ),
      'tried': found.tried,
      'by_kind': by_kind,
      'by_windows': {
        name: _by_windows(found, problem, attribute, group, config.windows)
        for name, group in (
          ('recording', problem.recording),
          ('class', problem.sensitive[attribute]),
        )
      },
    }
  return out


def _by_windows(found, problem, attribute, group, counts):
  """For each count, of who is best at that many windows on validation."""

  def curve(attack, fold, counts):
    rows = problem.rows(dataset.FOLDS.index(fold))
    return attack_accuracy.by_windows(
      getattr(attack, fold),
      problem.sensitive[attribute][rows],
      group[rows],
      counts,
    )

  best = [attack for _, attack in found.best['recording']]
  held = [curve(attack, 'validation', counts) for attack in best]
  out = {}
  for count in counts:
    # Where validation has too few windows, who is best at the most there are.
    known = [k for k in held[0] if int(k) <= count]
    i = max(range(len(best)), key=lambda i: held[i][known[-1]]['value'])
    out |= curve(best[i], 'test', [count])
  return out


_COMMITTEE = 8  # members of the committee of the best, whatever their kind


class Found:
  """The attackers on one sensitive label, ranked on validation.

  They are ranked twice, by `'window'`, their accuracy for one window, and by
  `'recording'`, see `leakage.over_recordings`: who is best at one need not be
  best at the other.

  Attributes:
    best: for each of the two, the best attackers with their scores, best first.
    of_kind: for each of the two, the best of each kind with its score.
    tried: how many attackers there were.
  """

  def __init__(self) -> None:
    self.best: dict[str, list] = {'window': [], 'recording': []}
    self.of_kind: dict[str, dict] = {'window': {}, 'recording': {}}
    self.tried = 0

  @property
  def by_kind(self) -> dict[str, tuple[float, adversary.Attack]]:
    """The best of each kind for one window, with its accuracy there."""
    return self.of_kind['window']

  def consider(self, kind, attack, labels, recording) -> None:
    """Counts an attack, and keeps it where it is among the best so far."""
    self.tried += 1
    scores = {
      'window': float((attack.validation.argmax(-1) == labels).mean()),
      'recording': attack_accuracy.over_recordings(
        attack.validation, labels, recording
      ),
    }
    for name, score in scores.items():
      kinds = self.of_kind[name]
      if kind not in kinds or score > kinds[kind][0]:
        kinds[kind] = (score, attack)
      # The sort is stable: the first of equals stays before the others.
      ranked = [*self.best[name], (score, attack)]
      ranked.sort(key=lambda pair: -pair[0])
      self.best[name] = ranked[:_COMMITTEE]

  def committees(self) -> list[adversary.Attack]:
    """The mean of the probabilities of the best, chosen in five ways."""
    out, everybody = [], []
    for name in self.best:
      for who, pairs in (
        ('best of each kind', self.of_kind[name].values()),
        (f'best {len(self.best[name])}', self.best[name]),
      ):
        members = [attack for _, attack in pairs]
        everybody += members
        out.append(_committee(f'{who} at one {name}', members))
    return [*out, _committee('best of every choice', everybody)]


def run(
  problem: adversary.Problem,
  kinds: tuple[str, ...],
  config: ml_collections.ConfigDict,
  seed: int,
) -> dict[str, Found]:
  """Runs the adversaries, and committees of the best of them."""
  held = problem.rows(dataset.VALIDATION)
  out = {attribute: Found() for attribute in problem.sensitive}

  def consider(kind, attack):
    out[attack.attribute].consider(
      kind,
      attack,
      problem.sensitive[attack.attribute][held],
      problem.recording[held],
    )

  for kind in kinds:
    attack = plugins.load('adversary', kind).attack
    for made in attack(problem, settings(config, kind), seed):
      consider(plugins.key(kind), made)
  for found in out.values():
    for attack in found.committees():
      consider('committee', attack)
  return out


def settings(
  config: ml_collections.ConfigDict, name: str
) -> ml_collections.ConfigDict:
  """Returns an adversary's settings: its options, and the shared ones.

  Args:
    config: the study's `attack`.
    name: the adversary's.
  """
  return ml_collections.ConfigDict(
    {
      'heads': config.heads.to_dict(),
      'noise_copies': config.noise_copies,
      **plugins.defaults('adversary', name),
      **config.get(plugins.key(name), ml_collections.ConfigDict()).to_dict(),
    }
  )


def quick(
  problem: adversary.Problem,
  kinds: tuple[str, ...],
  config: ml_collections.ConfigDict,
  seed: int,
) -> dict[str, dict]:
  """`leakage.measure` of the best of some kinds, for points of a curve."""
  test = problem.rows(dataset.TEST)
  out = {}
  for attribute, found in run(problem, kinds, config, seed).items():
    score, attack = max(found.by_kind.values(), key=lambda pair: pair[0])
    figures = attack_accuracy.measure(
      attack.test, problem.sensitive[attribute][test], problem.recording[test]
    )
    figures.pop('per_recording')
    held = problem.sensitive[attribute][problem.rows(dataset.VALIDATION)]
    out[attribute] = figures | {
      'adversary': attack.adversary,
      'validation': score,
      'validation_chance': attack_accuracy.chance(held),
    }
  return out


def _committee(who, members):

  def mean(fold):
    every = [jax.nn.softmax(getattr(m, fold), axis=-1) for m in members]
    return np.log(np.mean(every, axis=0) + 1e-6)

  return adversary.Attack(
    f'committee of the {who}',
    members[0].attribute,
    mean('validation'),
    mean('test'),
  )
