"""Each sensitive label's best attacker, of all kinds and all their variants."""

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
    the `value`, `validation` and `adversary` of the same choice within each
    kind of adversary, and of the committee of those choices; and
    `by_windows`, see `leakage.by_windows`.
  """
  held, test = (problem.rows(f) for f in (datasets.VALIDATION, datasets.TEST))
  chosen, tried = best_of_each_kind(problem, config.adversaries, config, seed)
  out = {}
  for attribute, kinds in chosen.items():
    labels = problem.sensitive[attribute][test]
    recording = problem.recording[test]
    by_kind = {
      kind: {
        'value': float((attack.test.argmax(-1) == labels).mean()),
        'validation': score,
        'adversary': attack.adversary,
      }
      for kind, (score, attack) in kinds.items()
    }
    # The first of equals, in the config's order.
    winner = max(by_kind, key=lambda kind: by_kind[kind]['validation'])
    log_probs = kinds[winner][1].test
    out[attribute] = {
      **by_kind[winner],
      **leakage.measure(log_probs, labels, recording),
      'validation_chance': leakage.chance(problem.sensitive[attribute][held]),
      'tried': tried[attribute],
      'by_kind': by_kind,
      'by_windows': {
        'recording': leakage.by_windows(
          log_probs, labels, recording, config.windows
        ),
        'class': leakage.by_windows(log_probs, labels, labels, config.windows),
      },
    }
  return out


def best_of_each_kind(
  problem: adversaries.Problem,
  kinds: tuple[str, ...],
  config: ml_collections.ConfigDict,
  seed: int,
) -> tuple[
  dict[str, dict[str, tuple[float, adversaries.Attack]]], dict[str, int]
]:
  """Runs the adversaries, and keeps of each kind the best on validation.

  Returns:
    For each sensitive label its kinds, each with its accuracy on validation and
    its attack, a committee of the best of all kinds among them; and how many
    attackers were tried for it.
  """
  held = problem.rows(datasets.VALIDATION)
  best = {attribute: {} for attribute in problem.sensitive}
  tried = dict.fromkeys(problem.sensitive, 0)

  def consider(kind, attack):
    labels = problem.sensitive[attack.attribute][held]
    score = float((attack.validation.argmax(-1) == labels).mean())
    found = best[attack.attribute]
    tried[attack.attribute] += 1
    if kind not in found or score > found[kind][0]:
      found[kind] = (score, attack)

  for kind in kinds:
    for attack in plugins.load('adversary', kind).attack(problem, config, seed):
      consider(kind, attack)
  for found in best.values():
    consider('committee', _committee([attack for _, attack in found.values()]))
  return best, tried


def quick(
  problem: adversaries.Problem,
  kinds: tuple[str, ...],
  config: ml_collections.ConfigDict,
  seed: int,
) -> dict[str, dict]:
  """`leakage.measure` of the best of some kinds, for points of a curve."""
  test = problem.rows(datasets.TEST)
  best, _ = best_of_each_kind(problem, kinds, config, seed)
  out = {}
  for attribute, found in best.items():
    score, attack = max(found.values(), key=lambda pair: pair[0])
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
