"""Your own arrays: an `.npz` of examples, their labels and their groups.

It holds `x [n, ...]`, `primary [n]`, and a `sensitive_NAME [n]` for each label
to hide. Optional: `group [n]`, the recording of each example; `fold [n]`, 0, 1
and 2 or `train`, `validation` and `test`; the names `channels`, `primary_names`
and `sensitive_NAME_names`; and `hertz`, samples a second.
"""

import contextlib
import pathlib
import zipfile

import ml_collections
import numpy as np

from hybrid_jax import errors, files, plugins, progress
from hybrid_jax.datasets import (
  dataset,
  folds,
  label_encoding,
  number_checks,
)

LAYOUTS = ('auto', 'series', 'image', 'table', 'channels_first')
OPTIONS = {
  'path': plugins.Option('', 'The .npz file.'),
  'layout': plugins.Option(
    'auto', 'Meaning of the axes of x.', choices=LAYOUTS
  ),
  **dataset.PEOPLE,
  **folds.OPTIONS,
}

_ARRAYS = (
  'x',
  'primary',
  'group',
  'fold',
  'channels',
  'primary_names',
  'hertz',
)
_SENSITIVE, _NAMES = 'sensitive_', '_names'


def load(config: ml_collections.ConfigDict) -> dataset.Dataset:
  """Loads the data set, and prints how its arrays were understood.

  Args:
    config: see `OPTIONS`.

  Raises:
    UserError: the file cannot be studied; the message names the array and the
      value.
  """
  data, remarks = read(config)
  for remark in remarks:
    progress.say(f'{config.path}: {remark}')
  return data


def read(
  config: ml_collections.ConfigDict,
) -> tuple[dataset.Dataset, list[str]]:
  """Loads the data set, with remarks on how its arrays were understood.

  Labels are whole numbers or text. Without `fold`, the groups are split at
  random, so that each fold has its share of every class. Without `group`, the
  examples are split, with equal examples in the same fold.

  Args:
    config: see `OPTIONS`.

  Returns:
    The data set, and one line for each remark.

  Raises:
    UserError: see `load`.
  """
  path = pathlib.Path(config.path).expanduser()
  stored = _read_file(path)
  with errors.prefix(path):
    array_of = _label_arrays(stored)
    number_checks.check_real('x', stored['x'])
    x, remark = arrange(stored['x'], config.layout)
    _check_lengths(stored, [*array_of.values(), 'group', 'fold'])
    labels, names = {}, {}
    for label, array in array_of.items():
      labels[label], names[label] = _encode(stored, array)
    recording, groups = _groups(stored)
    if 'fold' in stored:
      fold = folds.parse_folds(stored['fold'], "'fold'")
      folds.check_groups(recording, groups, fold)
    else:
      if groups:
        folds.check_splittable(labels, names, recording)
      fold = folds.stratified(
        list(labels.values()),
        config.fractions,
        config.seed,
        unit=recording if groups else folds.group_duplicates(x),
      )
    data = dataset.Dataset(
      x=x,
      primary=labels.pop('primary'),
      primary_names=names.pop('primary'),
      sensitive=labels,
      sensitive_names=names,
      recording=recording,
      fold=fold,
      channels=_channels(stored, x.shape[-1]),
      hertz=_hertz(stored),
      people=config.people,
    )
    return dataset.validate(data), [
      remark,
      *_remarks(stored),
      *label_encoding.remarks("'group'", groups),
    ]


def arrange(x: np.ndarray, layout: str) -> tuple[np.ndarray, str]:
  """Returns `x` in the shape that networks take, and a remark about it.

  A series `[n, time]` or `[n, time, channels]` becomes
  `[n, 1, time, channels]`. A table `[n, columns]` becomes `[n, 1, 1, columns]`,
  so that each column is normalized. A grey image `[n, h, w]` becomes
  `[n, h, w, 1]`. Arrays of four axes keep their shape. Images of uint8 are
  divided by 255.

  Args:
    x: `[n, ...]`, real numbers.
    layout: one of `LAYOUTS`. `'auto'` reads three axes as a series, and two
      axes as a series or, if the columns differ in scale (see
      `number_checks.scale_ratio`), as a table. `'channels_first'` is
      `[n, channels, time]`; `'image'` suits grey images and spectrograms.

  Returns:
    `[n, h, w, channels]` float32, with h = 1 for series; and one line.

  Raises:
    UserError: the layout is unknown, or does not fit the axes of `x`.
  """
  errors.check_known('layout', layout, LAYOUTS)
  shape = x.shape
  is_image = layout == 'image' or (x.ndim == 4 and shape[1] > 1)
  axes = {
    'auto': (2, 3, 4),
    'series': (2, 3, 4),
    'image': (3, 4),
    'table': (2,),
    'channels_first': (3,),
  }[layout]
  if x.ndim not in axes or (layout == 'series' and is_image):
    raise errors.UserError(
      f"'x' has shape {shape}; series are [n, time], [n, time, channels] or"
      ' [n, 1, time, channels], tables [n, columns] (layout=table), and images'
      ' [n, h, w] (layout=image) or [n, h, w, channels]; the layout is'
      f' {layout!r}.'
    )
  ratio = number_checks.scale_ratio(x) if x.ndim == 2 else 1
  if layout == 'table' or (
    layout == 'auto' and ratio > number_checks.SCALE_RATIO
  ):
    x = x.reshape(shape[0], 1, 1, -1).astype(np.float32)
    return x, _table_remark(shape, layout, ratio)
  if layout == 'channels_first':
    x = x.swapaxes(1, 2)
  if x.ndim < 4 and not is_image:
    x = x.reshape(shape[0], 1, x.shape[1], -1)
  elif x.ndim < 4:
    x = x.reshape(*shape, 1)
  is_bytes = is_image and x.dtype == np.uint8
  x = x.astype(np.float32) / np.float32(255 if is_bytes else 1)
  return x, _remark(shape, x.shape, is_image, is_bytes, layout)


