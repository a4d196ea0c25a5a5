"""Any image, sound or feature set of TFDS, by its name (`data.dataset`).

Its arrays are read through `as_data_source`. Reading images and features does
not import TensorFlow; a sound set does, because TFDS's `Audio` does, and so may
preparing a set for the first time. See https://www.tensorflow.org/datasets.
"""

from typing import Any

import ml_collections
import numpy as np

from hybrid_jax import errors, plugins, progress
from hybrid_jax.datasets import dataset
from hybrid_jax.datasets._tfds import examples, features, prepare, tfds_builder

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
  'group': plugins.Option(
    '', 'Key of what joins examples to a group; empty for each by itself.'
  ),
  'feature': plugins.Option(
    '', 'Key of the input; empty for the one image, sound or tensor.'
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


def load(config: ml_collections.ConfigDict) -> dataset.Dataset:
  """Images `[n, h, w, c]` from 0 to 1, or series `[n, 1, time, channels]`.

  Labels are read here, inputs when they are needed.

  Args:
    config: see `OPTIONS`. Classes with less than `min_examples` training
      examples are left out with all their examples.

  Raises:
    UserError: a name or setting is not right, which is found before the data
      are read; or the data cannot be had. An input of another shape than the
      first raises it when it is read.
  """
  builder = tfds_builder.make(config)
  library = prepare.library()
  known = features.leaves(library, builder.info.features)
  leaf, labels, group = _chosen(config, known)
  labelled = tfds_builder.sources(
    config, builder, features.skip(library, known)
  )
  values, groups, fold, place = _read(config, labelled, labels, group)
  keep = np.ones(len(fold), bool)
  if config.min_examples and len(fold):
    for name in labels:
      keep &= features.often(values[name], fold, config.min_examples)
  rows = np.flatnonzero(keep)
  if not len(rows):
    raise errors.UserError(
      f'no example of {config.dataset!r} is left; see data.splits'
      f' {config.splits.to_dict()} and data.min_examples'
      f' {config.min_examples}.'
    )
  fold = fold[rows]
  coded = {
    name: features.encode(feature, [values[name][i] for i in rows], fold)
    for name, feature in labels.items()
  }
  x = examples.source(
    examples.Get(
      tfds_builder.sources(
        config, builder, features.skip(library, known, leaf.key)
      ),
      fold,
      place[rows],
      leaf,
      tuple(config.size),
      config.grey,
      config.length,
    ),
    np.flatnonzero(fold == dataset.TRAIN),
  )
  primary, *sensitive = labels
  return dataset.validate(
    dataset.Dataset(
      x=x,
      primary=coded[primary][0],
      sensitive={name: coded[name][0] for name in sensitive},
      recording=np.unique(groups[rows], return_inverse=True)[1].astype(
        np.int32
      ),
      fold=fold,
      primary_names=coded[primary][1],
      sensitive_names={name: coded[name][1] for name in sensitive},
      channels=_channels(leaf, x.shape[-1]),
    )
  )


def kind(config: ml_collections.ConfigDict) -> str:
  """`'image'` where examples are `[h, w, c]`, and `'series'` where not.

  Raises:
    UserError: see `named.make`; or a key or setting is not right.
  """
  known = features.leaves(
    prepare.library(), tfds_builder.make(config).info.features
  )
  leaf, _, _ = _chosen(config, known)
  return 'image' if len(leaf.connector.shape) > 2 else 'series'


def _chosen(
  config, known
) -> tuple[features.Feature, dict[str, features.Feature], Any]:
  """The input, the labels by name, the primary first, and the group or None."""
  leaf = features.find_input(config.feature, known)
  possible = [feature for feature in known if feature.label]
  asked = config.sensitive
  asked = (asked,) if isinstance(asked, str) else tuple(asked)
  found = [
    features.find(f'{what} label', name, possible)
    for what, name in (
      ('primary', config.primary),
      *(('sensitive', name) for name in asked),
    )
  ]
  keys = [feature.key for feature in found]
  if len(set(keys)) < len(keys):
    raise errors.UserError(
      f'data.primary and data.sensitive name {", ".join(keys)}; each label can'
      ' be there once.'
    )
  last = [feature.path[-1] for feature in found]
  labels = {
    # A name is part of the names of files and figures.
    (
      feature.key
      if last.count(feature.path[-1]) > 1 or feature.path[-1] == 'primary'
      else feature.path[-1]
    ).replace('/', '_'): feature
    for feature in found
  }
  group = (
    features.find('group', config.group, possible) if config.group else None
  )
  if len(config.size) not in (0, 2) or min(config.size, default=1) < 1:
    raise errors.UserError(
      f'data.size is {tuple(config.size)}; it is (height, width), or empty.'
    )
  for name in ('length', 'max_examples', 'min_examples'):
    if config[name] < 0:
      raise errors.UserError(
        f'data.{name} is {config[name]}; it must not be negative.'
      )
  return leaf, labels, group


def _read(config, found, labels, group):
  """Values by label, groups `[n]`, and each one's fold and place `[n]`."""
  counts = [min(len(s), config.max_examples or len(s)) for s in found]
  groups, values = [], {name: [] for name in labels}
  with progress.Progress('labels', sum(counts), unit='example') as bar:
    for source, count in zip(found, counts, strict=True):
      for i in range(count):
        example = source[i]
        for name, feature in labels.items():
          values[name].append(features.plain(feature.of(example)))
        groups.append(
          features.plain(group.of(example)) if group else len(groups)
        )
        bar.advance(1)
  return (
    values,
    np.array(groups),
    np.repeat(np.arange(3, dtype=np.int8), counts),
    np.concatenate([np.arange(count) for count in counts]),
  )


def _channels(leaf, count) -> list[str]:
  if leaf.kind == features.IMAGE:
    names = {1: ('grey',), 3: ('red', 'green', 'blue')}.get(
      count, tuple(f'channel {i}' for i in range(count))
    )
    return [f'{name} (0 to 1)' for name in names]
  if leaf.kind == features.SOUND and count == 1:
    return ['amplitude (-1 to 1)']
  return [f'{leaf.key} {i}' for i in range(count)]
