"""TFDS data sets by name: their builders, and what of them trains and tests."""

from collections.abc import Sequence
from typing import Any

import ml_collections

from hybrid_jax import errors
from hybrid_jax.datasets import dataset
from hybrid_jax.datasets._tfds import prepare


def make(config: ml_collections.ConfigDict) -> Any:
  """The TFDS builder of `config.dataset`; nothing is read or prepared yet.

  What lies prepared in `data_dir` is taken as it is, without the code that
  prepared it.

  Raises:
    UserError: TFDS has no such data set, or cannot make it.
  """
  library = prepare.library()
  name = config.dataset
  if not name:
    raise errors.UserError(
      "data.dataset is not set; name a data set of TFDS, as 'celeb_a'."
    )
  try:
    plain, settings = library.core.naming.parse_builder_name_kwargs(
      name, data_dir=prepare.data_dir(config.data_dir)
    )
    try:
      return library.core.read_only_builder.builder_from_files(
        str(plain), **settings
      )
    except library.core.DatasetNotFoundError:
      return library.builder(
        name,
        data_dir=prepare.data_dir(config.data_dir),
        file_format='array_record',
      )
  except library.core.DatasetNotFoundError:
    known = library.list_builders(with_community_datasets=False)
    raise errors.UserError(
      f'TFDS has no data set {name!r}.{errors.suggest(name, known)} They are'
      ' listed at https://www.tensorflow.org/datasets/catalog.'
    ) from None
  except Exception as e:  # Builders raise what they like.
    raise errors.UserError(f'TFDS cannot make {name!r}: {_one_line(e)}') from e


def sources(
  config: ml_collections.ConfigDict, builder: Any, decoders: Any = None
) -> list[Sequence[Any]]:
  """What trains, validates and tests, prepared where it is not yet.

  Args:
    config: its `splits` has an expression for each, or is empty in all.
    builder: see `make`.
    decoders: see `features.skip`; all is decoded if `None`.

  Raises:
    UserError: the data cannot be had, or there is no such split.
  """
  for fold in config.splits:
    errors.check_known('fold of data.splits', fold, dataset.FOLDS)
  given = [config.splits.get(fold, '') for fold in dataset.FOLDS]
  if any(given) and not all(given):
    raise errors.UserError(
      f'data.splits is {dict(config.splits)}; give all of'
      f' {", ".join(dataset.FOLDS)}, or none.'
    )
  try:
    prepare.prepare(builder)
  except errors.UserError:
    raise
  except Exception as e:  # The network's, the builder's, and TensorFlow's.
    raise errors.UserError(
      f'TFDS cannot prepare {config.dataset!r}: {_one_line(e)}'
    ) from e
  splits = list(builder.info.splits or ())
  with errors.prefix(config.dataset):
    asked = given if any(given) else default_splits(splits)
  try:
    found = builder.as_data_source(
      split=dict(zip(dataset.FOLDS, asked, strict=True)), decoders=decoders
    )
  except Exception as e:
    raise errors.UserError(
      f'TFDS cannot read {", ".join(asked)} of {config.dataset!r}, whose splits'
      f' are {", ".join(splits) or "not known"}: {_one_line(e)}'
    ) from e
  return [found[fold] for fold in dataset.FOLDS]


def default_splits(splits: Sequence[str]) -> tuple[str, str, str]:
  """What trains, validates and tests, where the config does not say.

  Args:
    splits: the data set's own; none where TFDS does not know them.

  Raises:
    UserError: there is no split called train.
  """
  names = set(splits) or {'train', 'test'}
  own = [name for name in ('validation', 'valid', 'dev') if name in names]
  validation = own[0] if own else ''
  if 'train' not in names:
    raise errors.UserError(
      'the data set has no split called train, but'
      f' {", ".join(sorted(names))}; say in data.splits what trains, validates'
      ' and tests.'
    )
  if 'test' in names and validation:
    return 'train', validation, 'test'
  test = 'test' if 'test' in names else validation
  if test:
    return 'train[:90%]', 'train[90%:]', test
  return 'train[:80%]', 'train[80%:90%]', 'train[90%:]'


def _one_line(error: BaseException) -> str:
  text = ' '.join(str(error).split())
  return f'{type(error).__name__}: {text[:400]}'
