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
  label_table,
  windows,
)

OPTIONS = {
  **label_table.OPTIONS,
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
  folder = label_table.folder(config)
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


def read_labels(config: ml_collections.ConfigDict) -> label_table.Labels:
  """Reads the `labels.csv` of the folder; see `label_table.read`."""
  return label_table.read(config, ('.csv',))


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
  with errors.prefix(label_table.folder(config)):
    return windows.place(
      spans, lengths, config.window, config.hop, recordings.files
    )
