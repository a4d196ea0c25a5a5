"""Folds of released vectors that came without folds."""

from collections.abc import Mapping

import numpy as np

from hybrid_jax import errors
from hybrid_jax.datasets import dataset, folds

# Shares of the training, validation and test fold.
FRACTIONS = (0.6, 0.2, 0.2)


def split(
  labels: Mapping[str, np.ndarray], recording: np.ndarray | None
) -> tuple[np.ndarray, str]:
  """Splits vectors into folds; never neighbouring rows at random.

  Whole recordings are dealt out, so that each fold has its share of every
  class. Where this leaves a fold without a class, and where the recordings are
  unknown, the rows of each recording and combination of labels are cut in
  order: the first 60 % train, the next 20 % are for validation, and the last
  20 % for the test.

  Args:
    labels: label to `[n]`, classes from 0.
    recording: `[n]`, the recording of each row; `None` if it is unknown.

  Returns:
    The folds `[n]` int8, and a sentence that says how they were made.

  Raises:
    UserError: no combination has five rows, which the test fold needs.
  """
  values = list(labels.values())
  if recording is not None:
    fold = folds.stratified(values, FRACTIONS, seed=0, unit=recording)
    if _is_complete(values, fold):
      return fold, (
        'Folds: whole recordings, 60 % for training, 20 % for validation and'
        ' 20 % for the test.'
      )
    values.append(recording)
  where = 'combination of labels'
  if recording is not None:
    where = f'recording and {where}'
  fold = _in_order(values)
  if not (fold == dataset.TEST).any():
    raise errors.UserError(
      f'the rows cannot be split into folds: no {where} has five rows. Give'
      " 'fold', or labels with fewer classes."
    )
  return fold, (
    f'Folds: of each {where}, the first 60 % of the rows train, the next 20 %'
    ' are for validation, and the last 20 % for the test.'
  )


def _is_complete(values, fold):
  """Returns whether each fold has each class of each label."""
  return all(
    np.isin(label, label[fold == i]).all()
    for label in values
    for i in range(len(dataset.FOLDS))
  )


def _in_order(columns):
  """Cuts the rows with the same values in `columns`, in their order."""
  group = np.unique(np.stack(columns), axis=1, return_inverse=True)[1]
  fold = np.empty(len(group), np.int8)
  borders = np.cumsum(FRACTIONS)[:-1]
  for i in range(group.max() + 1):
    rows = np.flatnonzero(group == i)
    # Rounded, so that 0.6 of 5 rows are 3; a single row trains.
    stops = np.ceil(np.round(borders * len(rows), 9)).astype(int)
    fold[rows] = np.searchsorted(stops, np.arange(len(rows)), side='right')
  return fold
