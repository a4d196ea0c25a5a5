"""Each sensitive label's best attacker, of all kinds and all their variants."""

import dataclasses

import jax
import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.adversaries import base as adversaries
from hybrid_jax.datasets import base as datasets
from hybrid_jax.metrics import leakage


def measure(
  problem: adversaries.Problem, config: ml_collections.ConfigDict, seed: int
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
    kind of adversary, and of the committee of those choices; `per_recording`,
    of the attacker that did best on validation over whole recordings; and
    `by_windows`, see `leakage.by_windows`.
  """
  held, test = (problem.rows(f) for f in (datasets.VALIDATION, datasets.TEST))
  recording = problem.recording[test]
  out = {}
  for attribute, found in run(
    problem, config.adversaries, config, seed
  ).items():
    labels = problem.sensitive[attribute][test]
    by_kind = {
      kind: {
        **leakage.per_window(attack.test, labels, recording),
        'validation': score,
        'adversary': attack.adversary,
      }
      for kind, (score, attack) in found.by_kind.items()
    }
    # The first of equals, in the config's order.
    winner = max(by_kind, key=lambda kind: by_kind[kind]['validation'])
    figures = leakage.measure(found.by_kind[winner][1].test, labels, recording)
    score, patient = found.patient or found.by_kind[winner]
    over_all = leakage.measure(patient.test, labels, recording)
    out[attribute] = {
      **figures,
      'per_recording': over_all['per_recording']
      | {'adversary': patient.adversary, 'validation': score},
      'adversary': by_kind[winner]['adversary'],
      'validation': by_kind[winner]['validation'],
      'validation_chance': leakage.chance(problem.sensitive[attribute][held]),
      'tried': found.tried,
      'by_kind': by_kind,
      'by_windows': {
        name: leakage.by_windows(patient.test, labels, group, config.windows)
        for name, group in (('recording', recording), ('class', labels))
      },
    }
  return out


@dataclasses.dataclass
class Found:
  """What the attackers on one sensitive label came to, all by validation.

  Attributes:
    by_kind: the best of each kind, with its accuracy for one window.
    patient: the best when all windows of a recording are added up, with its
      accuracy over recordings: who is best at one window need not be.
    tried: how many attackers there were.
  """

  by_kind: dict[str, tuple[float, adversaries.Attack]]
  patient: tuple[float, adversaries.Attack] | None = None
  tried: int = 0

  def consider(self, kind, attack, labels, recording) -> None:
    """Counts an attack, and keeps it where it is the best so far."""
    self.tried += 1
    score = float((attack.validation.argmax(-1) == labels).mean())
    if kind not in self.by_kind or score > self.by_kind[kind][0]:
      self.by_kind[kind] = (score, attack)
    right, _ = leakage.per_recording(attack.validation, labels, recording)
    if self.patient is None or right.mean() > self.patient[0]:
      self.patient = (float(right.mean()), attack)


def run(
  problem: adversaries.Problem,
  kinds: tuple[str, ...],
  config: ml_collections.ConfigDict,
  seed: int,
) -> dict[str, Found]:
  """Runs the adversaries, and a committee of the best of each kind."""
  held = problem.rows(datasets.VALIDATION)
  out = {attribute: Found({}) for attribute in problem.sensitive}

  def consider(kind, attack):
    out[attack.attribute].consider(
      kind,
      attack,
      problem.sensitive[attack.attribute][held],
      problem.recording[held],
    )

  for kind in kinds:
    for attack in plugins.load('adversary', kind).attack(problem, config, seed):
      consider(kind, attack)
  for found in out.values():
    members = [attack for _, attack in found.by_kind.values()]
    consider('committee', _committee(members))
  return out


def quick(
  problem: adversaries.Problem,
  kinds: tuple[str, ...],
  config: ml_collections.ConfigDict,
  seed: int,
) -> dict[str, dict]:
  """`leakage.measure` of the best of some kinds, for points of a curve."""
  test = problem.rows(datasets.TEST)
  out = {}
  for attribute, found in run(problem, kinds, config, seed).items():
    score, attack = max(found.by_kind.values(), key=lambda pair: pair[0])
    figures = leakage.measure(
      attack.test, problem.sensitive[attribute][test], problem.recording[test]
    )
    figures.pop('per_recording')
    held = problem.sensitive[attribute][problem.rows(datasets.VALIDATION)]
    out[attribute] = figures | {
      'adversary': attack.adversary,
      'validation': score,
      'validation_chance': leakage.chance(held),
    }
  return out


def _committee(members):
  """The mean of the probabilities that the best of each kind give."""

  def mean(fold):
    every = [jax.nn.softmax(getattr(m, fold), axis=-1) for m in members]
    return np.log(np.mean(every, axis=0) + 1e-6)

  return adversaries.Attack(
    'committee of the best of each kind',
    members[0].attribute,
    mean('validation'),
    mean('test'),
  )
