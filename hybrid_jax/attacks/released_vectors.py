"""Reads files of released vectors as attack problems."""

import pathlib
from typing import Any

import numpy as np

from hybrid_jax import errors, files
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset

# The smallest standard deviation of noise that single precision can handle.
_MIN_STD = 1e-12


def read(path: pathlib.Path, draws: int, **knowledge: Any) -> adversary.Problem:
  """Reads a file with the layout of `released/*.npz`.

  Args:
    path: the file; see docs/formats.md.
    draws: the number of noise draws that an attacker is evaluated on.
    **knowledge: other fields of `adversary.Problem`.

  Raises:
    UserError: an array is missing, or has the wrong length, shape or values.
  """
  arrays = files.read_npz(path, 'It must be a whole .npz without objects.')
  for name in ('clean', 'primary', 'recording', 'fold'):
    if name not in arrays:
      raise errors.UserError(
        f'{path} lacks the array {name!r}; it has {", ".join(sorted(arrays))}.'
      )
  sensitive = {
    name.removeprefix('sensitive_'): labels
    for name, labels in arrays.items()
    if name.startswith('sensitive_')
  }
  _check(path, arrays, sensitive)
  return adversary.Problem(
    clean=arrays['clean'].astype(np.float32),
    noise_scale=_noise_scale(path, arrays),
    primary=arrays['primary'],
    sensitive=sensitive,
    recording=arrays['recording'],
    fold=arrays['fold'],
    draws=draws,
    **knowledge,
  )


def _check(path, arrays, sensitive):
  clean = arrays['clean']
  if clean.ndim != 2 or not clean.size or clean.dtype.kind not in 'fiu':
    raise errors.UserError(
      f"{path}: 'clean' is {clean.dtype} of shape {clean.shape}; it must be"
      ' numbers of shape [examples, numbers].'
    )
  largest = np.finfo(np.float32).max
  if not (np.abs(clean) <= largest).all():
    row = int(np.argmin((np.abs(clean) <= largest).all(axis=1)))
    raise errors.UserError(
      f"{path}: 'clean' holds NaN, infinity or more than {largest:.2g}, first"
      f' in row {row}.'
    )
  if not sensitive or '' in sensitive:
    raise errors.UserError(
      f"{path} has no sensitive label: name one array 'sensitive_NAME' for"
      ' each.'
    )
  labels = {'primary': arrays['primary']} | {
    f'sensitive_{name}': values for name, values in sensitive.items()
  }
  integers = labels | {n: arrays[n] for n in ('recording', 'fold')}
  for name, values in integers.items():
    if values.shape != (len(clean),):
      raise errors.UserError(
        f'{path}: {name!r} has shape {values.shape}, and there are'
        f' {len(clean)} vectors.'
      )
    if not np.issubdtype(values.dtype, np.integer):
      raise errors.UserError(
        f'{path}: {name!r} is {values.dtype}; it must be integers.'
      )
  if not np.isin(arrays['fold'], range(len(dataset.FOLDS))).all():
    raise errors.UserError(
      f"{path}: 'fold' holds {sorted(set(arrays['fold'].tolist()))[:8]}; 0 is"
      ' train, 1 validation, 2 test.'
    )
  for fold, fold_name in enumerate(dataset.FOLDS):
    if not (arrays['fold'] == fold).any():
      raise errors.UserError(
        f"{path}: the {fold_name} fold is empty: no 'fold' is {fold}."
      )
  train = arrays['fold'] == dataset.TRAIN
  for name, values in labels.items():
    if values.min() < 0 or values.max() >= len(values):
      raise errors.UserError(
        f'{path}: {name!r} holds {values.min()} to {values.max()}; classes are'
        ' numbered from 0 without a gap.'
      )
    counts = np.bincount(values[train], minlength=int(values.max()) + 1)
    if len(counts) < 2:
      raise errors.UserError(
        f'{path}: {name!r} has one class only; two or more are needed.'
      )
    if not counts.all():
      raise errors.UserError(
        f'{path}: class {int(np.argmin(counts))} of {name!r} is empty in the'
        ' train fold; classes are numbered from 0 without a gap.'
      )


def _noise_scale(path, arrays):
  covariance = arrays.get('noise_cov')
  if covariance is None:
    return None
  d = arrays['clean'].shape[1]
  if covariance.shape != (d, d) or covariance.dtype.kind not in 'fiu':
    raise errors.UserError(
      f"{path}: 'noise_cov' is {covariance.dtype} of shape {covariance.shape};"
      f' it must be numbers of shape {(d, d)}.'
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
      f"{path}: 'noise_cov' must be symmetric and positive definite, of"
      f' deviations from {_MIN_STD:g} to {1 / _MIN_STD:g}; leave it out where'
      ' there is no noise.'
    ) from e
