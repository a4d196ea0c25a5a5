"""Your own recordings: a folder of CSV files, and a `labels.csv` in it.

Each file has a header of channel names and one row for each sample. A column of
times is no channel: it tells the rate and the gaps, which no window crosses.
`labels.csv` has the columns `file` (a path within the folder), one for the
primary label, one for each sensitive label, and optionally `fold`: train,
validation or test, or 0, 1 or 2. Files and folders whose names begin with a dot
are ignored.
"""

import dataclasses
import pathlib

import ml_collections

from hybrid_jax import errors, plugins
from hybrid_jax.datasets import (
  clocks,
  dataset,
  folds,
  label_table,
  signal_files,
  windows,
)

OPTIONS = {
  **label_table.OPTIONS,
  'channels': plugins.Option(
    (),
    'Columns of the recordings; none for all but the time and the index.',
    type=tuple[str, ...],
  ),
  **clocks.OPTIONS,
  **windows.OPTIONS,
  'hop': dataclasses.replace(windows.OPTIONS['hop'], default=64),
  'fractions': dataclasses.replace(
    folds.OPTIONS['fractions'], default=(0.55, 0.2, 0.25)
  ),
}


def load(config: ml_collections.ConfigDict) -> dataset.Dataset:
  """Loads windows of the recordings, `x [n, 1, window, channels]`.

  Their units are those of the files. With a `fold` column, each recording is in
  one fold. Without it, each is split in time; see `windows.split_in_time`. No
  window crosses a gap in time.

  Args:
    config: see `OPTIONS`.

  Raises:
    UserError: a file, column, row or value is missing or wrong; the message
      names it.
  """
  recordings = read_labels(config)
  folder = label_table.folder(config)
  signals = signal_files.read(folder, recordings.files, config)
  recording, start, fold = _place_windows(config, recordings, signals)
  labels = {k: codes[recording] for k, codes in recordings.labels.items()}
  names = dict(recordings.names)
  data = dataset.Dataset(
    x=windows.cut(signals.x, recording, start, config.window),
    primary=labels.pop('primary'),
    primary_names=names.pop('primary'),
    sensitive=labels,
    sensitive_names=names,
    recording=recording,
    fold=fold,
    channels=signals.channels,
    people=config.people,
    hertz=signals.hertz,
    remarks=[*recordings.remarks, *signals.remarks],
  )
  with errors.prefix(folder):
    return dataset.validate(data)


def read_labels(config: ml_collections.ConfigDict) -> label_table.Labels:
  """Reads the `labels.csv` of the folder; see `label_table.read`."""
  return label_table.read(config, ('.csv',))


def input_files(config: ml_collections.ConfigDict) -> list[pathlib.Path]:
  """Returns the recordings and `labels.csv`."""
  folder = pathlib.Path(config.folder)
  return [
    folder / file.relative_to(folder.expanduser())
    for file in sorted(label_table.folder(config).rglob('*'))
    if file.suffix.lower() == '.csv' and not file.name.startswith('.')
  ]


def _place_windows(config, recordings, signals):
  """Returns each window's recording, start and fold."""
  lengths = [len(signal) for signal in signals.x]
  if recordings.fold is None:
    spans = windows.split_in_time(lengths, config.fractions, config.gap)
  else:
    spans = [
      windows.Span(i, 0, length, int(recordings.fold[i]))
      for i, length in enumerate(lengths)
    ]
  with errors.prefix(label_table.folder(config)):
    return windows.place(
      spans,
      lengths,
      config.window,
      config.hop,
      recordings.files,
      signals.starts,
    )
