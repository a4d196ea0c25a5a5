"""Faces of UTKFace: gender is the task, age group and race are to be hidden.

For non-commercial research only, and not part of this package: images and
labels are Z. Zhang, Y. Song and H. Qi, "Age progression/regression by
conditional adversarial autoencoder", CVPR 2017. A network estimated the labels,
and people checked them.
"""

import dataclasses
import pathlib

import ml_collections
import numpy as np

from hybrid_jax import errors, files, plugins, progress
from hybrid_jax.datasets import dataset, folds, image_files, label_encoding

OPTIONS = {
  'path': plugins.Option(
    '', 'Folder of the published images, or an .npz of them.'
  ),
  'size': plugins.Option(48, 'Height and width.', unit='pixels', low=1),
  'grey': plugins.Option(True, 'Grey images in place of colour.'),
  **folds.OPTIONS,
  'fractions': dataclasses.replace(
    folds.OPTIONS['fractions'], default=(0.7, 0.1, 0.2)
  ),
}

_AGE_GROUPS = {
  # Name to the first age of the group.
  'under 10': 0,
  '10 to 24': 10,
  '25 to 39': 25,
  '40 to 59': 40,
  '60 and over': 60,
}
# Label to its classes, in the order of the published numbers.
_NAMES = {
  'gender': ('male', 'female'),
  'age_group': tuple(_AGE_GROUPS),
  'race': ('white', 'black', 'Asian', 'Indian', 'others'),
}
_LARGEST = {'age': 130, 'gender': 1, 'race': 4}  # valid numbers, from 0


def load(config: ml_collections.ConfigDict) -> dataset.Dataset:
  """Loads the faces `x [n, size, size, 1 or 3]`, 0 (black) to 1 (white).

  Every image is a recording of its own. The folds are random, with each class's
  share in each; equal images are in one fold. (Part 1 has 9,778 images. At 48
  by 48 grey pixels, 206 of them are in 100 sets of equal images.)

  Args:
    config: see `OPTIONS`. A folder, or its subfolders, have the published file
      names, `[age]_[gender]_[race]_[date&time].jpg`, with any suffix that
      Pillow reads; images without a label in their name are left out, and their
      number is printed. An `.npz` has
      `X [n, h, w]` uint8, `age`, `gender` and `race`, each `[n]`.

  Raises:
    UserError: the path does not exist or has no image, a label is out of range,
      or an image cannot be read.
  """
  path = pathlib.Path(config.path).expanduser()
  if not config.path or not path.exists():
    raise errors.UserError(
      f'data.path {config.path!r} does not exist; it must be a folder of'
      ' UTKFace images, or an .npz of them.'
    )
  read = _read_folder if path.is_dir() else _read_file
  pixels, numbers = read(path, config)
  labels, names = _encode(numbers)
  fold = folds.stratified(
    list(labels.values()),
    config.fractions,
    config.seed,
    unit=folds.group_duplicates(pixels),
  )
  with errors.prefix(path):
    return dataset.validate(
      dataset.Dataset(
        x=pixels.astype(np.float32) / 255,
        primary=labels.pop('gender'),
        primary_names=names.pop('gender'),
        sensitive=labels,
        sensitive_names=names,
        recording=np.arange(len(pixels), dtype=np.int32),
        fold=fold,
        channels=image_files.channel_names(pixels.shape[-1]),
      )
    )


def _encode(numbers):
  """Returns the labels and their names, without the classes that are empty."""
  values = {
    'gender': numbers['gender'],
    'age_group': np.digitize(numbers['age'], list(_AGE_GROUPS.values())[1:]),
    'race': numbers['race'],
  }
  labels, names = {}, {}
  for label, classes in _NAMES.items():
    labels[label], names[label] = label_encoding.encode(
      values[label], label, classes, unused='drop'
    )
  return labels, names


def _read_folder(path, config):
  """Reads the images of a folder.

  Returns:
    Pixels `[n, size, size, c]` uint8; and `age`, `gender` and `race`, each
    `[n]`.
  """
  labelled, unlabelled = [], []
  suffixes = image_files.suffixes()
  for file in sorted(path.rglob('*')):
    is_hidden = any(p[0] == '.' for p in file.relative_to(path).parts)
    if file.suffix.lower() not in suffixes or is_hidden or not file.is_file():
      continue
    parts = file.name.split('_')
    if len(parts) >= 4 and all(p.isascii() and p.isdigit() for p in parts[:3]):
      labelled.append((file, [int(part) for part in parts[:3]]))
    else:
      unlabelled.append(file.name)
  if not labelled:
    raise errors.UserError(
      f'{path} has no image named [age]_[gender]_[race]_[date&time].jpg; it has'
      f' {len(unlabelled)} other images.'
    )
  if unlabelled:
    progress.say(
      f'{path}: images left out because their name has no label:'
      f' {len(unlabelled)}: {", ".join(unlabelled[:5])}'
      + (', ...' if len(unlabelled) > 5 else '')
    )
  columns = np.array([values for _, values in labelled]).T
  numbers = dict(zip(('age', 'gender', 'race'), columns, strict=True))
  _check_numbers(numbers, [str(file) for file, _ in labelled])
  mode, size = 'L' if config.grey else 'RGB', (config.size, config.size)
  pixels = [
    image_files.resize(image_files.read(file, mode), size)
    for file, _ in labelled
  ]
  return np.stack(pixels).reshape(len(pixels), *size, -1), numbers


def _read_file(path, config):
  """Reads the images of an `.npz`; see `_read_folder`."""
  stored = files.read_npz(path, 'It must be an .npz without Python objects.')
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
  numbers = {name: stored[name] for name in ('age', 'gender', 'race')}
  for name, values in numbers.items():
    if values.shape != (len(pixels),) or values.dtype.kind not in 'iu':
      raise errors.UserError(
        f'{path}: {name!r} is {values.dtype} of shape {values.shape}; it must'
        f' be a whole number for each of {len(pixels)} images.'
      )
  _check_numbers(numbers, [f'{path}, row {i}' for i in range(len(pixels))])
  if pixels.shape[1:] != size:
    pixels = np.stack([image_files.resize(image, size) for image in pixels])
  return pixels[..., None], numbers


def _check_numbers(numbers, places) -> None:
  for name, values in numbers.items():
    wrong = (values < 0) | (values > _LARGEST[name])
    if wrong.any():
      row = int(np.argmax(wrong))
      raise errors.UserError(
        f'{places[row]}: {name} is {values[row]}; it must be 0 to'
        f' {_LARGEST[name]}.'
      )
