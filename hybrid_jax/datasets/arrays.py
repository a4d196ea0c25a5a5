"""Arrays of one's own: an `.npz` of examples, their labels and their groups.

`x [n, ...]`, `primary [n]`, one `sensitive_NAME [n]` for each label to hide,
and where wanted `group [n]`, which recording an example is from, `fold [n]`,
`channels`, `primary_names` and `sensitive_NAME_names`.
"""

import pathlib

import ml_collections
import numpy as np

from hybrid_jax import errors, files, progress
from hybrid_jax.datasets import base
from hybrid_jax.datasets.builders import folds, labelling

DEFAULTS = {
  'path': '',
  'layout': 'auto',  # of x; see `arrange`
  'fractions': (0.6, 0.2, 0.2),  # of the folds, where the file has none
  'seed': 0,  # of the folds
}
LAYOUTS = ('auto', 'series', 'image')

_ARRAYS = ('x', 'primary', 'group', 'fold', 'channels', 'primary_names')
_SENSITIVE, _NAMES = 'sensitive_', '_names'


def load(config: ml_collections.ConfigDict) -> base.Dataset:
  """The examples as `read` gives them; how they were understood is said.

  Args:
    config: see `DEFAULTS`.

  Raises:
    UserError: the file cannot be studied; it names the array and the value.
  """
  data, remarks = read(config)
  for remark in remarks:
    progress.say(f'{config.path}: {remark}')
  return data


def read(config: ml_collections.ConfigDict) -> tuple[base.Dataset, list[str]]:
  """The data set, and what was chosen for it, a line each.

  Labels are whole numbers or text. Without `fold`, whole groups are split, so
  that each class has its share; without `group` too, single examples are, and
  copies of one example stay together.

  Raises:
    UserError: see `load`.
  """
  path = pathlib.Path(config.path)
  stored = files.read_npz(path, 'It must be a whole .npz without objects.')
  sensitive = _names_of_labels(path, stored)
  x, remark = arrange(_numbers(path, stored['x']), config.layout)
  remarks = [remark]
  labels, names = {}, {}
  for label in ('primary', *(_SENSITIVE + name for name in sensitive)):
    short = label.removeprefix(_SENSITIVE)
    labels[short], names[short] = labelling.encode(
      _one_each(path, label, stored[label], len(x)),
      f'{path}: {label!r}',
      stored.get(label + _NAMES),
    )
  recording = np.arange(len(x), dtype=np.int32)
  if 'group' in stored:
    group = _one_each(path, 'group', stored['group'], len(x))
    recording, groups = labelling.encode(group, f'{path}: {"group"!r}')
  else:
    remarks.append(
      "there is no 'group', so intervals take the examples as independent."
    )
  if 'fold' in stored:
    fold = _given_folds(path, stored['fold'], len(x))
    if 'group' in stored:
      _check_groups(path, recording, groups, fold)
  else:
    if 'group' in stored:
      _check_divisible(path, labels, names, recording)
    unit = recording if 'group' in stored else folds.duplicates(x)
    fold = folds.stratified(
      list(labels.values()), config.fractions, config.seed, unit
    )
    what = 'groups' if 'group' in stored else 'examples'
    remarks.append(f"there is no 'fold', so whole {what} are split by chance.")
  channels = [str(name) for name in stored.get('channels', ())]
  if channels and len(channels) != x.shape[-1]:
    raise errors.UserError(
      f"{path}: 'channels' has {len(channels)} names, and the last axis of 'x'"
      f' {x.shape[-1]} entries.'
    )
  data = base.Dataset(
    x=x,
    primary=labels.pop('primary'),
    primary_names=names.pop('primary'),
    sensitive=labels,
    sensitive_names=names,
    recording=recording,
    fold=fold,
    channels=channels,
  )
  try:
    return base.check(data), remarks
  except errors.UserError as e:
    raise errors.UserError(f'{path}: {e}') from e


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


def _numbers(path, x):
  if x.dtype.kind not in 'biuf' or x.ndim < 2 or not x.size:
    raise errors.UserError(
      f"{path}: 'x' is {x.dtype} of shape {x.shape}; it must be numbers of"
      ' shape [examples, ...].'
    )
  most = np.finfo(np.float32).max
  good = (np.abs(x) <= most).reshape(len(x), -1).all(axis=1)
  if x.dtype.kind == 'f' and not good.all():
    raise errors.UserError(
      f"{path}: 'x' holds NaN, infinity or more than {most:.2g} in"
      f' {int((~good).sum())} rows, first in row {int(np.argmin(good))}.'
    )
  return x


def _one_each(path, name, values, count):
  if values.shape != (count,):
    raise errors.UserError(
      f"{path}: {name!r} has shape {values.shape}, and 'x' has {count} rows."
    )
  return values


def _given_folds(path, fold, count):
  _one_each(path, 'fold', fold, count)
  found = np.unique(fold)
  if fold.dtype.kind not in 'iu' or not np.isin(found, range(3)).all():
    raise errors.UserError(
      f"{path}: 'fold' holds {', '.join(map(str, found[:8]))}; 0 is train, 1"
      ' validation, 2 test.'
    )
  return fold.astype(np.int8)


def _check_groups(path, recording, groups, fold):
  for i, group in enumerate(groups):
    held = np.unique(fold[recording == i])
    if len(held) > 1:
      raise errors.UserError(
        f'{path}: group {group!r} is in the folds'
        f' {" and ".join(base.FOLDS[f] for f in held)}; it must be in one.'
        ' Parts of a recording that are apart in time are groups of their own.'
      )


def _check_divisible(path, labels, names, recording):
  """Refuses groups that cannot be split with each class in training."""
  count = int(recording.max()) + 1
  if count < 3:
    raise errors.UserError(
      f"{path}: 'group' names {count} only; the folds need 3 or more."
    )
  for label, values in labels.items():
    pairs = np.unique(np.stack([values, recording]), axis=1)[0]
    alone = int((np.bincount(pairs) == 1).sum())
    if len(names[label]) > 1 and 2 * alone > len(names[label]):
      raise errors.UserError(
        f'{path}: {alone} of the {len(names[label])} classes of {label!r} are'
        " in one group only, so whole groups cannot be split. 'group' must name"
        " recordings, several of each class, or 'fold' must be given."
      )
