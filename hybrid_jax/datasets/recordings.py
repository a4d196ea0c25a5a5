"""Your own recordings: a folder of CSV files, and a `labels.csv` in it.

Each file has a header of channel names and one row for each sample.
`labels.csv` has the columns `file` (a path within the folder), one for the
primary label, one for each sensitive label, and optionally `fold`: train,
validation or test, or 0, 1 or 2. Files and folders whose names begin with a dot
are ignored.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import ml_collections
import numpy as np

from hybrid_jax import errors, plugins
from hybrid_jax.datasets import (
  csv_table,
  dataset,
  folds,
  label_encoding,
  windows,
)

OPTIONS = {
  'folder': plugins.Option('', 'Folder of the recordings and labels.csv.'),
  'primary': plugins.Option('primary', 'Column of the primary label.'),
  'sensitive': plugins.Option(
    (),
    'Columns of the sensitive labels; none for all called sensitive_NAME.',
    type=tuple[str, ...],
  ),
  'channels': plugins.Option(
    (),
    'Columns of the recordings; none for all of them.',
    type=tuple[str, ...],
  ),
  **windows.OPTIONS,
  'hop': dataclasses.replace(windows.OPTIONS['hop'], default=64),
  'fractions': dataclasses.replace(
    folds.OPTIONS['fractions'], default=(0.55, 0.2, 0.25)
  ),
}

_LABELS = 'labels.csv'
_SENSITIVE = 'sensitive_'


@dataclasses.dataclass(frozen=True)
class Labels:
  """The content of `labels.csv`.

  Attributes:
    files: the recordings, as paths within the folder.
    fold: `[recordings]` int8, or `None` without a `fold` column.
    labels: label to `[recordings]` int32; the first one is `'primary'`.
    names: label to the names of its classes.
  """

  files: list[str]
  fold: np.ndarray | None
  labels: dict[str, np.ndarray]
  names: dict[str, list[str]]


def load(config: ml_collections.ConfigDict) -> dataset.Dataset:
  """Loads windows of the recordings, `x [n, 1, window, channels]`.

  Their units are those of the files. With a `fold` column, each recording is in
  one fold. Without it, each is split in time; see `windows.split_in_time`.

  Args:
    config: see `OPTIONS`.

  Raises:
    UserError: a file, column, row or value is missing or wrong; the message
      names it.
  """
  recordings = read_labels(config)
  folder = _folder(config)
  channels, signals = _read_signals(folder, recordings.files, config.channels)
  recording, start, fold = _place_windows(config, recordings, signals)
  labels = {k: codes[recording] for k, codes in recordings.labels.items()}
  names = dict(recordings.names)
  data = dataset.Dataset(
    x=windows.cut(signals, recording, start, config.window),
    primary=labels.pop('primary'),
    primary_names=names.pop('primary'),
    sensitive=labels,
    sensitive_names=names,
    recording=recording,
    fold=fold,
    channels=channels,
  )
  with errors.prefix(folder):
    return dataset.validate(data)


def read_labels(config: ml_collections.ConfigDict) -> Labels:
  """Reads `labels.csv`.

  Args:
    config: see `OPTIONS`.

  Raises:
    UserError: a column, label or file is missing, or occurs twice.
  """
  path = _folder(config) / _LABELS
  table = csv_table.read(path)
  sensitive = list(dataset.as_tuple(config.sensitive)) or [
    name
    for name in table.header
    if name.startswith(_SENSITIVE) and name != config.primary
  ]
  columns = [config.primary, *(sensitive or [f'{_SENSITIVE}NAME'])]
  _check_filled(table, ['file', *columns])
  fold = _read_folds(table)
  files = table.text('file')
  _check_files(path, files)
  labels, names = {}, {}
  for column in columns:
    label = column.removeprefix(_SENSITIVE) if labels else 'primary'
    if label in labels:
      raise errors.UserError(f'{path}: two labels are called {label!r}.')
    labels[label], names[label] = label_encoding.encode(
      np.array(table.text(column)), f'{path}: {column!r}'
    )
  return Labels(files, fold, labels, names)


def _folder(config) -> pathlib.Path:
  if not config.folder:
    raise errors.UserError(
      f'data.folder is not set; set it to the folder with {_LABELS}.'
    )
  return pathlib.Path(config.folder).expanduser()


def _check_filled(table, columns) -> None:
  """Checks that the columns exist and have a value in every row."""
  optional = ['fold'] if 'fold' in table.header else []
  for column in [*columns, *optional]:
    for number, value in zip(table.numbers, table.text(column), strict=True):
      if not value:
        raise errors.UserError(
          f'{table.path}, row {number}: {column!r} is empty.'
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


def _check_files(path, files) -> None:
  """Checks that each CSV file of the folder has one row in `labels.csv`."""
  folder = path.parent
  relative = [file.relative_to(folder) for file in folder.rglob('*')]
  existing = {
    file.as_posix(): file
    for file in relative
    if file.suffix.lower() == '.csv' and file.as_posix() != _LABELS
  }
  for file in files:
    if file not in existing:
      raise errors.UserError(
        f'{path} names {file!r}, which is not a .csv file in {folder}.'
      )
    if files.count(file) > 1:
      raise errors.UserError(f'{path} names {file!r} twice.')
  for name, file in sorted(existing.items()):
    is_hidden = any(part[0] == '.' for part in file.parts)
    if name not in files and not is_hidden:
      raise errors.UserError(f'{folder / name} has no row in {path}.')


def _read_signals(
  folder: pathlib.Path, files: Sequence[str], setting: str | Sequence[str]
) -> tuple[list[str], list[np.ndarray]]:
  """Reads all recordings; their headers must be the same.

  Args:
    folder: the folder.
    files: the recordings.
    setting: `data.channels`; empty for all columns.

  Returns:
    The channels, and each recording's `[samples, channels]` float32.
  """
  signals, header = [], []
  for file in files:
    table = csv_table.read(folder / file)
    channels = list(dataset.as_tuple(setting)) or table.header
    _check_channels(table, channels)
    signals.append(table.floats(channels))
    header = header or table.header
    if table.header != header:
      raise errors.UserError(
        f'{folder / file} has the columns {", ".join(table.header)}, and'
        f' {folder / files[0]} has {", ".join(header)}; all files need the same'
        ' columns, in the same order.'
      )
  return list(dataset.as_tuple(setting)) or header, signals


def _check_channels(table, channels) -> None:
  for channel in channels:
    if not channel:
      raise errors.UserError(
        f'{table.path}, row 1: column {table.header.index(channel) + 1} has no'
        ' name, like the index that pandas writes; name it, or set'
        ' data.channels.'
      )
    if channels.count(channel) > 1:
      raise errors.UserError(f'data.channels names {channel!r} twice.')


def _place_windows(config, recordings, signals):
  """Returns each window's recording, start and fold."""
  lengths = [len(signal) for signal in signals]
  if recordings.fold is None:
    spans = windows.split_in_time(lengths, config.fractions, config.gap)
  else:
    spans = [
      windows.Span(i, 0, length, int(recordings.fold[i]))
      for i, length in enumerate(lengths)
    ]
  with errors.prefix(_folder(config)):
    return windows.place(
      spans, lengths, config.window, config.hop, recordings.files
    )
