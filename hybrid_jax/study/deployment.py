"""Exports rows of a study: the split network, and its bundle."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from hybrid_jax import errors
from hybrid_jax.datasets import dataset, sources
from hybrid_jax.deploy.export import (
  bundle_writer,
  manifest,
  split_functions,
  training_range,
  variants,
)
from hybrid_jax.report import rows
from hybrid_jax.study import context, results
from hybrid_jax.study.stages import release

_TRAIN_EXAMPLES = 128  # for the ranges of int8
_RANGE_EXAMPLES = 4096  # at most, for the range of the training data,
_RANGE_BYTES = 2**28  # and at most so many bytes of them
_TEST_EXAMPLES = {'float32': 64}  # for the comparison with JAX
_MORE_TEST_EXAMPLES = 256  # for the other variants


def split_network(
  study: context.Study, split_point: str, embedding: str
) -> split_functions.SplitFunctions:
  """Returns the study's network at `split_point`, released as `embedding`.

  Raises:
    UserError: the study has no such row; the message lists its rows.
  """
  errors.check_known('split point', split_point, study.split_points)
  errors.check_known(
    f'embedding at {split_point!r}',
    embedding,
    [n for n in study.embeddings if split_point in study.split_points_of(n)],
  )
  weights = study.config.release.embeddings[embedding].weights
  features = study.features(weights, split_point)
  return split_functions.SplitFunctions(
    model=study.model,
    params=study.params(weights, split_point),
    split_point=split_point,
    normalizer=study.normalizer,
    release=release.fitted(study, split_point, embedding, features),
    example_shape=study.x.shape[1:],
    feature_shape=features.shape[1:],
  )


def write_bundle(
  study: context.Study,
  split_point: str,
  embedding: str,
  variant: str,
  folder: pathlib.Path,
  int8_input: bool = False,
  min_agreement: float = variants.MIN_AGREEMENT,
) -> dict[str, Any]:
  """Writes the bundle of one row of a study.

  Args:
    study: a study whose attack stage is done.
    split_point: one of its split points.
    embedding: one of its embeddings at this split point.
    variant: see `bundle_writer.write`.
    folder: where to write.
    int8_input: see `bundle_writer.write`.
    min_agreement: see `bundle_writer.write`.

  Returns:
    The manifest.

  Raises:
    UserError: the row or the variant is unknown, an earlier stage is missing,
      or the files do not equal the network, or agree with it too seldom.
  """
  variants.check(variant, int8_input)
  split = split_network(study, split_point, embedding)
  row = rows.find(
    results.gather(study), {'split_point': split_point, 'embedding': embedding}
  )
  facts = manifest.Facts(
    labels=study.data.primary_names,
    channels=study.data.channels,
    model=study.config.model.name,
    embedding=embedding,
    sigma=row['sigma'],
    relative_noise=row['relative_noise'],
    figures=figures(row, results.read_strangers(study)),
    hertz=study.data.hertz,
    training_range=training_range.measure(
      example_windows(study, dataset.TRAIN, _range_examples(study)),
      study.normalizer,
    ),
  )
  examples = bundle_writer.Examples(
    train=example_windows(study, dataset.TRAIN),
    test=example_windows(
      study, dataset.TEST, _TEST_EXAMPLES.get(variant, _MORE_TEST_EXAMPLES)
    ),
  )
  return bundle_writer.write(
    folder,
    split,
    facts,
    examples,
    study.config.seed,
    variant,
    int8_input,
    min_agreement,
  )


def figures(row: rows.Row, strangers: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the figures of a row that its bundle carries.

  Args:
    row: of `results.gather`; about the people of the training set.
    strangers: of `results.read_strangers`.

  Returns:
    `utility` and `leakage` of the row; `strangers`, the same of people whom the
    network never saw, empty where the row has none; and `stream`, for each
    label how many windows of one person keep a limit, for strangers where it
    can, and `people`, for whom that holds.
  """
  unseen = {}
  if strangers.get('split_point') == row['split_point']:
    unseen = strangers['embeddings'].get(row['embedding'], {})
  stream = {}
  for label, ceiling in row.get('ceiling', {}).items():
    people = 'training set'
    if label in unseen.get('ceiling', {}):
      ceiling, people = unseen['ceiling'][label], 'strangers'
    stream[label] = {
      'limit': ceiling['stream']['limit'],
      'budget': ceiling['stream']['budget'],
      'people': people,
    }
  return {
    'utility': row['utility'],
    'leakage': rows.public(row)['leakage'],
    'strangers': {
      name: unseen[name] for name in ('utility', 'leakage') if name in unseen
    },
    'stream': stream,
  }


def _range_examples(study) -> int:
  """Returns how many training examples the range is measured on."""
  size = 4 * int(np.prod(study.data.x.shape[1:]))
  return max(_TRAIN_EXAMPLES, min(_RANGE_EXAMPLES, _RANGE_BYTES // size))


def example_windows(
  study: context.Study, fold: int, count: int = _TRAIN_EXAMPLES
) -> np.ndarray:
  """Returns at most `count` examples of a fold, evenly spread.

  Returns:
    `[n, ...]` in sensor units.
  """
  indices = np.flatnonzero(study.rows(fold))
  chosen = indices[:: max(1, len(indices) // count)][:count]
  return sources.read_rows(study.data.x, chosen)
