"""Shoulder exercises from a smart watch: 10 people, 7 exercises, 2 sides.

140 recordings of a six-axis sensor at 50 Hz. They are files of the `seglearn`
package (BSD-3), which is not imported.
Source: Burns et al., "Shoulder physiotherapy exercise recognition: machine
learning the inertial signals from a smartwatch", Physiol. Meas. 39 (2018).
"""

import dataclasses

import ml_collections
import numpy as np

from hybrid_jax.datasets import dataset, folds, package_files, windows

HERTZ = 50.0  # samples a second

OPTIONS = {
  **windows.OPTIONS,
  'fractions': dataclasses.replace(
    folds.OPTIONS['fractions'], default=(0.55, 0.2, 0.25)
  ),
}

_SHA256 = 'eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537'
_CHANNELS = (
  'acceleration x (g)',
  'acceleration y (g)',
  'acceleration z (g)',
  'rotation x (rad/s)',
  'rotation y (rad/s)',
  'rotation z (rad/s)',
)
_EXERCISES = {
  'PEN': 'pendulum',
  'ABD': 'abduction',
  'FEL': 'forward elevation',
  'IR': 'internal rotation',
  'ER': 'external rotation',
  'TRAP': 'trapezius extension',
  'ROW': 'upright row',
}


def load(config: ml_collections.ConfigDict) -> dataset.Dataset:
  """Loads windows of the recordings, `x [n, 1, window, 6]`, in g and rad/s.

  Each recording is split in time; see `windows.split_in_time`.

  Args:
    config: see `OPTIONS`. There are 50 samples a second.

  Raises:
    UserError: `seglearn` is not installed, its file is not the known one, or a
      setting is out of range.
  """
  stored = _read_file()
  signals = [np.asarray(x, np.float32) for x in stored['X']]
  lengths = [len(signal) for signal in signals]
  spans = windows.split_in_time(lengths, config.fractions, config.gap)
  recording, start, fold = windows.place(
    spans, lengths, config.window, config.hop
  )
  people = np.unique(stored['subject'])
  person = np.searchsorted(people, stored['subject'])
  return dataset.validate(
    dataset.Dataset(
      x=windows.cut(signals, recording, start, config.window),
      primary=np.asarray(stored['y'], np.int32)[recording],
      sensitive={
        'person': person.astype(np.int32)[recording],
        'side': np.asarray(stored['side']).astype(np.int32)[recording],
      },
      recording=recording,
      fold=fold,
      primary_names=[_EXERCISES.get(name, name) for name in stored['y_labels']],
      sensitive_names={
        'person': [f'person {int(p)}' for p in people],
        'side': ['side 0', 'side 1'],
      },
      channels=_CHANNELS,
      hertz=HERTZ,
      people='person',
    )
  )


def _read_file():
  folder = package_files.find_folder('seglearn', data_set='watch')
  path = folder / 'data' / 'watch_dataset.npy'
  package_files.check_sha256(
    path, _SHA256, 'It is a pickle, so it is not read.'
  )
  # This is the only pickle that is read: its content is checked above.
  return np.load(path, allow_pickle=True).item()
