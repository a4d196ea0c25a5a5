"""Recordings of one's own: a folder of CSV files, and `labels.csv` beside them.

Each file has a header of channel names and a sample a row. `labels.csv` has the
columns `file` (its path within the folder), one for the primary label, one for
each sensitive label, and where wanted `fold`: train, validation or test, or 0,
1 or 2. Hidden files and folders, whose names begin with a dot, are passed over.
"""

import csv
import pathlib

import ml_collections
import numpy as np

from hybrid_jax import errors, plugins
from hybrid_jax.datasets import dataset, folds, label_encoding, windows

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
  'window': plugins.Option(128, 'Length of a window.', unit='samples', low=1),
  'hop': plugins.Option(
    64, "From one window's start to the next.", unit='samples', low=1
  ),
  'gap': plugins.Option(
    32,
    'Dropped at each border of folds, in each recording.',
    unit='samples',
    low=0,
  ),
  'fractions': plugins.Option(
    (0.55, 0.2, 0.25),
    'Shares of the folds, of each recording without a fold column.',
    above=0,
    lengths=(3,),
  ),
}

_LABELS = 'labels.csv'
_SENSITIVE = 'sensitive_'
_LARGEST = float(np.finfo(np.float32).max)


def load(config: ml_collections.ConfigDict) -> dataset.Dataset:
  """Windows of the recordings: `x [n, 1, window, channels]`, in their units.

  With a `fold` column each recording is in one fold as a whole; without, each
  is cut in time as `base.cut_windows` says. For `config` see `OPTIONS`.

  Raises:
    UserError: a file, column, row or value is missing or is not what it should
      be; it names it.
  """
  files, fold, labels = read_labels(config)
  folder = _folder(config)
  header, first = _samples(folder / files[0], config.channels)
  samples = [first]
  for file in files[1:]:
    found, values = _samples(folder / file, config.channels)
    if found != header:
      raise errors.UserError(
        f'{folder / file} has the columns {", ".join(found)}, and'
        f' {folder / files[0]} has {", ".join(header)}; all must have the same,'
        ' in the same order.'
      )
    samples.append(values)
  recording, start, fold = _place_windows(config, files, samples, fold)
  names = {name: classes for name, (_, classes) in labels.items()}
  labels = {name: codes[recording] for name, (codes, _) in labels.items()}
  data = dataset.Dataset(
    x=windows.cut(samples, recording, start, config.window),
    primary=labels.pop('primary'),
    primary_names=names.pop('primary'),
    sensitive=labels,
    sensitive_names=names,
    recording=recording,
    fold=fold,
    channels=_listed(config.channels) or header,
  )
  with errors.prefix(folder):
    return dataset.validate(data)


def read_labels(
  config: ml_collections.ConfigDict,
) -> tuple[
  list[str], np.ndarray | None, dict[str, tuple[np.ndarray, list[str]]]
]:
  """What `labels.csv` says of each recording.

  Returns:
    The files; their folds, or `None`; and `'primary'` and each sensitive label
    to its classes and their names, see `labelling.encode`.

  Raises:
    UserError: a column, label or file is missing, or is there twice.
  """
  path = _folder(config) / _LABELS
  header, rows = _rows(path)
  sensitive = _listed(config.sensitive) or [
    name
    for name in header
    if name.startswith(_SENSITIVE) and name != config.primary
  ]
  needed = ['file', config.primary, *(sensitive or [f'{_SENSITIVE}NAME'])]
  for name in needed:
    errors.check_known(f'column of {path}', name, header)
  columns, fold = {name: [] for name in header}, []
  for number, row in rows:
    for name, value in zip(header, row, strict=True):
      if not value and name in [*needed, 'fold']:
        raise errors.UserError(f'{path}, row {number}: {name!r} is empty.')
      if name == 'fold':
        fold.append(folds.code(value, f'fold in row {number} of {path}'))
      columns[name].append(value)
  _check_files(path, columns['file'])
  labels = {}
  for name in needed[1:]:
    short = name.removeprefix(_SENSITIVE) if labels else 'primary'
    if short in labels:
      raise errors.UserError(f'{path}: two labels are called {short!r}.')
    labels[short] = label_encoding.encode(
      np.array(columns[name]), f'{path}: {name!r}'
    )
  return columns['file'], np.array(fold, np.int8) if fold else None, labels


