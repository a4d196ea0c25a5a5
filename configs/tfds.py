r"""A study of any data set of TFDS with images, sounds or features.

    hybrid-jax study --workdir=runs/celeb_a \
      --config=tfds:celeb_a,primary=Male,sensitive=Young

The argument is the name of the data set, then `primary=` and `sensitive=` with
keys of its features; `+` joins several sensitive ones. Optional: `size=64` or
`size=48x64` (height, width), `grey=1`, `length=` (samples of a series),
`group=`, `feature=`, `max_examples=` (of each fold), `min_examples=` (of a
class in the training fold), `data_dir=`, and `full`, `small` or `tune`. See
`hybrid_jax.datasets.tfds`. Without a GPU, start with `max_examples=4000`.
"""

import ml_collections

from hybrid_jax import plugins
from hybrid_jax.datasets import tfds
from hybrid_jax.study import config_parts

_NAME = 'tfds'
_TEXT = ('primary', 'sensitive', 'group', 'feature', 'data_dir')
_NUMBERS = ('length', 'max_examples', 'min_examples', 'grey')
_KEYS = (*_TEXT, *_NUMBERS, 'size')
_SIZE = 64  # pixels of an image by default


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Returns the study of a TFDS data set.

  The features of the data set determine the model: VGG-16 with a quarter of its
  width for images, `cnn1d` for series.

  Args:
    arg: for example `'celeb_a,primary=Male,sensitive=Young+Smiling,small'`.

  Raises:
    ValueError: the argument is invalid, or TFDS has no such data set or
      feature; the message names the part.
  """
  data, variant = _parse(arg)
  settings = {'name': 'tfds', **plugins.values(tfds.OPTIONS), **data}
  if tfds.input_kind(ml_collections.ConfigDict(settings)) == 'image':
    model = {'name': 'vgg16', 'options': {'width': 0.25, 'norm': True}}
    settings['size'] = settings['size'] or (_SIZE, _SIZE)
    c = config_parts.get_config(settings, model, {'pool5': 8, 'fc7': 6})
  else:
    # At earlier layers, the features of a sound are too long for the attacks.
    c = config_parts.get_config(settings, {'name': 'cnn1d'}, {'dense1': 6})
  config_parts.shrink(c, variant)
  return c


def _parse(arg):
  """Returns the settings of the data, and the variant of the study."""
  name, *parts = arg.split(',')
  if not name or '=' in name:
    raise ValueError(
      f'{_NAME} takes a TFDS data set and its labels, as'
      f' {_NAME}:celeb_a,primary=Male,sensitive=Young, not {arg!r}'
    )
  data, variant = {'dataset': name}, ''
  for part in parts:
    key, equals, value = part.partition('=')
    if not equals and key:
      config_parts.check_variant(key, f'{_NAME} (after {name},)')
      variant = key
    elif key not in _KEYS or not value:
      raise ValueError(
        f'{_NAME} takes {", ".join(f"{k}=" for k in _KEYS)} or'
        f' {", ".join(config_parts.VARIANTS[1:])}, not {part!r}'
      )
    else:
      data[key] = _value(key, value)
  for key in ('primary', 'sensitive'):
    if key not in data:
      raise ValueError(f'{_NAME} needs {key}=, a label of {name}')
  return data, variant


def _value(key, value):
  if key == 'sensitive':
    return tuple(value.split('+'))
  if key in _TEXT:
    return value
  try:
    if key == 'size':
      sizes = [int(part) for part in value.split('x')]
      height, width = sizes * 2 if len(sizes) == 1 else sizes
      return height, width
    return bool(int(value)) if key == 'grey' else int(value)
  except ValueError:
    form = 'one whole number, or two as 48x64' if key == 'size' else 'a number'
    raise ValueError(
      f'{_NAME} takes {form} for {key}=, not {value!r}'
    ) from None
