"""Reads the `labels.csv` of a folder: one row for each file.

It has the columns `file` (a path within the folder), one for the primary label,
and one for each sensitive label. Optional: `group`, the person or session that
files belong to; and `fold`: train, validation or test, or 0, 1 or 2. Files and
folders whose names begin with a dot are ignored.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import ml_collections
import numpy as np

from hybrid_jax import errors, files, plugins, progress
from hybrid_jax.datasets import (
  csv_table,
  dataset,
  folds,
  label_encoding,
  sources,
)

NAME = 'labels.csv'
# Settings of the data sets that are a folder.
OPTIONS = {
  'folder': plugins.Option('', 'Folder of the files and labels.csv.'),
  'primary': plugins.Option('primary', 'Column of the primary label.'),
  'sensitive': plugins.Option(
    (),
    'Columns of the sensitive labels; none for all called sensitive_NAME.',
    type=tuple[str, ...],
  ),
  **dataset.PEOPLE,
}

_SENSITIVE = 'sensitive_'
_FEW = 5  # names in a remark
_SAME = 0.5  # of the files, that may have the same bytes


@dataclasses.dataclass(frozen=True)
class Labels:
  """The content of `labels.csv`.

  Attributes:
    files: paths within the folder.
    fold: `[files]` int8, or `None` without a `fold` column.
    group: `[files]` int32, or `None` without a `group` column.
    labels: label to `[files]` int32; the first one is `'primary'`.
    names: label to the names of its classes.
    remarks: columns that are not used, and doubts about the names of the
      groups, one line each.
  """

  files: list[str]
  fold: np.ndarray | None
  group: np.ndarray | None
  labels: dict[str, np.ndarray]
  names: dict[str, list[str]]
  remarks: list[str]


def folder(config: ml_collections.ConfigDict) -> pathlib.Path:
  """Returns the folder of a data set.

  Raises:
    UserError: `data.folder` is not set, or is no folder.
  """
  if not config.folder:
    raise errors.UserError(
      f'data.folder is not set; set it to the folder with {NAME}.'
    )
  path = pathlib.Path(config.folder).expanduser()
  if not path.is_dir():
    raise errors.UserError(f'data.folder {config.folder!r} is no folder.')
  return path


def read(
  config: ml_collections.ConfigDict,
  suffixes: Sequence[str],
  may_be_unlisted: bool = False,
) -> Labels:
  """Reads `labels.csv`.

  Args:
    config: see `OPTIONS`.
    suffixes: of the data's files, in lower case: `['.csv']`.
    may_be_unlisted: whether a file without a row is left out, which is printed.

  Raises:
    UserError: a column, label or file is missing, or occurs twice; a file has
      no row; or files of one group are in several folds.
  """
  path = folder(config) / NAME
  table = csv_table.read(path)
  sensitive = list(dataset.as_tuple(config.sensitive)) or [
    name
    for name in table.header
    if name.startswith(_SENSITIVE) and name != config.primary
  ]
  columns = [config.primary, *(sensitive or [f'{_SENSITIVE}NAME'])]
  _check_filled(table, ['file', *columns])
  fold = _read_folds(table)
  listed = table.text('file')
  _check_files(path, listed, tuple(suffixes), may_be_unlisted)
  labels, names = {}, {}
  for column in columns:
    label = column.removeprefix(_SENSITIVE) if labels else 'primary'
    if label in labels:
      raise errors.UserError(f'{path}: two labels are called {label!r}.')
    labels[label], names[label] = _encode(table, column)
  group, remarks = None, _unused(table, columns)
  if 'group' in table.header and 'group' not in columns:
    group, groups = _encode(table, 'group')
    remarks += label_encoding.remarks("'group'", groups)
    if fold is not None:
      with errors.prefix(path):
        folds.check_groups(group, groups, fold)
  return Labels(listed, fold, group, labels, names, remarks)


def make_dataset(
  config: ml_collections.ConfigDict,
  labels: Labels,
  x: np.ndarray | sources.Source,
  file: np.ndarray,
  channels: Sequence[str],
) -> dataset.Dataset:
  """Returns the data set of a folder, with its folds.

  Args:
    config: see `OPTIONS`, and `folds.OPTIONS` for files without a fold.
    labels: of the files.
    x: `[n, ...]`.
    file: `[n]`, the number of each example's file.
    channels: the names of the channels.

  Raises:
    UserError: the data set cannot be studied.
  """
  inside = folder(config)
  group = np.arange(len(labels.files)) if labels.group is None else labels.group
  fold = labels.fold
  if fold is None:
    unit = _same_bytes(inside, labels) if labels.group is None else group
    fold = folds.stratified(
      list(labels.labels.values()), config.fractions, config.seed, unit=unit
    )
  codes = {label: codes[file] for label, codes in labels.labels.items()}
  names = dict(labels.names)
  with errors.prefix(inside):
    return dataset.validate(
      dataset.Dataset(
        x=x,
        primary=codes.pop('primary'),
        primary_names=names.pop('primary'),
        sensitive=codes,
        sensitive_names=names,
        recording=group[file].astype(np.int32),
        fold=fold[file],
        channels=list(channels),
        remarks=labels.remarks,
        people=config.people,
      )
    )


def _same_bytes(inside, labels):
  """Returns `[files]`, one number for all files of the same bytes."""
  digests = [files.sha256(inside / name) for name in labels.files]
  _, first, unit, counts = np.unique(
    digests, return_index=True, return_inverse=True, return_counts=True
  )
  if counts.max() > _SAME * len(digests):
    name = labels.files[first[np.argmax(counts)]]
    raise errors.UserError(
      f'{inside}: {counts.max()} of {len(digests)} files have the bytes of'
      f' {name}; no folds can be made of them.'
    )
  return unit


def _unused(table, columns) -> list[str]:
  """Returns a remark if `labels.csv` has columns that are not used."""
  known = ['file', *columns, 'group', 'fold']
  unused = [name for name in table.header if name not in known]
  if not unused:
    return []
  similar = ''.join(
    errors.suggest(name.casefold(), ['group', 'fold']) for name in unused
  )
  return [
    f'columns of {NAME} that are not used: {", ".join(map(repr, unused))}.'
    f'{similar} A label is called {_SENSITIVE}NAME, or named by data.sensitive.'
  ]


def _encode(table, column):
  return label_encoding.encode(
    np.array(table.text(column)), f'{table.path}: {column!r}'
  )


def _check_filled(table, columns) -> None:
  """Checks that the columns exist and have a value in every row."""
  optional = [name for name in ('fold', 'group') if name in table.header]
  for column in [*columns, *optional]:
    for number, value in zip(table.numbers, table.text(column), strict=True):
      if label_encoding.is_missing(value):
        state = f'{value!r}, which is no value' if value else 'empty'
        raise errors.UserError(
          f'{table.path}, row {number}: {column!r} is {state}.'
        )


def _read_folds(table) -> np.ndarray | None:
  if 'fold' not in table.header:
    return None
  return np.array(
    [
      folds.parse_fold(value, f'fold in row {number} of {table.path}')
      for number, value in zip(table.numbers, table.text('fold'), strict=True)
    ],
    np.int8,
  )


def _check_files(path, files, suffixes, may_be_unlisted) -> None:
  """Checks that the files of `labels.csv` are those of the folder."""
  inside = path.parent
  relative = [file.relative_to(inside) for file in inside.rglob('*')]
  existing = {
    file.as_posix(): file
    for file in relative
    if file.suffix.lower() in suffixes and file.as_posix() != NAME
  }
  listed = set()
  for file in files:
    if file not in existing:
      kind = ' or '.join(suffixes) if len(suffixes) < 4 else 'readable'
      raise errors.UserError(
        f'{path} names {file!r}, which is not a {kind} file in {inside}.'
      )
    if file in listed:
      raise errors.UserError(f'{path} names {file!r} twice.')
    listed.add(file)
  unlisted = [
    name
    for name, file in sorted(existing.items())
    if name not in listed and not any(part[0] == '.' for part in file.parts)
  ]
  if unlisted and not may_be_unlisted:
    raise errors.UserError(f'{inside / unlisted[0]} has no row in {path}.')
  if unlisted:
    dots = ', ...' if len(unlisted) > _FEW else ''
    progress.say(
      f'{path}: files left out because they have no row: {len(unlisted)}:'
      f' {", ".join(unlisted[:_FEW])}{dots}'
    )
