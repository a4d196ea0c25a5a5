"""Faces of UTKFace: gender is the task, age group and race are to be hidden.

For non-commercial research only, and not part of this package: images and
labels are Z. Zhang, Y. Song and H. Qi, "Age progression/regression by
conditional adversarial autoencoder", CVPR 2017. The labels are a network's
estimates that people checked.
"""

import pathlib

import ml_collections
import numpy as np

from hybrid_jax import errors, files, plugins, progress
from hybrid_jax.datasets import dataset, folds, image_files

OPTIONS = {
  'path': plugins.Option(
    '', 'Folder of the published images, or an .npz of them.'
  ),
  'size': plugins.Option(48, 'Height and width.', unit='pixels', low=1),
  'grey': plugins.Option(True, 'Grey images in place of colour.'),
  'fractions': plugins.Option(
    (0.7, 0.1, 0.2),
    'Shares of training, validation and test, of the images.',
    above=0,
    lengths=(3,),
  ),
  'seed': plugins.Option(0, 'Seed of the split into folds.', low=0),
}

_GENDERS = ('male', 'female')
_RACES = ('white', 'black', 'Asian', 'Indian', 'others')
_AGES = (10, 25, 40, 60)
_AGE_GROUPS = ('under 10', '10 to 24', '25 to 39', '40 to 59', '60 and over')


def load(config: ml_collections.ConfigDict) -> dataset.Dataset:
  """The faces `x [n, size, size, 1 or 3]`, 0 (black) to 1 (white).

  Every image is a recording of its own. Folds are by chance, with each class's
  share in each; images of the same pixels are in one fold (in part 1, at 48
  grey pixels, 206 of 9,778 images are among 100 such sets).

  Args:
    config: see `OPTIONS`. A folder has the names of the published files,
      `[age]_[gender]_[race]_[date&time].jpg`; some lack a label, which are left
      out and counted. An `.npz` has `X [n, h, w]` uint8, `age`, `gender` and
      `race`.

  Raises:
    UserError: nothing is there, a label is out of range, or an image cannot be
      read.
  """
  if config.size < 1:
    raise errors.UserError(f'data.size is {config.size}; it must be 1 or more.')
  path = pathlib.Path(config.path).expanduser()
  if not config.path or not path.exists():
    raise errors.UserError(
      f'data.path {config.path!r} is not there; it is a folder of UTKFace'
      ' images, or an .npz of them.'
    )
  pixels, values = (
    _from_folder(path, config) if path.is_dir() else _from_file(path, config)
  )
  labels, names = {}, {}
  for name, known in (
    ('gender', _GENDERS),
    ('age_group', _AGE_GROUPS),
    ('race', _RACES),
  ):
    labels[name], names[name] = _present(values[name], known)
  fold = folds.stratified(
    list(labels.values()),
    config.fractions,
    config.seed,
    folds.duplicates(pixels),
  )
  data = dataset.Dataset(
    x=pixels.astype(np.float32) / 255,
    primary=labels.pop('gender'),
    primary_names=names.pop('gender'),
    sensitive=labels,
    sensitive_names=names,
    recording=np.arange(len(pixels), dtype=np.int32),
    fold=fold,
    channels=('grey (0 to 1)',)
    if config.grey
    else ('red (0 to 1)', 'green (0 to 1)', 'blue (0 to 1)'),
  )
  with errors.prefix(path):
    return dataset.validate(data)


def _present(values, names):
  """Labels of the classes that are there, and their names."""
  found, codes = np.unique(values, return_inverse=True)
  return codes.astype(np.int32), [names[i] for i in found]


def _from_folder(path, config):
  """`[n, size, size, c]` uint8, and the labels by name."""
  named, unnamed = [], []
  for file in sorted(path.glob('*.jpg')):
    parts = file.name.split('_')
    if len(parts) >= 4 and all(p.isascii() and p.isdigit() for p in parts[:3]):
      named.append((file, [int(part) for part in parts[:3]]))
    else:
      unnamed.append(file.name)
  if not named:
    raise errors.UserError(
      f'{path} has no image named [age]_[gender]_[race]_[date&time].jpg, of'
      f' {len(unnamed)} with the ending .jpg.'
    )
  if unnamed:
    progress.say(
      f'{path}: {len(unnamed)} images have no label in their name and are left'
      f' out: {", ".join(unnamed[:5])}{", ..." if len(unnamed) > 5 else ""}'
    )
  numbers = np.array([labels for _, labels in named])
  labels = _labels(*numbers.T, [str(file) for file, _ in named])
  mode, size = 'L' if config.grey else 'RGB', (config.size, config.size)
  pixels = [
    image_files.resize(image_files.open_image(file, mode), size)
    for file, _ in named
  ]
  return np.stack(pixels).reshape(len(pixels), *size, -1), labels


def _from_file(path, config):
  """As `_from_folder`, of an `.npz`."""
  stored = files.read_npz(path, 'It must be a whole .npz without objects.')
  for name in ('X', 'age', 'gender', 'race'):
    if name not in stored:
      raise errors.UserError(
        f'{path} lacks the array {name!r}; it has {", ".join(sorted(stored))}.'
      )
  pixels, size = stored['X'], (config.size, config.size)
  if pixels.ndim != 3 or pixels.dtype != np.uint8 or not pixels.size:
    raise errors.UserError(
      f"{path}: 'X' is {pixels.dtype} of shape {pixels.shape}; it must be uint8"
      ' of shape [images, height, width].'
    )
  if not config.grey:
    raise errors.UserError(
      f'{path} holds grey images; data.grey must be True for them.'
    )
  numbers = [stored[name] for name in ('age', 'gender', 'race')]
  for name, values in zip(('age', 'gender', 'race'), numbers, strict=True):
    if values.shape != (len(pixels),) or values.dtype.kind not in 'iu':
      raise errors.UserError(
        f'{path}: {name!r} is {values.dtype} of shape {values.shape}; it must'
        f' be a whole number for each of {len(pixels)} images.'
      )
  labels = _labels(*numbers, [f'{path}, row {i}' for i in range(len(pixels))])
  if pixels.shape[1:] != size:
    pixels = np.stack([image_files.resize(one, size) for one in pixels])
  return pixels[..., None], labels


def _labels(age, gender, race, places):
  for name, values, most in (
    ('age', age, 130),
    ('gender', gender, len(_GENDERS) - 1),
    ('race', race, len(_RACES) - 1),
  ):
    wrong = (values < 0) | (values > most)
    if wrong.any():
      row = int(np.argmax(wrong))
      raise errors.UserError(
        f'{places[row]}: {name} is {values[row]}; it must be 0 to {most}.'
      )
  return {
    'gender': gender.astype(int),
    'age_group': np.digitize(age, _AGES),
    'race': race.astype(int),
  }
