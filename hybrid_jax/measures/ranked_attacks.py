"""Attacks on one label, ranked by their scores on validation; committees."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from hybrid_jax.attacks import adversary
from hybrid_jax.metrics import attack_accuracy

_COMMITTEE_SIZE = 8
_TEMPERATURES = 2.0 ** np.arange(-3, 5)


class RankedAttacks:
  """Attacks on one sensitive label, ranked by their scores on validation.

  There are two scores: `'window'`, the accuracy for one window, and
  `'recording'`, see `attack_accuracy.RecordingParts`. The best attack by one
  need not be the best by the other.

  Attributes:
    best: score name to the best attacks with their scores, best first.
    best_of_kind: score name to the best attack of each kind with its score.
    tried: the number of attacks.
  """

  def __init__(
    self,
    labels: np.ndarray,
    parts: attack_accuracy.RecordingParts,
    recording_prior: np.ndarray | None = None,
  ) -> None:
    """Starts without attacks.

    Args:
      labels: `[n]`, the labels of the validation fold.
      parts: random parts of its recordings.
      recording_prior: `[k]`, the logarithm of each class's share of the
        labelled recordings; by default all classes are equally likely.
    """
    self._labels, self._parts = labels, parts
    self._recording_prior = recording_prior
    self.best: dict[str, list[tuple[float, adversary.Attack]]] = {
      'window': [],
      'recording': [],
    }
    self.best_of_kind: dict[str, dict[str, tuple[float, adversary.Attack]]] = {
      'window': {},
      'recording': {},
    }
    self.tried = 0

  def add(self, kind: str, attack: adversary.Attack) -> None:
    """Counts an attack, and keeps it if it is among the best so far.

    Args:
      kind: the name of the adversary.
      attack: the attack.
    """
    self.tried += 1
    correct = attack_accuracy.correct_windows(
      attack.validation, self._labels, attack.columns
    )
    scores = {
      'window': float(correct.mean()),
      'recording': self._parts.accuracy(
        attack.likelihoods('validation'),
        self._labels,
        attack.columns,
        prior_of_columns(attack, self._recording_prior),
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

  def candidates(self) -> list[adversary.Attack]:
    """Returns the attacks that may be best for several windows.

    These are the best at a recording, and the best of each kind by both scores:
    windows of several recordings need another attacker than those of one.
    """
    pairs = [
      *self.best['recording'],
      *self.best_of_kind['recording'].values(),
      *self.best_of_kind['window'].values(),
    ]
    return list({a.adversary: a for _, a in pairs}.values())

  def best_window(self) -> tuple[float, adversary.Attack]:
    """Returns the best attack at one window with its score.

    Of equal kinds the first in the order of the config.
    """
    return max(self.best_of_kind['window'].values(), key=lambda pair: pair[0])

  def committees(self) -> list[adversary.Attack]:
    """Returns five attacks, each the mean probabilities of several others.

    The members' probabilities are calibrated on validation first.

    For each of the two scores (one window, one recording): the best attack of
    each kind, and the best 8 of all. The last committee has all of
    these; an attack counts once for each time it was chosen.
    """
    groups = {}
    for name in self.best:
      for choice, pairs in (
        ('best of each kind', self.best_of_kind[name].values()),
        (f'best {len(self.best[name])}', self.best[name]),
      ):
        title = f'committee of the {choice} at one {name}'
        groups[title] = [attack for _, attack in pairs]
    groups['committee of the best of every choice'] = [
      attack for members in groups.values() for attack in members
    ]
    calibrated = {
      attack.adversary: attack
      for members in groups.values()
      for attack in members
    }
    for name, attack in calibrated.items():
      temperature = _temperature(attack, self._labels)
      calibrated[name] = dataclasses.replace(attack, temperature=temperature)
    return committees(
      {
        title: [calibrated[attack.adversary] for attack in members]
        for title, members in groups.items()
      }
    )


def prior_of_columns(
  attack: adversary.Attack, prior: np.ndarray | None
) -> np.ndarray | None:
  """Returns a prior of classes `[k]`, if the columns of an attack are these.

  Args:
    attack: the attack.
    prior: the logarithm of each class's share; `None` for none.
  """
  if prior is None or attack.columns is not None:
    return None
  return prior[: attack.test.shape[-1]]


def committees(
  groups: Mapping[str, Sequence[adversary.Attack]],
) -> list[adversary.Attack]:
  """Returns attacks, each the mean calibrated probabilities of its members.

  Args:
    groups: name to the members, on one sensitive label.
  """
  from scipy import special  # Imported here: it is slow.

  every = {m.adversary: m for members in groups.values() for m in members}
  classes = max(map(_classes, every.values()))
  folds = ('validation', 'test')
  probabilities = {
    name: [
      special.softmax(
        _class_scores(attack, fold, classes) / attack.temperature, axis=-1
      )
      for fold in folds
    ]
    for name, attack in every.items()
  }
  out = []
  for title, members in groups.items():
    counts = collections.Counter(m.adversary for m in members)
    means = [
      sum(n * probabilities[name][fold] for name, n in counts.items())
      / len(members)
      for fold in range(len(folds))
    ]
    out.append(
      adversary.Attack(
        title,
        members[0].attribute,
        *(np.log(mean + 1e-6) for mean in means),
        members=tuple(members),
        log_prior=next(
          (m.log_prior for m in members if m.log_prior is not None), None
        ),
      )
    )
  return out


def _class_scores(attack, fold, classes):
  """Scores `[draws, n, classes]` of an attack, whatever its columns are."""
  return attack_accuracy.class_log_probs(
    getattr(attack, fold), attack.columns, classes
  )


def _classes(attack):
  """The number of classes that an attack can predict."""
  if attack.columns is None:
    return attack.validation.shape[-1]
  return int(attack.columns.max()) + 1


def _temperature(attack, labels):
  """The temperature that makes the probabilities likeliest on validation.

  Guo et al., "On calibration of modern neural networks", ICML 2017.
  """
  from scipy import special  # Imported here: it is slow.

  classes = max(_classes(attack), int(labels.max()) + 1)
  scores = _class_scores(attack, 'validation', classes)
  draws = len(scores)
  truth = np.broadcast_to(labels, (draws, len(labels)))[..., None]

  def loss(temperature):
    log_probs = special.log_softmax(scores / temperature, axis=-1)
    return -np.take_along_axis(log_probs, truth, axis=-1).mean()

  return min(_TEMPERATURES, key=loss)
