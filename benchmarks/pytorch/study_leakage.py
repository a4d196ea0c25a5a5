"""The choice of the best attacker, as in `hybrid_jax.measures.leakage`.

The figures are computed by the NumPy code of `launch.study`, so that both sides
take the same time for them.
"""

import itertools
from typing import Any

import numpy as np
import scipy.special

from benchmarks.pytorch.study_problem import (
  TEST,
  TRAIN,
  VALIDATION,
  Attack,
  Problem,
)
from hybrid_jax.metrics import attack_accuracy

_BEST = 8  # members of a committee

Figures = dict[str, Any]


def measure(
  problem: Problem, attacks: list[tuple[str, Attack]], counts: list[int]
) -> dict[str, Figures]:
  """Returns the test figures of each label's best attacker on validation.

  Args:
    problem: the problem that was attacked.
    attacks: pairs of the kind of adversary and its attack.
    counts: the numbers of windows to combine.
  """
  out = {}
  for attribute in problem.sensitive:
    mine = [pair for pair in attacks if pair[1].attribute == attribute]
    out[attribute] = _best(problem, attribute, mine, counts)
  return out


def _best(problem, attribute, attacks, counts):
  labels = problem.sensitive[attribute]
  held, test = problem.rows(VALIDATION), problem.rows(TEST)
  parts = attack_accuracy.RecordingParts(problem.recording[held])
  priors = _log_priors(problem, labels)

  def scored(kind, attack):
    right = attack.validation.argmax(-1) == labels[held]
    over = parts.accuracy(
      attack.validation - priors['class'],
      labels[held],
      None,
      priors['recording'],
    )
    return {
      'kind': kind,
      'attack': attack,
      'window': float(right.mean()),
      'recording': over,
    }

  def measured(f):
    figures = attack_accuracy.per_window(
      f['attack'].test, labels[test], problem.recording[test]
    )
    return figures | {
      'adversary': f['attack'].adversary,
      'validation': f['window'],
    }

  candidates = [scored(*pair) for pair in attacks]
  candidates += [
    scored('committee', c)
    for c in _committees(attribute, candidates, labels[held])
  ]
  kinds = _of_kind(candidates, 'window')
  best = max(kinds.values(), key=lambda f: f['window'])
  patient = sorted(candidates, key=lambda f: -f['recording'])[:_BEST]
  several = patient + [
    f
    for by in ('recording', 'window')
    for f in _of_kind(candidates, by).values()
  ]
  several = list({id(f): f for f in several}.values())
  over_all = attack_accuracy.per_recording(
    patient[0]['attack'].test - priors['class'],
    labels[test],
    problem.recording[test],
    None,
    priors['recording'],
  )
  return {
    **measured(best),
    'per_recording': attack_accuracy.figures(*over_all),
    'tried': len(candidates),
    'by_kind': {kind: measured(f) for kind, f in kinds.items()},
    'by_windows': {
      name: _by_windows(problem, labels, several, name, counts, priors)
      for name in ('recording', 'class')
    },
  }


def _of_kind(candidates, by):
  """Returns the best attack of each kind, by kind; of equals the first."""
  out = {}
  for f in candidates:
    if f['kind'] not in out or f[by] > out[f['kind']][by]:
      out[f['kind']] = f
  return out


def _committees(attribute, candidates, truth):
  members = {}
  for by in ('window', 'recording'):
    kinds = _of_kind(candidates, by)
    members[f'best of each kind at one {by}'] = list(kinds.values())
    ranked = sorted(candidates, key=lambda f: -f[by])
    members[f'best {_BEST} at one {by}'] = ranked[:_BEST]
  members['best of every choice'] = list(itertools.chain(*members.values()))

  def calibrated(f, fold):
    return getattr(f['attack'], fold) / _temperature(f['attack'], truth)

  def mean(some, fold):
    every = [calibrated(f, fold) for f in some]
    shares = [scipy.special.softmax(each, axis=-1) for each in every]
    return np.log(np.mean(shares, axis=0) + 1e-6)

  return [
    Attack(
      f'committee of the {name}',
      attribute,
      mean(some, 'validation'),
      mean(some, 'test'),
    )
    for name, some in members.items()
  ]


def _temperature(attack, truth):
  """Returns the temperature whose probabilities fit validation best."""

  def loss(temperature):
    logs = scipy.special.log_softmax(attack.validation / temperature, axis=-1)
    places = np.broadcast_to(truth, logs.shape[:2])[..., None]
    return -np.take_along_axis(logs, places, axis=-1).mean()

  return min(2.0 ** np.arange(-3, 5), key=loss)


def _log_priors(problem, labels):
  """The logarithms of the shares of the classes of windows and recordings."""
  train = problem.rows(TRAIN)
  pairs = np.stack([labels[train], problem.recording[train]])
  counts = {
    'class': np.bincount(labels[train]),
    'recording': np.bincount(np.unique(pairs, axis=1)[0]),
  }
  return {name: np.log(n / n.sum()) for name, n in counts.items()}


def _by_windows(problem, labels, best, name, counts, priors):
  """Returns, by number of windows, the test figures of the best attacker."""
  group = problem.recording if name == 'recording' else labels
  prior = priors['recording'] if name == 'recording' else None
  held, test = problem.rows(VALIDATION), problem.rows(TEST)
  sets = attack_accuracy.WindowSets(group[held], counts)
  curves = [
    sets.values(
      f['attack'].validation - priors['class'], labels[held], None, prior
    )
    for f in best
  ]
  out = {}
  for count in counts:
    last = [k for k in curves[0] if k <= count][-1]
    near = [k for k in curves[0] if last / 4 <= k <= last]
    first = int(np.argmax([sum(curve[k] for k in near) for curve in curves]))
    sets = attack_accuracy.WindowSets(group[test], [count])
    attack = best[first]['attack']
    logs = attack.test - priors['class']
    for k, figures in sets.figures(logs, labels[test], None, prior).items():
      out[k] = figures | {'adversary': attack.adversary}
  return out
