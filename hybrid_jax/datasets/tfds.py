"""Any image, sound or feature set of TFDS, by its name (`data.dataset`).

Examples are read with `as_data_source`. This does not import TensorFlow for
images and features. Sound sets import it, because TFDS's `Audio` does; so may
the first preparation of a set. See https://www.tensorflow.org/datasets.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import ml_collections
import numpy as np

from hybrid_jax import errors, plugins, progress
from hybrid_jax.datasets import dataset, image_files, label_encoding
from hybrid_jax.datasets._tfds import (
  example_reader,
  features,
  preparation,
  tfds_builder,
)

OPTIONS = {
  'dataset': plugins.Option(
    '', 'Name in TFDS: celeb_a, or name/config:version.'
  ),
  'data_dir': plugins.Option(
    '', 'Where TFDS keeps data; empty for ~/tensorflow_datasets.'
  ),
  'primary': plugins.Option(
    '', 'Key of the primary label, attributes/Male, or its last part.'
  ),
  'sensitive': plugins.Option(
    (), 'Keys of the sensitive labels.', type=tuple[str, ...]
  ),
  **dataset.PEOPLE,
  'group': plugins.Option(
    '', 'Key of the group of an example; empty for no groups.'
  ),
  'feature': plugins.Option(
    '', 'Key of the input; empty for the only image, sound or tensor.'
  ),
  'splits': {
    'train': plugins.Option(
      '', "TFDS's expression, train[:90%]; give all three or none."
    ),
    'validation': plugins.Option('', 'The same for validation.'),
    'test': plugins.Option('', 'The same for the test.'),
  },
  'size': plugins.Option(
    (),
    'Height and width of images; empty as they are.',
    unit='pixels',
    type=tuple[int, ...],
    low=1,
    lengths=(0, 2),
  ),
  'grey': plugins.Option(False, 'Grey images in place of colour.'),
  'length': plugins.Option(
    0,
    'Length of a series; 0 for the longest of the training fold.',
    unit='samples',
    low=0,
  ),
  'max_examples': plugins.Option(
    0, 'First examples of each fold that are read; 0 for all.', low=0
  ),
  'min_examples': plugins.Option(
    0, 'Examples in training of a class that is kept.', low=0
  ),
}


@dataclasses.dataclass(frozen=True)
class _Selected:
  """The features that the config names.

  Attributes:
    known: all features of the data set.
    input: the input.
    labels: by name; the first one is the primary label.
    group: of examples that belong together; or `None`.
  """

  known: Sequence[features.Feature]
  input: features.Feature
  labels: Mapping[str, features.Feature]
  group: features.Feature | None


@dataclasses.dataclass(frozen=True)
class _Rows:
  """The labels of all examples, and where the examples are.

  Attributes:
    values: label to `[n]`, the value of each example.
    group: `[n]`, the group of each example.
    fold: `[n]` int8.
    position: `[n]`, the position of an example in its fold.
  """

  values: Mapping[str, np.ndarray]
  group: np.ndarray
  fold: np.ndarray
  position: np.ndarray

  def select(self, rows: np.ndarray) -> '_Rows':
    """Returns some of the examples."""
    return _Rows(
      {name: values[rows] for name, values in self.values.items()},
      self.group[rows],
      self.fold[rows],
      self.position[rows],
    )


def load(config: ml_collections.ConfigDict) -> dataset.Dataset:
  """Loads images `[n, h, w, c]`, 0 to 1, or series `[n, 1, time, channels]`.

  Labels are read now; inputs are read when they are needed.

  Args:
    config: see `OPTIONS`. Classes with less than `min_examples` training
      examples are left out with all their examples.

  Raises:
    UserError: a name or setting is not valid (this is checked before the data
      are prepared), or TFDS cannot prepare or read the data. An input of
      another shape than the first one raises it when it is read.
  """
  builder = tfds_builder.make_builder(config)
  tfds = preparation.import_tfds()
  selected = _select_features(config, tfds, builder)
  rows = _drop_rare(config, _read_labels(config, tfds, builder, selected))
  labels, names = {}, {}
  for name, feature in selected.labels.items():
    labels[name], names[name] = features.encode_labels(
      feature, rows.values[name], rows.fold
    )
  primary, *sensitive = selected.labels
  decoders = features.skip_decoders(tfds, selected.known, selected.input.key)
  x = example_reader.make_source(
    example_reader.ExampleReader(
      tfds_builder.open_folds(config, builder, decoders),
      rows.fold,
      rows.position,
      selected.input,
      tuple(config.size),
      config.grey,
      config.length,
    )
  )
  recording = np.unique(rows.group, return_inverse=True)[1].astype(np.int32)
  return dataset.validate(
    dataset.Dataset(
      x=x,
      primary=labels[primary],
      sensitive={name: labels[name] for name in sensitive},
      recording=recording,
      fold=rows.fold,
      primary_names=names[primary],
      sensitive_names={name: names[name] for name in sensitive},
      channels=_channels(selected.input, x.shape[-1]),
      people=config.people,
    )
  )


def input_files(config: ml_collections.ConfigDict) -> list[pathlib.Path]:
  """Returns the descriptions of the prepared data, with sizes and counts."""
  folder = pathlib.Path(tfds_builder.make_builder(config).data_dir)
  return [folder / 'dataset_info.json', folder / 'features.json']


def input_kind(config: ml_collections.ConfigDict) -> str:
  """Returns `'image'` if examples are `[h, w, c]`, and else `'series'`.

  Args:
    config: see `OPTIONS`.

  Raises:
    UserError: a name or setting is not valid.
  """
  builder = tfds_builder.make_builder(config)
  selected = _select_features(config, preparation.import_tfds(), builder)
  return 'image' if len(selected.input.connector.shape) > 2 else 'series'


def _select_features(config, tfds, builder) -> _Selected:
  known = features.list_features(tfds, builder.info.features)
  input_feature = features.find_input(config.feature, known)
  features.check_settings(
    input_feature, config.size, config.grey, config.length
  )
  candidates = [feature for feature in known if feature.is_label]
  labels = [features.find_feature('primary label', config.primary, candidates)]
  labels += [
    features.find_feature('sensitive label', name, candidates)
    for name in dataset.as_tuple(config.sensitive)
  ]
  keys = [feature.key for feature in labels]
  if len(set(keys)) < len(keys):
    raise errors.UserError(
      f'data.primary and data.sensitive name {", ".join(keys)}; name each label'
      ' once.'
    )
  group = None
  if config.group:
    group = features.find_feature('group', config.group, candidates)
  return _Selected(known, input_feature, _name_labels(labels), group)


def _name_labels(labels) -> dict[str, features.Feature]:
  """Returns each label by a name that is unique, and can be in a file name."""
  ends = [feature.path[-1] for feature in labels]
  named = {}
  for feature, end in zip(labels, ends, strict=True):
    is_ambiguous = ends.count(end) > 1 or end == 'primary'
    name = feature.key if is_ambiguous else end
    named[name.replace('/', '_')] = feature
  return named


def _read_labels(config, tfds, builder, selected) -> _Rows:
  """Reads the labels and groups of all examples; inputs are not decoded."""
  decoders = features.skip_decoders(tfds, selected.known)
  folds = tfds_builder.open_folds(config, builder, decoders)
  counts = [min(len(f), config.max_examples or len(f)) for f in folds]
  group, values = [], {name: [] for name in selected.labels}
  with progress.Progress('labels', sum(counts), unit='example') as bar:
    for fold, count in zip(folds, counts, strict=True):
      for i in range(count):
        example = fold[i]
        for name, feature in selected.labels.items():
          values[name].append(_scalar(feature.value(example)))
        if selected.group:
          group.append(_scalar(selected.group.value(example)))
        bar.advance(1)
  return _Rows(
    values={
      name: _read(values[name], feature)
      for name, feature in selected.labels.items()
    },
    group=_read_group(group, selected.group, sum(counts)),
    fold=np.repeat(np.arange(3, dtype=np.int8), counts),
    position=np.concatenate([np.arange(count) for count in counts]),
  )


def _scalar(value):
  return value if isinstance(value, str | bytes) else np.asarray(value).item()


def _read(values, feature):
  return label_encoding.read(np.array(values, object), repr(feature.key))


def _read_group(values, feature, count) -> np.ndarray:
  """Returns the group of each example; by default each is its own."""
  if feature is None:
    return np.arange(count)
  group, names = label_encoding.encode(
    np.array(values, object), repr(feature.key)
  )
  for remark in label_encoding.remarks(f'the group {feature.key!r}', names):
    progress.say(f'data: {remark}')
  return group


def _drop_rare(config, rows) -> _Rows:
  """Drops the examples of classes with less than `min_examples` in training."""
  keep = np.ones(len(rows.fold), bool)
  if config.min_examples and len(keep):
    for values in rows.values.values():
      keep &= features.is_frequent(values, rows.fold, config.min_examples)
  if not keep.any():
    raise errors.UserError(
      f'no example of {config.dataset!r} is left; see data.splits'
      f' {config.splits.to_dict()} and data.min_examples'
      f' {config.min_examples}.'
    )
  return rows.select(np.flatnonzero(keep))


def _channels(feature, count) -> list[str]:
  if feature.kind == features.IMAGE:
    return list(image_files.channel_names(count))
  if feature.kind == features.SOUND and count == 1:
    return ['amplitude (-1 to 1)']
  return [f'{feature.key} {i}' for i in range(count)]
