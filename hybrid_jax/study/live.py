"""Prepares what the page in a browser needs, from a finished study."""

import pathlib
from typing import Any

import numpy as np

from hybrid_jax import errors, files, plugins
from hybrid_jax.datasets import dataset, sources
from hybrid_jax.deploy.export import bundle
from hybrid_jax.release import embeddings
from hybrid_jax.study import context, live_attacker, runner

_BUNDLE = ('edge.tflite', 'cloud.tflite', 'device.py', 'manifest.json')


def prepare(
  workdir: pathlib.Path, folder: pathlib.Path, per_value: int = 20
) -> dict[str, Any]:
  """Writes into `folder` what `launch.serve --page` serves; see below.

  `bundle/` is the study's own. `open/` is that of the same split without a
  defence, for comparison: the page runs its edge and sends nothing of it.
  `windows.f32` are test windows in sensor units, little-endian float32, and
  `live.json` says what they are, and holds two attackers, one for either
  release, that a browser can run. What is there for this bundle is kept.

  Args:
    workdir: of a study of signals that was run to its end.
    folder: where to write; made if need be.
    per_value: test windows of each value of the sensitive label, at most.

  Returns:
    What `live.json` holds.

  Raises:
    UserError: the study is not finished, has no `simple` embedding at the
      recommended split, or is not one of signals.
  """
  if not (workdir / 'bundle' / 'manifest.json').is_file():
    raise errors.UserError(
      f'{workdir} holds no finished study: there is no bundle/manifest.json.'
      ' Run launch.study to its end first.'
    )
  manifest = files.read_json(workdir / 'bundle' / 'manifest.json')
  done = folder / 'live.json'
  if done.exists():
    live = files.read_json(done)
    if live['edge_sha256'] == manifest['edge']['sha256']:
      return live
  study = runner.open_study(workdir)
  _check(study, manifest)
  for name in _BUNDLE:
    data = (workdir / 'bundle' / name).read_bytes()
    files.write_bytes(folder / 'bundle' / name, data)
  split_point = manifest['split_point']
  opened = bundle.write(
    study, split_point, embeddings.SIMPLE, 'float32', folder / 'open'
  )
  attribute = _attribute(study)
  rows, index = choose_windows(study, attribute, per_value)
  windows = sources.read_rows(study.data.x, rows)
  files.write_bytes(folder / 'windows.f32', windows.astype('<f4').tobytes())
  live = {
    'format': 1,
    'edge_sha256': manifest['edge']['sha256'],
    'split_point': split_point,
    'embedding': manifest['embedding'],
    'labels': list(study.data.primary_names),
    'attribute': attribute,
    # People have numbers, and no names.
    'names': [
      str(i + 1) for i in range(len(study.data.sensitive_names[attribute]))
    ],
    'channels': list(study.data.channels)
    or [f'channel {i + 1}' for i in range(windows.shape[-1])],
    'rate': getattr(
      plugins.load('data set', study.config.data.name), 'HERTZ', None
    ),
    'utility': manifest['figures']['utility'],
    'strongest': {
      'private': _strongest(manifest, attribute),
      'open': _strongest(opened, attribute),
    },
    'windows': index,
    'attackers': {
      'private': live_attacker.train(
        study.released_path(split_point, manifest['embedding']),
        attribute,
        manifest['grid'],
        study.config.seed,
        per_value,
      ),
      'open': live_attacker.train(
        study.released_path(split_point, embeddings.SIMPLE),
        attribute,
        None,
        study.config.seed,
        per_value,
      ),
    },
  }
  files.write_json(done, live)
  return live


def _check(study, manifest):
  shape = study.data.x.shape[1:]
  if len(shape) != 3 or shape[0] != 1:
    raise errors.UserError(
      f'the page shows signals of shape (1, time, channels); the study in'
      f' {study.workdir} has examples of shape {tuple(shape)}.'
    )
  split_point = manifest['split_point']
  for embedding in (manifest['embedding'], embeddings.SIMPLE):
    path = study.released_path(split_point, embedding)
    if not path.exists():
      raise errors.UserError(
        f'{path} is not there: the page compares {manifest["embedding"]!r} with'
        f' {embeddings.SIMPLE!r} at {split_point!r}, and the study must have'
        ' both.'
      )


def _strongest(manifest, attribute):
  """What the study's best attacker found."""
  figures = manifest['figures']['leakage'][attribute]
  return {k: figures[k] for k in ('value', 'low', 'high', 'chance')}


def _attribute(study):
  names = list(study.data.sensitive)
  return 'person' if 'person' in names else names[0]


def choose_windows(
  study: context.Study, attribute: str, per_value: int
) -> tuple[np.ndarray, list[dict[str, int]]]:
  """Test windows for the page, that share no sample where hop and window say.

  Args:
    study: whose test windows are chosen from.
    attribute: the sensitive label; each of its values is one session.
    per_value: the most windows of a session.

  Returns:
    The rows of the data set `[n]`, by sessions, and for each its `primary`,
    `sensitive`, `recording` and `session`.
  """
  data, rng = study.data, np.random.default_rng(study.config.seed)
  settings = study.config.data
  apart = 1  # Windows of a recording lie in the order of time.
  if 'window' in settings and 'hop' in settings:
    apart = -(-int(settings['window']) // int(settings['hop']))
  test = np.flatnonzero(study.rows(dataset.TEST))
  free = np.concatenate(
    [
      test[data.recording[test] == recording][::apart]
      for recording in np.unique(data.recording[test])
    ]
  )
  labels = data.sensitive[attribute]
  rows, index = [], []
  values = rng.permutation(np.unique(labels[free]))
  for session, value in enumerate(values):
    own = rng.permutation(free[labels[free] == value])[:per_value]
    rows.append(own)
    index += [
      {
        'primary': int(data.primary[row]),
        'sensitive': int(value),
        'recording': int(data.recording[row]),
        'session': session,
      }
      for row in own
    ]
  return np.concatenate(rows), index
