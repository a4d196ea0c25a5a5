"""Labels of released vectors, and their split into seen people and others."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from hybrid_jax import errors
from hybrid_jax.datasets import dataset

ARRAY = 'fold_strangers'
OUT = -1  # the fold of windows of the other part
_SHOWN = 5  # classes that a note lists


@dataclasses.dataclass(frozen=True)
class Label:
  """Label of released vectors.

  Attributes:
    name: as in reports.
    what: what messages call it.
    codes: `[n]`, the classes, numbered from 0.
    classes: the names of the classes; empty if they have none.
  """

  name: str
  what: str
  codes: np.ndarray
  classes: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Part:
  """Some of the vectors.

  Attributes:
    rows: `[n]` bool, which of the vectors.
    labels: their labels, the primary one first, each `[rows]`.
  """

  rows: np.ndarray
  labels: Sequence[Label]


def split(
  labels: Sequence[Label],
  recording: np.ndarray,
  fold: np.ndarray,
  strangers: np.ndarray,
) -> tuple[Part, Part, list[str]]:
  """Splits vectors into those of people of the training set, and of strangers.

  Args:
    labels: the primary label first, each `[n]`.
    recording: `[n]`.
    fold: `[n]`, `OUT` for windows of strangers.
    strangers: `[n]`, `OUT` for windows of people of the training set. Attackers
      learn from fold 0 of the strangers, choose on 1, and are scored on 2.

  Returns:
    The two parts, with the classes of each label numbered anew, and notes, a
    sentence each. A sensitive label is left out for strangers where they have
    fewer than two classes, or a fold lacks one.

  Raises:
    UserError: a window or a recording is in both parts, a fold of the strangers
      is empty, or no sensitive label is left.
  """
  seen, unseen = fold != OUT, strangers != OUT
  _check_parts(recording, fold, strangers)
  primary, *sensitive = labels
  kept, notes = [], []
  for label in sensitive:
    reason = _unusable(label, strangers)
    if reason:
      notes.append(f'Strangers: the label {label.name} is left out: {reason}.')
    else:
      kept.append(label)
  if not kept:
    raise errors.UserError(
      f'{ARRAY!r}: no sensitive label can be attacked. {" ".join(notes)}'
    )
  if not any(
    set(label.codes[seen]).isdisjoint(label.codes[unseen]) for label in kept
  ):
    notes.append(
      'Strangers: every sensitive label has a class of both seen people and'
      ' strangers, so that nothing shows that these are other people.'
    )
  idle = int((~seen & ~unseen).sum())
  if idle:
    windows = 'window is' if idle == 1 else 'windows are'
    notes.append(
      f"Strangers: {idle} {windows} -1 in both 'fold' and {ARRAY!r}, and left"
      ' out.'
    )
  return _part(labels, seen), _part([primary, *kept], unseen), notes


def _check_parts(recording, fold, strangers):
  both = (fold != OUT) & (strangers != OUT)
  if both.any():
    row = int(np.argmax(both))
    raise errors.UserError(
      f"row {row} is {int(fold[row])} in 'fold' and {int(strangers[row])} in"
      f' {ARRAY!r}; a window of a stranger is in no training: give -1 in one of'
      ' them.'
    )
  for number, name in enumerate(dataset.FOLDS):
    if not (strangers == number).any():
      raise errors.UserError(
        f'the {name} fold of the strangers is empty: no {ARRAY!r} is {number}.'
      )
  shared = np.intersect1d(recording[fold != OUT], recording[strangers != OUT])
  if len(shared):
    rows = [
      int(np.argmax((recording == shared[0]) & (part != OUT)))
      for part in (fold, strangers)
    ]
    raise errors.UserError(
      f'one recording has windows of a seen person, first in row {rows[0]}, and'
      f' of a stranger, first in row {rows[1]}; a recording is of one person.'
    )


def _unusable(label, strangers):
  """Returns why a label cannot be attacked for strangers, or ''."""
  classes = np.unique(label.codes[strangers != OUT])
  if len(classes) < 2:
    return f'all strangers are of the class {_name(label, classes[0])}'
  for number, fold in enumerate(dataset.FOLDS):
    missing = np.setdiff1d(classes, label.codes[strangers == number])
    if len(missing):
      names = ', '.join(_name(label, c) for c in missing[:_SHOWN])
      more = ', …' if len(missing) > _SHOWN else ''
      return (
        f'their {fold} fold lacks the class {names}{more}; to leave out these'
        f" rows instead, make them -1 in 'fold' and {ARRAY!r}"
      )
  return ''


def _name(label, code):
  return label.classes[code] if len(label.classes) else str(code)


def _part(labels, rows):
  """The part of some rows, with the classes of each label numbered from 0."""
  out = []
  for label in labels:
    classes, codes = np.unique(label.codes[rows], return_inverse=True)
    names = [_name(label, c) for c in classes]
    out.append(
      dataclasses.replace(label, codes=codes.astype(np.int32), classes=names)
    )
  return Part(rows, out)