def _table_remark(shape, layout, ratio):
  why = ''
  if layout == 'auto':
    why = (
      f', since its columns differ in scale by {ratio:.3g}. If they are the'
      ' samples of a series, set data.layout=series'
    )
  return (
    f'x {list(shape)} is read as a table of {shape[1]} columns, each of which'
    f' is normalized{why}.'
  )


def _remark(shape, arranged, is_image, is_bytes, layout):
  _, height, width, depth = arranged
  if is_image:
    text = f'images {height} high, {width} wide, with {depth} channels'
    if is_bytes:
      text += ', and divided by 255'
  else:
    text = f'series of {width} samples of {depth} channels'
  text = f'x {list(shape)} is read as {text}'
  if layout == 'auto' and len(shape) == 2:
    text += '. If each column is a feature of its own, set data.layout=table'
  if layout == 'auto' and len(shape) == 3:
    text += (
      ', since time is taken to be the second axis. If it is the third, set'
      ' data.layout=channels_first; for grey images or spectrograms, image'
    )
    if depth > width:
      text += f'. This is in doubt, since {depth} is more than {width}'
  return text + '.'


def _read_file(path) -> dict[str, np.ndarray]:
  """Reads all arrays; an array of Python objects is named in the error."""
  if path == pathlib.Path():
    raise errors.UserError('data.path is not set; set it to an .npz file.')
  if path.is_dir():
    raise errors.UserError(f'{path} is a folder; it must be an .npz file.')
  try:
    return files.read_npz(path, 'It must be an .npz without Python objects.')
  except errors.UserError:
    if path.is_file() and (objects := _object_arrays(path)):
      raise errors.UserError(
        f'{path}: {objects[0]!r} holds objects, which are not read; it must be'
        ' numbers or text of one type.'
      ) from None
    raise


def _object_arrays(path) -> list[str]:
  """Returns the names of the arrays of Python objects, from their headers."""
  names = []
  with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as file:
    for name in file.namelist():
      # The description of an object's type ends in O: {'descr': '|O', ...
      with file.open(name) as array:
        if b"'descr': '|O'" in array.read(128):
          names.append(name.removesuffix('.npy'))
  return names


def _label_arrays(stored) -> dict[str, str]:
  """Returns the array of each label; all arrays must be known ones."""
  for name in ('x', 'primary'):
    if name not in stored:
      raise errors.UserError(
        f'the file lacks the array {name!r}; it has'
        f' {", ".join(sorted(stored)) or "none"}.'
      )
  sensitive = [
    name
    for name in stored
    if name.startswith(_SENSITIVE)
    and not (name.endswith(_NAMES) and name.removesuffix(_NAMES) in stored)
  ]
  labels = {name.removeprefix(_SENSITIVE): name for name in sensitive}
  if not labels or '' in labels or 'primary' in labels:
    raise errors.UserError(
      "the file has no sensitive label: call its array 'sensitive_NAME', with"
      f' another name than primary. It has {", ".join(sorted(stored))}.'
    )
  known = [*_ARRAYS, *sensitive, *(name + _NAMES for name in sensitive)]
  for name in stored:
    errors.check_known('array', name, known)
  return {'primary': 'primary', **labels}


def _check_lengths(stored, names) -> None:
  count = len(stored['x'])
  for name in names:
    if name in stored and stored[name].shape != (count,):
      raise errors.UserError(
        f"{name!r} has shape {stored[name].shape}, and 'x' has {count} rows."
      )


def _encode(stored, array) -> tuple[np.ndarray, list[str]]:
  """Returns the classes of a label, and their names."""
  names = stored.get(array + _NAMES)
  if names is not None:
    names = label_encoding.read_names(names, f'the names of {array!r}')
  return label_encoding.encode(stored[array], repr(array), names)


def _groups(stored) -> tuple[np.ndarray, list[str]]:
  """Returns each example's group, and the groups' names.

  Without `group`, every example is a group of its own, and there are no names.
  """
  if 'group' in stored:
    return label_encoding.encode(stored['group'], "'group'")
  return np.arange(len(stored['x']), dtype=np.int32), []


def _remarks(stored) -> list[str]:
  remarks = []
  if 'group' not in stored:
    remarks.append(
      "there is no 'group', so intervals take the examples as independent."
    )
  if 'fold' not in stored:
    what = 'groups' if 'group' in stored else 'examples'
    remarks.append(f"there is no 'fold', so the {what} are split at random.")
  return remarks


def _hertz(stored) -> float | None:
  """Returns the samples a second, or None."""
  if 'hertz' not in stored:
    return None
  hertz = stored['hertz']
  if hertz.shape != () or hertz.dtype.kind not in 'iuf' or not hertz > 0:
    raise errors.UserError(
      f"'hertz' is {hertz.tolist()!r}; it must be one number above 0."
    )
  return float(hertz)


def _channels(stored, count) -> list[str]:
  """Returns the names of the channels, or none."""
  if 'channels' not in stored:
    return []
  channels = label_encoding.read_names(stored['channels'], "'channels'")
  if len(channels) not in (0, count):
    raise errors.UserError(
      f"'channels' has {len(channels)} names, and the last axis of 'x' {count}"
      ' entries.'
    )
  return channels
