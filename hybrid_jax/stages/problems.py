"""What attackers are given: released files, controls, and what they know."""

import functools
import pathlib
from typing import Any

import jax
import numpy as np

from hybrid_jax import errors, files
from hybrid_jax.adversaries import base as adversaries
from hybrid_jax.datasets import base as datasets
from hybrid_jax.models import base as models
from hybrid_jax.stages import base, release

CONTROLS = ('raw', 'noise', 'decision')
# The split point of a control, in place of one.
NOWHERE = ''


def of_row(
  study: base.Study, split_point: str, embedding: str
) -> adversaries.Problem:
  """A row's released file, and all that an attacker may know besides."""
  weights = study.config.release.embeddings[embedding].weights
  features = study.features(weights, split_point)
  simple = study.features(base.SIMPLE, split_point)
  return of_release(
    study,
    study.needs(study.released_path(split_point, embedding), 'release'),
    study.params(weights, split_point),
    release.fitted(study, split_point, embedding, features),
    split_point,
    None if embedding == base.SIMPLE else simple.reshape(len(simple), -1),
  )


def of_release(
  study: base.Study,
  path: pathlib.Path,
  params: Any,
  made: Any,
  split_point: str,
  uncensored: np.ndarray | None,
) -> adversaries.Problem:
  """A released file, with the network and the release that made it."""
  # One function for all problems of a split point: they share a compilation.
  edge = _edge(study.model, split_point)  # pyrefly: ignore[bad-argument-type]
  return read(
    path,
    study.config.attack.draws,
    uncensored=uncensored,
    behind=functools.partial(_behind, study, params, made, split_point),
    x=study.x,
    edge=jax.tree_util.Partial(edge, params, made),
  )


def read(
  path: pathlib.Path, draws: int, **knowledge: Any
) -> adversaries.Problem:
  """The problem in a file with the layout of `released/*.npz`.

  Args:
    path: the file; see the README.
    draws: how many fresh draws of the noise score an attacker.
    **knowledge: what else an attacker knows; see `adversaries.Problem`.

  Raises:
    UserError: an array is missing, or has the wrong length, shape or values.
  """
  arrays = files.read_npz(path)
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
  return adversaries.Problem(
    clean=arrays['clean'].astype(np.float32),
    noise_scale=_scale(path, arrays),
    primary=arrays['primary'],
    sensitive=sensitive,
    recording=arrays['recording'],
    fold=arrays['fold'],
    draws=draws,
    **knowledge,
  )


def _check(path, arrays, sensitive):
  clean = arrays['clean']
  if clean.ndim != 2 or not np.issubdtype(clean.dtype, np.floating):
    raise errors.UserError(
      f"{path}: 'clean' is {clean.dtype} of shape {clean.shape}; it must be"
      ' floating point of shape [examples, numbers].'
    )
  if not np.isfinite(clean).all():
    row = int(np.argmin(np.isfinite(clean).all(axis=1)))
    raise errors.UserError(
      f"{path}: 'clean' holds NaN or infinity, first in row {row}."
    )
  if not sensitive:
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
  for fold, fold_name in enumerate(datasets.FOLDS):
    if not (arrays['fold'] == fold).any():
      raise errors.UserError(
        f"{path}: the {fold_name} fold is empty: no 'fold' is {fold}."
      )
  train = arrays['fold'] == datasets.TRAIN
  for name, values in labels.items():
    if values.min() < 0:
      raise errors.UserError(f'{path}: {name!r} holds {values.min()}.')
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


def _scale(path, arrays):
  covariance = arrays.get('noise_cov')
  if covariance is None:
    return None
  d = arrays['clean'].shape[1]
  if covariance.shape != (d, d):
    raise errors.UserError(
      f"{path}: 'noise_cov' has shape {covariance.shape}; it must be {(d, d)}."
    )
  try:
    if not np.allclose(covariance, covariance.T, rtol=1e-4):
      raise np.linalg.LinAlgError
    return np.linalg.cholesky(covariance.astype(np.float64)).astype(np.float32)
  except np.linalg.LinAlgError as e:
    raise errors.UserError(
      f"{path}: 'noise_cov' must be symmetric and positive definite; leave it"
      ' out where there is no noise.'
    ) from e


def control(study: base.Study, name: str) -> adversaries.Problem:
  """One of `CONTROLS`, in the form of a released file."""
  data = study.data
  behind = None
  if name == 'raw':
    behind = functools.partial(_whole, study)
    features = study.x.reshape(len(study.x), -1)
  elif name == 'noise':
    dim = min(
      files.read_npz(p)['clean'].shape[1]
      for p in sorted((study.workdir / 'released').glob('*.npz'))
    )
    rng = np.random.default_rng(study.config.seed)
    features = rng.standard_normal((len(study.x), dim)).astype(np.float32)
  else:
    whole = jax.jit(lambda p, x: study.model.apply({'params': p}, x))
    logits = base.in_blocks(whole, study.params(base.SIMPLE), study.x)
    classes = len(data.primary_names)
    features = np.eye(classes, dtype=np.float32)[logits.argmax(-1)]
  return adversaries.Problem(
    clean=features,
    noise_scale=None,
    primary=data.primary,
    sensitive=data.sensitive,
    recording=data.recording,
    fold=data.fold,
    draws=study.config.attack.draws,
    behind=behind,
  )


@functools.lru_cache
def _edge(model, split_point):
  def run(params, made, x):
    features = model.apply({'params': params}, x, split_point, method='edge')
    return made.transform(features)

  return run


def _behind(study, params, made, split_point, outputs):
  """The cloud's half with that many outputs, on what is released."""
  model = models.make(study.config.model, outputs)
  shape = study.feature_shape(split_point)

  def fresh(key):
    whole = model.init(key, study.x[:1])['params']
    return models.split_params(model, whole, split_point)[1]

  def trained(key):
    _, cloud = models.split_params(model, params, split_point)
    return cloud | {'head': fresh(key)['head']}

  def apply(cloud, released):
    features = made.inverse(released).reshape(len(released), *shape)
    return model.apply({'params': cloud}, features, split_point, method='cloud')

  starts = {'fresh weights': fresh, "the cloud's weights": trained}
  return adversaries.Behind(starts, apply)


def _whole(study, outputs):
  model = models.make(study.config.model, outputs)
  return adversaries.Behind(
    {'fresh weights': lambda key: model.init(key, study.x[:1])['params']},
    lambda params, x: model.apply(
      {'params': params}, x.reshape(-1, *study.x.shape[1:])
    ),
  )
