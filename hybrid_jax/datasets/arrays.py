"""Arrays of one's own: an `.npz` of examples, their labels and their groups.

`x [n, ...]`, `primary [n]`, one `sensitive_NAME [n]` for each label to hide,
and where wanted `group [n]`, which recording an example is from, `fold [n]`,
`channels`, `primary_names` and `sensitive_NAME_names`. Folds are 0, 1 and 2, or
`train`, `validation` and `test`.
"""

import contextlib
import pathlib
import zipfile

import ml_collections
import numpy as np

from hybrid_jax import errors, files, plugins, progress
from hybrid_jax.datasets import dataset, folds, label_encoding

LAYOUTS = ('auto', 'series', 'image')
OPTIONS = {
  'path': plugins.Option('', 'The .npz file.'),
  'layout': plugins.Option(
    'auto', 'Meaning of the axes of x.', choices=LAYOUTS
  ),
  'fractions': plugins.Option(
    (0.6, 0.2, 0.2),
    'Shares of training, validation and test, where the file has no folds.',
    above=0,
    lengths=(3,),
  ),
  'seed': plugins.Option(0, 'Seed of the split into folds.', low=0),
}

_ARRAYS = ('x', 'primary', 'group', 'fold', 'channels', 'primary_names')
_SENSITIVE, _NAMES = 'sensitive_', '_names'


def load(config: ml_collections.ConfigDict) -> dataset.Dataset:
  """The examples as `read` gives them; how they were understood is said.

  Args:
    config: see `OPTIONS`.

  Raises:
    UserError: the file cannot be studied; it names the array and the value.
  """
  data, remarks = read(config)
  for remark in remarks:
    progress.say(f'{config.path}: {remark}')
  return data


def read(
  config: ml_collections.ConfigDict,
) -> tuple[dataset.Dataset, list[str]]:
  """The data set, and what was chosen for it, a line each.

  Labels are whole numbers or text. Without `fold`, whole groups are split, so
  that each class has its share; without `group` too, single examples are, and
  copies of one example stay together.

  Raises:
    UserError: see `load`.
  """
  path = pathlib.Path(config.path).expanduser()
  stored = _stored(path)
  sensitive = _names_of_labels(path, stored)
  x, remark = arrange(
    _check_numbers(stored['x'], f'{path}: {"x"!r}'), config.layout
  )
  remarks = [remark]
  labels, names = {}, {}
  for label in ('primary', *(_SENSITIVE + name for name in sensitive)):
    short = label.removeprefix(_SENSITIVE)
    labels[short], names[short] = label_encoding.encode(
      _one_each(path, label, stored[label], len(x)),
      f'{path}: {label!r}',
      stored.get(label + _NAMES),
    )
  recording = np.arange(len(x), dtype=np.int32)
  if 'group' in stored:
    group = _one_each(path, 'group', stored['group'], len(x))
    recording, groups = label_encoding.encode(group, f'{path}: {"group"!r}')
  else:
    remarks.append(
      "there is no 'group', so intervals take the examples as independent."
    )
  if 'fold' in stored:
    given = _one_each(path, 'fold', stored['fold'], len(x))
    fold = folds.encode(given, f'{path}: {"fold"!r}')
    if 'group' in stored:
      folds.check_groups(path, recording, groups, fold)
  else:
    if 'group' in stored:
      folds.check_divisible(path, labels, names, recording)
    unit = recording if 'group' in stored else folds.duplicates(x)
    fold = folds.stratified(
      list(labels.values()), config.fractions, config.seed, unit
    )
    what = 'groups' if 'group' in stored else 'examples'
    remarks.append(f"there is no 'fold', so whole {what} are split by chance.")
  data = dataset.Dataset(
    x=x,
    primary=labels.pop('primary'),
    primary_names=names.pop('primary'),
    sensitive=labels,
    sensitive_names=names,
    recording=recording,
    fold=fold,
    channels=_channels(path, stored, x.shape[-1]),
  )
  with errors.prefix(path):
    return dataset.validate(data), remarks