def _folder(config) -> pathlib.Path:
  if not config.folder:
    raise errors.UserError(f'data.folder is not set; it holds {_LABELS}.')
  return pathlib.Path(config.folder).expanduser()


def _listed(names) -> list[str]:
  """Names as a list; one alone may be given as a word."""
  return [names] if isinstance(names, str) else list(names)


def _check_files(path, listed):
  folder = path.parent
  found = (p.relative_to(folder) for p in folder.rglob('*'))
  there = {p.as_posix(): p for p in found if p.suffix.lower() == '.csv'}
  there.pop(_LABELS, None)
  for file in listed:
    if file not in there:
      raise errors.UserError(
        f'{path} names {file!r}, which is no .csv file in {folder}.'
      )
    if listed.count(file) > 1:
      raise errors.UserError(f'{path} names {file!r} twice.')
  rest = [
    file
    for file, p in sorted(there.items())
    if file not in listed and not any(part[0] == '.' for part in p.parts)
  ]
  if rest:
    raise errors.UserError(f'{folder / rest[0]} has no row in {path}.')


def _place_windows(config, files, samples, fold):
  """Returns each window's recording, start and fold."""
  lengths = [len(values) for values in samples]
  if fold is None:
    spans = windows.split_in_time(lengths, config.fractions, config.gap)
  else:
    spans = [
      windows.Span(i, 0, length, int(fold[i]))
      for i, length in enumerate(lengths)
    ]
  with errors.prefix(_folder(config)):
    return windows.place(spans, lengths, config.window, config.hop, files)


def _rows(path) -> tuple[list[str], list[tuple[int, list[str]]]]:
  """A CSV file's header, and its rows with their line numbers."""
  try:
    with open(path, newline='', encoding='utf-8-sig') as file:
      reader = csv.reader(file)
      rows = [(reader.line_num, [v.strip() for v in row]) for row in reader]
  except FileNotFoundError as e:
    raise errors.UserError(f'{path} is not there.') from e
  except (OSError, UnicodeDecodeError, csv.Error) as e:
    raise errors.UserError(f'{path} cannot be read as CSV: {e}.') from e
  rows = [(number, row) for number, row in rows if row]
  if len(rows) < 2:
    raise errors.UserError(
      f'{path} is empty: it has {"a header alone" if rows else "no header"}.'
    )
  (_, header), *rows = rows
  for number, row in rows:
    if len(row) != len(header):
      raise errors.UserError(
        f'{path}, row {number} has {len(row)} values; its header has'
        f' {len(header)}.'
      )
  for name in header:
    if header.count(name) > 1:
      raise errors.UserError(
        f'{path}, row 1: the column {name!r} is there twice, among'
        f' {", ".join(header)}.'
      )
  return header, rows


def _samples(path, wanted) -> tuple[list[str], np.ndarray]:
  """The header, and `[samples, channels]` float32 of the wanted columns."""
  header, rows = _rows(path)
  wanted = _listed(wanted) or header
  for name in wanted:
    errors.check_known(f'column of {path}', name, header)
    if not name or wanted.count(name) > 1:
      raise errors.UserError(
        f'{path}, row 1: column {header.index(name) + 1} has no name, as the'
        ' index that pandas writes; name it, or set data.channels.'
        if not name
        else f'data.channels names {name!r} twice.'
      )
  columns = [header.index(name) for name in wanted]
  out = np.empty((len(rows), len(columns)), np.float32)
  for values, (number, row) in zip(out, rows, strict=True):
    for i, column in enumerate(columns):
      try:
        value = float(row[column])
      except ValueError:
        value = np.nan
      if not abs(value) < _LARGEST:
        raise errors.UserError(
          f'{path}, row {number}, column {header[column]!r}: {row[column]!r} is'
          ' no finite number.'
        )
      values[i] = value
  return header, out
