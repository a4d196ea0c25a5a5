"""Reads and checks released vectors as attack problems."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hybrid_jax import errors, files
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import (
  dataset,
  folds,
  label_encoding,
  number_checks,
)

# The smallest standard deviation of noise that single precision can handle.
_MIN_STD = 1e-12
_REQUIRED = ('clean', 'primary', 'recording', 'fold')


def read(path: pathlib.Path, draws: int, **knowledge: Any) -> adversary.Problem:
  """Reads a file with the layout of `released/*.npz`.

  Args:
    path: the file; see docs/formats.md.
    draws: the number of noise draws that an attacker is evaluated on.
    **knowledge: other fields of `adversary.Problem`.

  Raises:
    UserError: an array is missing, unknown, or has the wrong length, shape or
      values.
  """
  return read_with_remarks(path, draws, **knowledge)[0]


def read_with_remarks(
  path: pathlib.Path, draws: int, **knowledge: Any
) -> tuple[adversary.Problem, list[str]]:
  """Does the same as `read`, and returns doubts about the labels, a line each.

  Labels and recordings are whole numbers or text; folds may be names.
  """
  arrays = files.read_npz(path, 'It must be a whole .npz without objects.')
  for name in _REQUIRED:
    if name not in arrays:
      raise errors.UserError(
        f'{path} lacks the array {name!r}; it has {", ".join(sorted(arrays))}.'
      )
  sensitive = {
    name.removeprefix('sensitive_'): labels
    for name, labels in arrays.items()
    if name.startswith('sensitive_')
  }
  if not sensitive or '' in sensitive:
    raise errors.UserError(
      f"{path} has no sensitive label: name one array 'sensitive_NAME' for"
      ' each.'
    )
  with errors.prefix(path):
    known = [*_REQUIRED, 'noise_cov', *map('sensitive_{}'.format, sensitive)]
    for name in arrays:
      errors.check_known('array', name, known)
    check_vectors('clean', arrays['clean'])
    labels, classes = {}, {}
    for name in ('primary', *map('sensitive_{}'.format, sensitive)):
      labels[name], classes[name] = _read_label(arrays[name], name)
    recording, _ = _read_label(arrays['recording'], 'recording')
    fold = _read_fold(arrays['fold'])
    check_labels(labels, recording, fold, len(arrays['clean']), classes)
    primary, *others = labels.values()
    read_problem = problem(
      arrays['clean'],
      primary,
      dict(zip(sensitive, others, strict=True)),
      recording,
      fold,
      arrays.get('noise_cov'),
      draws=draws,
      **knowledge,
    )
  return read_problem, [
    line
    for name, names in classes.items()
    for line in label_encoding.remarks(repr(name), names)
  ]


def _read_label(values, name):
  """Returns whole numbers as they are, and text as classes with names."""
  if values.dtype.kind not in 'US':
    return values, []
  return label_encoding.encode(values, repr(name))


def _read_fold(values):
  return (
    folds.parse_folds(values, "'fold'") if values.dtype.kind in 'US' else values
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
    primary: `[n]`, see `check_labels`.
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
      ' numbers of shape [examples, numbers].'
    )
  largest = np.finfo(np.float32).max
  if not (np.abs(vectors) <= largest).all():
    row = int(np.argmin((np.abs(vectors) <= largest).all(axis=1)))
    raise errors.UserError(
      f'{name!r} holds NaN, infinity or more than {largest:.2g}, first in row'
      f' {row}.'
    )
  number_checks.check_resolution(name, vectors)


def check_labels(
  labels: Mapping[str, np.ndarray],
  recording: np.ndarray,
  fold: np.ndarray,
  count: int,
  classes: Mapping[str, Sequence[str]] | None = None,
) -> None:
  """Checks labels, recordings and folds.

  Args:
    labels: name of the array to `[n]`, classes from 0.
    recording: `[n]`.
    fold: `[n]`.
    count: the number of vectors.
    classes: name of the array to the names of its classes; their numbers by
      default.

  Raises:
    UserError: an array has another length or is not of integers, a fold is
      empty, or a class has no example in the train fold.
  """
  integers = {**labels, 'recording': recording, 'fold': fold}
  for name, values in integers.items():
    if values.shape != (count,):
      raise errors.UserError(
        f'{name!r} has shape {values.shape}, and there are {count} vectors.'
      )
    if not np.issubdtype(values.dtype, np.integer):
      raise errors.UserError(
        f'{name!r} is {values.dtype}; it must be integers.'
      )
  if not np.isin(fold, (*range(len(dataset.FOLDS)), dataset.ATTACK)).all():
    raise errors.UserError(
      f"'fold' holds {sorted(set(fold.tolist()))[:8]}; 0 is train, 1"
      ' validation, 2 test, 3 attack.'
    )
  for i, fold_name in enumerate(dataset.FOLDS):
    if not (fold == i).any():
      raise errors.UserError(
        f"the {fold_name} fold is empty: no 'fold' is {i}."
      )
  held_back = fold == dataset.ATTACK
  learning = held_back if held_back.any() else fold == dataset.TRAIN
  for name, values in labels.items():
    _check_classes(name, values, learning, (classes or {}).get(name))


def _check_classes(name, values, train, class_names):
  if values.min() < 0 or values.max() >= len(values):
    raise errors.UserError(
      f'{name!r} holds {values.min()} to {values.max()}; classes are numbered'
      ' from 0 without a gap.'
    )
  counts = np.bincount(values[train], minlength=int(values.max()) + 1)
  if len(counts) < 2:
    only = f' ({class_names[0]})' if class_names else ''
    raise errors.UserError(
      f'{name!r} has one class only{only}; two or more are needed.'
    )
  if not counts.all():
    empty = int(np.argmin(counts))
    if class_names:
      raise errors.UserError(
        f'class {class_names[empty]!r} of {name!r} is empty in the train fold;'
        ' it needs at least one training example.'
      )
    raise errors.UserError(
      f'class {empty} of {name!r} is empty in the train fold; classes are'
      ' numbered from 0 without a gap.'
    )


def _noise_scale(covariance, d):
  if covariance is None:
    return None
  if covariance.shape != (d, d) or covariance.dtype.kind not in 'fiu':
    raise errors.UserError(
      f"'noise_cov' is {covariance.dtype} of shape {covariance.shape}; it must"
      f' be numbers of shape {(d, d)}.'
    )
  try:
    if not np.allclose(covariance, covariance.T, rtol=1e-4):
      raise np.linalg.LinAlgError
    scale = np.linalg.cholesky(covariance.astype(np.float64))
    if not (
      (np.diag(scale) > _MIN_STD) & (np.diag(scale) < 1 / _MIN_STD)
    ).all():
      raise np.linalg.LinAlgError
    return scale.astype(np.float32)
  except np.linalg.LinAlgError as e:
    raise errors.UserError(
      f"'noise_cov' must be symmetric and positive definite, of deviations from"
      f' {_MIN_STD:g} to {1 / _MIN_STD:g}; leave it out where there is no'
      ' noise.'
    ) from e
