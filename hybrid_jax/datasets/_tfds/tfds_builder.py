"""Opens TFDS data sets by name, and chooses their splits."""

from collections.abc import Sequence
from typing import Any

import ml_collections

from hybrid_jax import errors
from hybrid_jax.datasets import dataset
from hybrid_jax.datasets._tfds import preparation


def make_builder(config: ml_collections.ConfigDict) -> Any:
  """Returns the TFDS builder of a data set, before any data are read.

  A data set that is prepared in `data_dir` needs no code of its own.

  Args:
    config: `dataset` and `data_dir`.

  Raises:
    UserError: TFDS has no such data set, or its builder fails.
  """
  tfds = preparation.import_tfds()
  name = config.dataset
  if not name:
    raise errors.UserError(
      "data.dataset is not set; name a data set of TFDS, as 'celeb_a'."
    )
  data_dir = preparation.expand_data_dir(config.data_dir)
  try:
    plain_name, settings = tfds.core.naming.parse_builder_name_kwargs(
      name, data_dir=data_dir
    )
    try:
      return tfds.core.read_only_builder.builder_from_files(
        str(plain_name), **settings
      )
    except tfds.core.DatasetNotFoundError:
      return tfds.builder(name, data_dir=data_dir, file_format='array_record')
  except tfds.core.DatasetNotFoundError:
    known = tfds.list_builders(with_community_datasets=False)
    raise errors.UserError(
      f'TFDS has no data set {name!r}.{errors.suggest(name, known)} They are'
      ' listed at https://www.tensorflow.org/datasets/catalog.'
    ) from None
  except Exception as e:  # Builders have errors of any type.
    raise errors.UserError(f'TFDS cannot make {name!r}: {_one_line(e)}') from e


def open_folds(
  config: ml_collections.ConfigDict, builder: Any, decoders: Any = None
) -> list[Sequence[Any]]:
  """Opens train, validation and test; prepares the data if necessary.

  Args:
    config: `dataset` and `splits`, a TFDS expression for each fold or for none.
    builder: see `make_builder`.
    decoders: see `features.skip_decoders`; `None` to decode all features.

  Returns:
    A TFDS data source for each fold.

  Raises:
    UserError: the data cannot be prepared, or there is no such split.
  """
  for fold in config.splits:
    errors.check_known('fold of data.splits', fold, dataset.FOLDS)
  expressions = [config.splits.get(fold, '') for fold in dataset.FOLDS]
  if any(expressions) and not all(expressions):
    raise errors.UserError(
      f'data.splits is {dict(config.splits)}; give all of'
      f' {", ".join(dataset.FOLDS)}, or none.'
    )
  try:
    preparation.prepare(builder)
  except errors.UserError:
    raise
  except Exception as e:  # From the network, the builder or TensorFlow.
    raise errors.UserError(
      f'TFDS cannot prepare {config.dataset!r}: {_one_line(e)}'
    ) from e
  splits = list(builder.info.splits or ())
  if not any(expressions):
    with errors.prefix(config.dataset):
      expressions = default_splits(splits)
  try:
    opened = builder.as_data_source(
      split=dict(zip(dataset.FOLDS, expressions, strict=True)),
      decoders=decoders,
    )
  except Exception as e:
    raise errors.UserError(
      f'TFDS cannot read {", ".join(expressions)} of {config.dataset!r}, whose'
      f' splits are {", ".join(splits) or "not known"}: {_one_line(e)}'
    ) from e
  return [opened[fold] for fold in dataset.FOLDS]


def default_splits(splits: Sequence[str]) -> tuple[str, str, str]:
  """Returns the expressions of train, validation and test.

  Args:
    splits: the names of the data set's splits; empty if TFDS does not know
      them.

  Raises:
    UserError: there is no split called train.
  """
  names = set(splits) or {'train', 'test'}
  if 'train' not in names:
    raise errors.UserError(
      'the data set has no split called train, but'
      f' {", ".join(sorted(names))}; say in data.splits what trains, validates'
      ' and tests.'
    )
  named = [name for name in ('validation', 'valid', 'dev') if name in names]
  validation = named[0] if named else ''
  if 'test' in names and validation:
    return 'train', validation, 'test'
  test = 'test' if 'test' in names else validation
  if test:
    return 'train[:90%]', 'train[90%:]', test
  return 'train[:80%]', 'train[80%:90%]', 'train[90%:]'


def _one_line(error: BaseException) -> str:
  text = ' '.join(str(error).split())
  return f'{type(error).__name__}: {text[:400]}'
