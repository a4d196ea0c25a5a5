"""Stage `data`: reads the data set, checks it, and writes a summary."""

import math

import numpy as np

from hybrid_jax import errors, files, progress
from hybrid_jax.datasets import check, dataset, sources
from hybrid_jax.release import mechanisms, pca
from hybrid_jax.study import context, extras, trainings
from hybrid_jax.study.strangers import people_folds
from hybrid_jax.training import augmentation


def run(study: context.Study) -> None:
  """Writes `results/data.json`: shapes, class counts by fold, normalization.

  Says the faults and remarks of `datasets.check`, which the file has too.

  Raises:
    UserError: the data, or a size in the config, is invalid; see
      `datasets.dataset.validate`.
  """
  data = study.data
  _check_sizes(study)
  augmentation.check(study.config.augment, data.x.shape[1:])
  _check_folds(study)
  if (
    dataset.is_image(data.x.shape)
    and 'reconstruction' in study.config.attack.measures
  ):
    extras.check('images')
  people_folds.check(study)
  trainings.defended_labels(study.config, data.sensitive)
  names = {'primary': data.primary_names, **data.sensitive_names}
  folds = {
    name: int(study.rows(i).sum()) for i, name in enumerate(dataset.FOLDS)
  }
  if study.rows(dataset.ATTACK).any():
    folds['attack'] = int(study.rows(dataset.ATTACK).sum())
  counts = {
    label: {
      fold: np.bincount(
        values[study.rows(i)], minlength=len(names[label])
      ).tolist()
      for i, fold in enumerate(dataset.FOLDS)
    }
    for label, values in data.labels().items()
  }
  checked = _check(study)
  files.write_json(
    study.result('data'),
    checked
    | {
      'examples': folds,
      'recordings': len(np.unique(data.recording)),
      'shape': list(data.x.shape[1:]),
      'gib': 4 * math.prod(data.x.shape) / 2**30,
      'streamed': sources.is_lazy(data.x),
      'channels': list(data.channels),
      'classes': {label: list(values) for label, values in names.items()},
      'counts': counts,
      'mean': study.normalizer.mean.tolist(),
      'std': study.normalizer.std.tolist(),
    },
  )
  for kind, lines in (('fault', 'faults'), ('note', 'remarks')):
    for line in checked[lines]:
      progress.say(f'data: {kind}: {line}')
  progress.say(
    f'data: {len(data.x)} windows of shape {data.x.shape[1:]} from'
    f' {len(np.unique(data.recording))} recordings; '
    + ', '.join(f'{n} {fold}' for fold, n in folds.items())
    + f'; {_describe_reading(data.x, study.config.input)}'
  )


def _check(study):
  """Returns what `check_data` says; a second run repeats what it said."""
  path = study.result('data')
  stored = files.read_json(path) if path.exists() else {}
  if not {'faults', 'remarks', 'copies'} <= stored.keys():
    report = check.examine(study.data)
    stored = {
      'faults': report.faults,
      'remarks': report.remarks,
      'copies': report.copies.public(),
    }
  return {name: stored[name] for name in ('faults', 'remarks', 'copies')}


def _check_folds(study):
  """Checks that each fold has every primary class, which the utility needs."""
  data = study.data
  for i, fold in enumerate(dataset.FOLDS):
    present = np.unique(data.primary[study.rows(i)]).tolist()
    missing = sorted(set(range(len(data.primary_names))) - set(present))
    if missing:
      names = ', '.join(str(data.primary_names[k]) for k in missing)
      raise errors.UserError(
        f'the {fold} fold has no example of the primary class {names}: choose'
        ' folds that each have all classes, or remove that class.'
      )


def _describe_reading(x, config):
  size = f'{4 * math.prod(x.shape) / 2**30:.3g} GiB'
  if not sources.is_lazy(x):
    return f'all {size} in memory'
  readers = f'{config.workers} processes' if config.workers else 'threads'
  return (
    f'{size}, more than input.memory_limit={config.memory_limit:g}, read in'
    f' batches by {readers}'
  )


def _feature_sizes(study):
  """Returns the number of features at each split point.

  Raises `UserError` if the network does not take the examples.
  """
  try:
    return {p: math.prod(study.feature_shape(p)) for p in study.split_points}
  except errors.UserError:
    raise
  except Exception as e:  # Each layer has errors of its own.
    reason = str(e).strip().splitlines()[0]
    if isinstance(e, ZeroDivisionError):
      reason = 'they are too short, so that a layer has nothing left'
    raise errors.UserError(
      f'the network {study.config.model.name!r} with the model.options'
      f' {study.config.model.options.to_dict()} does not take examples of shape'
      f' {study.data.x.shape[1:]}: {reason}.'
    ) from e


def _check_sizes(study):
  """Checks sizes that a later stage would reject after minutes of training."""
  train = int(study.rows(dataset.TRAIN).sum())
  for split_point, size in _feature_sizes(study).items():
    largest = min(size, train)
    study.check_memory(split_point)
    for name in ('reduced_dim', 'bottleneck_dim'):
      dim = mechanisms.at_split_point(study.config.release[name], split_point)
      pca.check_dim(dim, largest, split_point, name)
  for group in ('training', 'siamese', 'defend'):
    size = study.config[group].batch_size
    if size > train:
      raise errors.UserError(
        f'{group}.batch_size is {size}; the training fold has {train} examples:'
        f' give --config.{group}.batch_size={train} or less.'
      )
