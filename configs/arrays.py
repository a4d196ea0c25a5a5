"""A study of your own data: an `.npz` file, or a folder of CSV recordings.

    hybrid-jax study --config=arrays:my.npz --workdir=runs/my

`hybrid_jax.datasets.arrays` describes the file,
`hybrid_jax.datasets.recordings` the folder. Check the data first:

    hybrid-jax check-data --config=arrays:my.npz

Words can follow the path, as in `:my.npz,image,small`. `image`, `series`,
`channels_first` or `table` says what the axes of `x` are. `full`, `small` or
`tune` is a variant. The name of the file may contain commas.
"""

import math
import os
import pathlib

import ml_collections

from hybrid_jax import errors, plugins
from hybrid_jax.datasets import arrays, dataset, recordings
from hybrid_jax.study import config_parts
from hybrid_jax.training import augmentation

_NAME = 'arrays'
_POOLED = 8  # samples that three pools by two need at least
_DENSE = 64
_SMALL_BATCH = 32  # of images: a step of 128 takes seconds on a CPU


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Returns the study of a file or folder, with a network for its shape.

  Args:
    arg: the path, and words after commas.

  Raises:
    ValueError: the path is missing, or a word is unknown.
    UserError: the file or folder is invalid.
  """
  path, layout, variant = _parse(arg)
  if pathlib.Path(path).is_dir():
    settings = _settings('recordings', folder=path)
    labels = recordings.read_labels(settings)
    shape = (1, settings.window, 0)
    classes, train = labels.names['primary'], None
  else:
    settings = _settings('arrays', path=path, layout=layout)
    data, _ = arrays.read(settings)
    shape, classes = data.x.shape[1:], data.primary_names
    train = int((data.fold == dataset.TRAIN).sum())
  c = config_parts.get_config(settings.to_dict(), *_network(shape))
  c.release.prototypes = len(classes)
  if c.model.name != 'fully_connected':  # A table has no augmentation.
    c.augment.update(augmentation.PRESETS[_kind(c)])
  # A batch cannot be larger than the training fold.
  most = math.inf if train is None else train
  if variant == 'small' and c.model.name == 'vgg16':
    most = min(most, _SMALL_BATCH)
  for group in ('training', 'siamese', 'defend'):
    c[group].batch_size = min(c[group].batch_size, most)
  config_parts.shrink(c, variant)
  return c


def _settings(name, **more):
  defaults = plugins.defaults('data set', name)
  return ml_collections.ConfigDict({'name': name, **defaults, **more})


def _network(shape):
  """Returns a model for the shape of the examples, and its split points."""
  if shape[0] > 1:
    options = {'width': 0.25, 'norm': True, 'dense': _DENSE}
    return {'name': 'vgg16', 'options': options}, {'fc7': 6}
  if shape[1] == 1:
    return {'name': 'fully_connected'}, {'dense3': 6}
  if shape[1] < _POOLED:
    raise errors.UserError(
      f'a series has {shape[1]} samples; cnn1d needs {_POOLED} or more.'
    )
  return {'name': 'cnn1d', 'options': {'dense': _DENSE}}, {'dense1': 6}


def _kind(c):
  """Returns the preset of augmentation for the kind of data."""
  return 'picture' if c.model.name == 'vgg16' else 'signal'


def _parse(arg):
  """Returns the path, the layout, and the variant of the study."""
  path, words = _path(arg.split(','))
  if not path:
    raise ValueError(
      f'{_NAME} takes a file or folder, as {_NAME}:my.npz, not {arg!r}'
    )
  layout, variant = '', ''
  for word in words:
    kind = layout if word in arrays.LAYOUTS else variant
    if kind:
      raise ValueError(f'{_NAME} takes one of them: {word!r} after {kind!r}')
    if word in arrays.LAYOUTS:
      layout = word
    else:
      place = f'{_NAME} (after {path},image or ,series)'
      config_parts.check_variant(word, place)
      variant = word
  return path, layout or 'auto', variant


def _path(parts):
  """Returns the path, which may contain commas, and the words after it."""
  for i in range(len(parts), 0, -1):
    path = os.path.expanduser(','.join(parts[:i]))
    if path and os.path.exists(path):
      return path, parts[i:]
  return os.path.expanduser(parts[0]), parts[1:]
