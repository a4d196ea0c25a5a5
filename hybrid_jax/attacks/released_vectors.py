"""Reads and checks released vectors as attack problems."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hybrid_jax import errors, files
from hybrid_jax.attacks import adversary, vector_labels
from hybrid_jax.datasets import (
  dataset,
  folds,
  label_encoding,
  number_checks,
)

_FEWEST = 2  # vectors of a fold
# The smallest standard deviation of noise that single precision can handle.
_MIN_STD = 1e-12
_REQUIRED = ('clean', 'primary', 'recording', 'fold')
_SENSITIVE = 'sensitive_'
_STRANGERS = vector_labels.ARRAY
_OUT_NAMES = ('none', str(vector_labels.OUT))


@dataclasses.dataclass(frozen=True)
class Vectors:
  """Released vectors to audit.

  Attributes:
    seen: the problem of the people of the training set.
    strangers: that of the people whom the network never saw; `None` without
      any.
    remarks: doubts about the labels, a line each.
  """

  seen: adversary.Problem
  strangers: adversary.Problem | None
  remarks: tuple[str, ...]


def read(path: pathlib.Path, draws: int, **knowledge: Any) -> adversary.Problem:
  """Reads the people of the training set; see `read_vectors`."""
  return read_vectors(path, draws, **knowledge).seen


def read_vectors(path: pathlib.Path, draws: int, **knowledge: Any) -> Vectors:
  """Reads a file with the layout of `released/*.npz`.

  Labels and recordings are whole numbers (1.0 is 1) or text; folds may be
  names.

  Args:
    path: the file; see docs/formats.md.
    draws: the number of noise draws that an attacker is evaluated on.
    **knowledge: other fields of `adversary.Problem`.

  Raises:
    UserError: an array is missing, unknown, or has the wrong length, shape or
      values.
  """
  arrays = files.read_npz(path, 'It must be a whole .npz without objects.')
  for name in _REQUIRED:
    if name not in arrays:
      raise errors.UserError(
        f'{path} lacks the array {name!r}; it has {", ".join(sorted(arrays))}.'
      )
  sensitive = [name for name in arrays if name.startswith(_SENSITIVE)]
  if not sensitive or _SENSITIVE in sensitive:
    raise errors.UserError(
      f"{path} has no sensitive label: name one array 'sensitive_NAME' for"
      ' each.'
    )
  with errors.prefix(path):
    for name in arrays:
      errors.check_known(
        'array', name, [*_REQUIRED, 'noise_cov', _STRANGERS, *sensitive]
      )
    check_vectors('clean', arrays['clean'])
    labels = [
      vector_labels.Label(
        name.removeprefix(_SENSITIVE), name, *_read_label(arrays[name], name)
      )
      for name in ('primary', *sensitive)
    ]
    strangers = arrays.get(_STRANGERS)
    return vectors(
      arrays['clean'],
      labels,
      _read_label(arrays['recording'], 'recording')[0],
      _read_fold(arrays['fold'], 'fold', strangers is not None),
      None if strangers is None else _read_fold(strangers, _STRANGERS),
      arrays.get('noise_cov'),
      draws=draws,
      **knowledge,
    )


def vectors(
  clean: np.ndarray,
  labels: Sequence[vector_labels.Label],
  recording: np.ndarray,
  fold: np.ndarray,
  strangers: np.ndarray | None,
  noise_cov: np.ndarray | None,
  **knowledge: Any,
) -> Vectors:
  """Returns the attack problems of arrays.

  Args:
    clean: `[n, d]`, see `check_vectors`.
    labels: the primary label first.
    recording: `[n]`.
    fold: `[n]`, 0 train, 1 validation, 2 test, 3 attack; -1 for strangers.
    strangers: `[n]`, the folds of windows of people whom the network never saw;
      see `vector_labels.split`. `None` if there are none.
    noise_cov: `[d, d]`, the covariance of the noise; `None` without noise.
    **knowledge: other fields of `adversary.Problem`.

  Raises:
    UserError: an array has another length or is not of whole numbers, a fold is
      empty, or a class has no example to learn from; see also
      `vector_labels.split` and `problem`.
  """
  columns = {label.what: label.codes for label in labels}
  columns |= {'recording': recording, 'fold': fold}
  columns |= {} if strangers is None else {_STRANGERS: strangers}
  _check_columns(columns, len(clean))
  remarks = [
    line
    for label in labels
    for line in label_encoding.remarks(repr(label.name), label.classes)
  ]

  def make(part, fold):
    primary, *sensitive = part.labels
    return problem(
      clean[part.rows],
      primary.codes,
      {label.name: label.codes for label in sensitive},
      recording[part.rows],
      fold[part.rows],
      noise_cov,
      **knowledge,
    )

  seen = vector_labels.Part(np.ones(len(clean), bool), labels)
  unseen = None
  if strangers is None:
    _check_no_strangers(fold)
  nobody = {} if strangers is None else {vector_labels.OUT: 'none'}
  _check_fold('fold', fold, {dataset.ATTACK: 'attack'} | nobody)
  if strangers is not None:
    _check_fold(_STRANGERS, strangers, nobody)
    part = (fold != vector_labels.OUT) | (strangers != vector_labels.OUT)
    for label in labels:
      _check_numbers(label.what, label.codes[part])
    seen, unseen, notes = vector_labels.split(
      labels, recording, fold, strangers
    )
    remarks += notes
  _check_labels(seen.labels, fold[seen.rows])
  remarks += _shared_recordings(recording, fold, '')
  if strangers is not None:
    remarks += _shared_recordings(recording, strangers, ' of the strangers')
  return Vectors(
    make(seen, fold),
    None if unseen is None else make(unseen, strangers),
    tuple(remarks),
  )


def _read_label(values, name):
  """Returns whole numbers as they are, and text as classes with names."""
  if values.dtype.kind in 'US':
    return label_encoding.encode(values, repr(name))
  return _as_integers(values), []


def _read_fold(values, name, has_strangers=True):
  """Returns whole numbers as they are, and names of folds as numbers."""
  if values.dtype.kind not in 'US':
    return _as_integers(values)
  if values.ndim == 1:  # '1.0' is 1.
    values = label_encoding.read(values, repr(name))
  return parse_fold(values, name, has_strangers)


def _as_integers(values):
  """Returns floats that are all whole as integers, and others as they are."""
  if values.dtype.kind == 'f' and label_encoding.are_whole(values).all():
    return values.astype(np.int64)
  return values


def parse_fold(
  values: np.ndarray, name: str, has_strangers: bool = False
) -> np.ndarray:
  """Returns folds that are stored as numbers or as names.

  Args:
    values: `[n]`.
    name: of the array, for messages.
    has_strangers: whether some windows are in none, which is -1 or `'none'`.
  """
  more = {}
  if name != _STRANGERS:
    more |= {'attack': dataset.ATTACK, '3': dataset.ATTACK}
  if has_strangers:
    more |= dict.fromkeys(_OUT_NAMES, vector_labels.OUT)
  else:
    _check_no_strangers(values)
  return folds.parse_folds(values, repr(name), more)


def _check_no_strangers(fold):
  """Checks that no fold is of strangers, as numbers or as names."""
  if np.isin(fold.astype(str), _OUT_NAMES).any():
    raise errors.UserError(
      f"'fold' holds -1, for strangers, but there is no {_STRANGERS!r} with"
      ' their folds.'
    )


def problem(
  clean: np.ndarray,
  primary: np.ndarray,
  sensitive: Mapping[str, np.ndarray],
  recording: np.ndarray,
  fold: np.ndarray,
  noise_cov: np.ndarray | None,
  **knowledge: Any,
) -> adversary.Problem:
  """Returns the attack problem of arrays that the checks of this file passed.

  Args:
    clean: `[n, d]`, see `check_vectors`.
    primary: `[n]`, classes from 0.
    sensitive: name to `[n]`.
    recording: `[n]`.
    fold: `[n]`.
    noise_cov: `[d, d]`, the covariance of the noise; `None` without noise.
    **knowledge: other fields of `adversary.Problem`.

  Raises:
    UserError: `noise_cov` has the wrong shape, or is no covariance.
  """
  return adversary.Problem(
    clean=clean.astype(np.float32),
    noise_scale=_noise_scale(noise_cov, clean.shape[1]),
    primary=primary,
    sensitive=sensitive,
    recording=recording,
    fold=fold,
    **knowledge,
  )


def check_vectors(name: str, vectors: np.ndarray) -> None:
  """Checks released vectors.

  Args:
    name: of the array, for messages.
    vectors: `[n, d]`.

  Raises:
    UserError: they are not numbers of two axes, one is NaN or too large, or
      float32 does not hold their differences.
  """
  if vectors.ndim != 2 or not vectors.size or vectors.dtype.kind not in 'fiu':
    raise errors.UserError(
      f'{name!r} is {vectors.dtype} of shape {vectors.shape}; it must be'
      ' numbers of shape [examples, numbers], one or more of each.'
    )
  largest = np.finfo(np.float32).max
  if not (np.abs(vectors) <= largest).all():
    row = int(np.argmin((np.abs(vectors) <= largest).all(axis=1)))
    raise errors.UserError(
      f'{name!r} holds NaN, infinity or more than {largest:.2g}, first in row'
      f' {row}.'
    )
  number_checks.check_resolution(name, vectors)


def _check_columns(columns: Mapping[str, np.ndarray], count: int) -> None:
  """Checks the shapes and types of labels, recordings and folds.

  Args:
    columns: name of the array to `[n]`.
    count: the number of vectors.

  Raises:
    UserError: an array has another length or is not of integers.
  """
  for name, values in columns.items():
    if values.shape != (count,):
      raise errors.UserError(
        f'{name!r} has shape {values.shape}, and there are {count} vectors.'
      )
    if not np.issubdtype(values.dtype, np.integer):
      raise errors.UserError(
        f'{name!r} is {values.dtype}; it must be whole numbers.'
      )


def _check_fold(name, fold, more):
  """Checks that folds are train, validation, test or one of `more`."""
  valid = dict(enumerate(dataset.FOLDS)) | more
  if not np.isin(fold, list(valid)).all():
    listed = ', '.join(f'{i} {title}' for i, title in valid.items())
    raise errors.UserError(
      f'{name!r} holds {sorted(set(fold.tolist()))[:8]}; valid are {listed}.'
    )


def _check_numbers(name, codes):
  """Checks that the classes of both parts together are 0, 1, 2 and so on."""
  numbers = np.unique(codes)
  wrong = numbers != np.arange(len(numbers))
  if wrong.any():
    place = int(np.argmax(wrong))
    raise errors.UserError(
      f'{name!r} holds {numbers[place]} but not {place}; classes are numbered'
      ' from 0 without a gap.'
    )


def _shared_recordings(recording, fold, whose):
  """Yields a remark where recordings of the test fold are in another, too."""
  test = np.unique(recording[fold == dataset.TEST])
  other = recording[(fold != dataset.TEST) & (fold != vector_labels.OUT)]
  shared = int(np.isin(test, other).sum())
  if shared:
    yield (
      f'Recordings: of the {len(test)} of the test fold{whose}, {shared}'
      f' {"is" if shared == 1 else "are"} in another fold, too. This is right'
      ' only if each recording was split in time.'
    )


def _check_labels(labels, fold):
  """Checks that no fold is empty, and that attackers learn each class."""
  for i, fold_name in enumerate(dataset.FOLDS):
    count = int((fold == i).sum())
    if not count:
      raise errors.UserError(
        f"the {fold_name} fold is empty: no 'fold' is {i}."
      )
    if count < _FEWEST:
      raise errors.UserError(
        f'the {fold_name} fold has {count} vector; it needs {_FEWEST} or more.'
      )
  held_back = fold == dataset.ATTACK
  learning, title = fold == dataset.TRAIN, dataset.FOLDS[dataset.TRAIN]
  if held_back.any():
    learning, title = held_back, 'attack'
  for label in labels:
    _check_classes(label.what, label.codes, learning, title, label.classes)


def _check_classes(name, values, learning, title, class_names):
  if values.min() < 0 or values.max() >= len(values):
    raise errors.UserError(
      f'{name!r} holds {values.min()} to {values.max()}; classes are numbered'
      ' from 0 without a gap.'
    )
  counts = np.bincount(values[learning], minlength=int(values.max()) + 1)
  if len(counts) < 2:
    only = f' ({class_names[0]})' if class_names else ''
    raise errors.UserError(
      f'{name!r} has one class only{only}; two or more are needed.'
    )
  if not counts.all():
    empty = int(np.argmin(counts))
    if class_names:
      raise errors.UserError(
        f'class {class_names[empty]!r} of {name!r} is empty in the {title}'
        ' fold, which attackers learn from; it needs one example or more.'
      )
    raise errors.UserError(
      f'class {empty} of {name!r} is empty in the {title} fold, which attackers'
      ' learn from; classes are numbered from 0 without a gap.'
    )


def _noise_scale(covariance, d):
  if covariance is None:
    return None
  if covariance.shape != (d, d) or covariance.dtype.kind not in 'fiu':
    raise errors.UserError(
      f"'noise_cov' is {covariance.dtype} of shape {covariance.shape}; it must"
      f' be numbers of shape {(d, d)}.'
    )
  rule = (
    'It must be symmetric and positive definite, of deviations from'
    f' {_MIN_STD:g} to {1 / _MIN_STD:g}; leave it out where there is no noise.'
  )
  if not np.isfinite(covariance).all():
    raise errors.UserError(f"'noise_cov' holds NaN or infinity. {rule}")
  asymmetric = ~np.isclose(covariance, covariance.T, rtol=1e-4)
  if asymmetric.any():
    i, j = np.argwhere(asymmetric)[0]
    raise errors.UserError(
      f"'noise_cov' is {covariance[i, j]:g} in row {i} and column {j}, and"
      f' {covariance[j, i]:g} in row {j} and column {i}. {rule}'
    )
  try:
    scale = np.linalg.cholesky(covariance.astype(np.float64))
  except np.linalg.LinAlgError as e:
    least = np.linalg.eigvalsh(covariance.astype(np.float64))[0]
    raise errors.UserError(
      f"'noise_cov' has the eigenvalue {least:.3g}. {rule}"
    ) from e
  outside = (np.diag(scale) <= _MIN_STD) | (np.diag(scale) >= 1 / _MIN_STD)
  if outside.any():
    i = int(np.argmax(outside))
    raise errors.UserError(
      f"'noise_cov' has the deviation {scale[i, i]:.3g} in row {i}, given the"
      f' rows before it. {rule}'
    )
  return scale.astype(np.float32)