def arrange(x: np.ndarray, layout: str) -> tuple[np.ndarray, str]:
  """`x [n, ...]` as the networks take it, float32, and what it was taken for.

  `[n, time]` becomes `[n, 1, time, 1]`, `[n, time, channels]` becomes
  `[n, 1, time, channels]`; `[n, h, w, c]` and `[n, 1, time, c]` are kept. For
  the layout `'image'`, `[n, h, w]` becomes `[n, h, w, 1]`, as it suits grey
  images and spectrograms; `'auto'` takes three axes for a series. Images of
  uint8 are divided by 255.

  Raises:
    UserError: the layout is unknown, or is not one for these axes.
  """
  errors.check_known('layout', layout, LAYOUTS)
  shape = x.shape
  series = shape[1:2] == (1,) if x.ndim == 4 else layout != 'image'
  allowed = {'auto': (2, 3, 4), 'series': (2, 3, 4), 'image': (3, 4)}[layout]
  if x.ndim not in allowed or (layout == 'series' and not series):
    raise errors.UserError(
      f"'x' has shape {shape}; series are [n, time], [n, time, channels] or"
      ' [n, 1, time, channels], and images [n, h, w] (with layout=image) or'
      f' [n, h, w, channels]; the layout is {layout!r}.'
    )
  if series:
    if x.ndim < 4:
      x = x.reshape(shape[0], 1, shape[1], -1)
    what = f'series of {x.shape[2]} samples of {x.shape[3]} channels'
  else:
    x = x.reshape(*shape[:3], -1)
    what = f'images, {x.shape[1]} high, {x.shape[2]} wide, {x.shape[3]} deep'
  scaled = not series and x.dtype == np.uint8
  x = x.astype(np.float32) / np.float32(255 if scaled else 1)
  return x, (
    f'x {list(shape)} is taken for {what}'
    + (', and divided by 255' if scaled else '')
    + ('; see data.layout.' if len(shape) == 3 else '.')
  )


def _stored(path):
  """Every array of the file; one that cannot be read is named."""
  if path == pathlib.Path():
    raise errors.UserError('data.path is not set; it is the path of an .npz.')
  if path.is_dir():
    raise errors.UserError(f'{path} is a folder; it must be an .npz.')
  try:
    return files.read_npz(path, 'It must be a whole .npz without objects.')
  except errors.UserError:
    if path.is_file() and (objects := _objects(path)):
      raise errors.UserError(
        f'{path}: {objects[0]!r} holds objects, which are not read; it must be'
        ' numbers or text of one type.'
      ) from None
    raise


def _objects(path):
  """The names of the arrays of objects, from their headers."""
  found = []
  with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as whole:
    for name in whole.namelist():
      # An object's description ends in O: {'descr': '|O', ...
      with whole.open(name) as array:
        if b"'descr': '|O'" in array.read(128):
          found.append(name.removesuffix('.npy'))
  return found


def _check_numbers(x: np.ndarray, what: str) -> np.ndarray:
  """`x [n, ...]` as it is, once it is known that float32 can hold it.

  Raises:
    UserError: it has one axis, holds no number or another type than real
      numbers, or a value is NaN, infinity or beyond float32; it names the
      value, and its row from 0.
  """
  if x.dtype.kind not in 'biuf' or x.ndim < 2 or not x.size:
    raise errors.UserError(
      f'{what} is {x.dtype} of shape {x.shape}; it must be real numbers of'
      ' shape [examples, ...].'
    )
  if x.dtype.kind == 'f':
    most = np.finfo(np.float32).max
    good = (np.abs(x) <= most).reshape(len(x), -1)  # In the type of `x`.
    if not good.all():
      first = x.reshape(-1)[np.argmin(good)].item()
      rows = ~good.all(axis=1)
      raise errors.UserError(
        f'{what} ({x.dtype}) is {first:g} in row {int(np.argmax(rows))};'
        f' {int(rows.sum())} rows hold NaN, infinity or a number beyond'
        f' {most:.4g}, where float32 ends.'
      )
  return x


def _channels(path, stored, count):
  """The channels' names, if there are any: one for each."""
  if 'channels' not in stored:
    return []
  channels = label_encoding.texts(stored['channels'], f'{path}: {"channels"!r}')
  if len(channels) not in (0, count):
    raise errors.UserError(
      f"{path}: 'channels' has {len(channels)} names, and the last axis of 'x'"
      f' {count} entries.'
    )
  return channels


def _names_of_labels(path, stored):
  """The sensitive labels' names, once all arrays are known ones."""
  for name in ('x', 'primary'):
    if name not in stored:
      raise errors.UserError(
        f'{path} lacks the array {name!r}; it has'
        f' {", ".join(sorted(stored)) or "none"}.'
      )
  found = [
    name.removeprefix(_SENSITIVE)
    for name in stored
    if name.startswith(_SENSITIVE)
    and not (name.endswith(_NAMES) and name.removesuffix(_NAMES) in stored)
  ]
  if not found or not all(found) or 'primary' in found:
    raise errors.UserError(
      f"{path} has no sensitive label: name one array 'sensitive_NAME' for"
      f' each; it has {", ".join(sorted(stored))}.'
    )
  labels = [_SENSITIVE + name for name in found]
  for name in stored:
    known = [*_ARRAYS, *labels, *(label + _NAMES for label in labels)]
    errors.check_known(f'array of {path}', name, known)
  return found


def _one_each(path, name, values, count):
  if values.shape != (count,):
    raise errors.UserError(
      f"{path}: {name!r} has shape {values.shape}, and 'x' has {count} rows."
    )
  return values
