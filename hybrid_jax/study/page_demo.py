"""Prepares the files of the browser page from a finished study."""

import pathlib
from typing import Any

import numpy as np

from hybrid_jax import errors, files
from hybrid_jax.datasets import dataset, sources
from hybrid_jax.release import embeddings
from hybrid_jax.study import context, deployment, page_attacker, runner

_FORMAT = 2  # of `live.json`
_BUNDLE = ('edge.tflite', 'cloud.tflite', 'device.py', 'manifest.json')


def prepare(
  workdir: pathlib.Path, folder: pathlib.Path, per_value: int = 20
) -> dict[str, Any]:
  """Writes into `folder` what `hybrid-jax serve --page` serves.

  - `bundle/`: the study's own bundle.
  - `open/`: the bundle of the same split point without a defence. The page runs
    its edge for comparison and sends nothing of it.
  - `windows.f32`: test windows in sensor units, little-endian float32.
  - `live.json`: what the windows are, and two attackers for the browser, one
    for each bundle.

  Does nothing if the folder was already prepared for this bundle.

  Args:
    workdir: the work directory of a finished study of signals.
    folder: where to write.
    per_value: at most so many test windows of each value of the sensitive
      label.

  Returns:
    The content of `live.json`.

  Raises:
    UserError: the study is not finished, has no embedding `simple` at the
      recommended split point, or is not one of signals.
  """
  path = workdir / 'bundle' / 'manifest.json'
  if not path.is_file():
    raise errors.UserError(
      f'{workdir} holds no finished study: there is no bundle/manifest.json.'
      ' Run hybrid-jax study to its end first.'
    )
  study = runner.open_study(workdir)
  manifest = files.read_json(path)
  page_path = folder / 'live.json'
  if page_path.exists():
    page = files.read_json(page_path)
    same_edge = page.get('edge_sha256') == manifest['edge']['sha256']
    if same_edge and page.get('format') == _FORMAT:
      return page
  _check(study, manifest)
  for name in _BUNDLE:
    data = (workdir / 'bundle' / name).read_bytes()
    files.write_bytes(folder / 'bundle' / name, data)
  open_manifest = deployment.write_bundle(
    study,
    manifest['split_point'],
    embeddings.SIMPLE,
    'float32',
    folder / 'open',
  )
  attribute = _attribute(study)
  indices, descriptions = choose_windows(study, attribute, per_value)
  windows = sources.read_rows(study.data.x, indices)
  files.write_bytes(folder / 'windows.f32', windows.astype('<f4').tobytes())
  page = _describe(study, manifest, open_manifest, attribute, per_value)
  page['windows'] = descriptions
  files.write_json(page_path, page)
  return page


def _describe(study, manifest, open_manifest, attribute, per_value):
  """Returns the content of `live.json` without its windows."""
  split_point, embedding = manifest['split_point'], manifest['embedding']
  values = len(study.data.sensitive_names[attribute])

  def train_attacker(embedding, grid):
    path = study.released_path(split_point, embedding)
    seed = study.config.seed
    return page_attacker.train(path, attribute, grid, seed, per_value)

  return {
    'format': _FORMAT,
    'edge_sha256': manifest['edge']['sha256'],
    'split_point': split_point,
    'embedding': embedding,
    'labels': list(study.data.primary_names),
    'attribute': attribute,
    # People are shown by numbers, not by names.
    'names': [str(i + 1) for i in range(values)],
    'channels': list(study.data.channels)
    or [f'channel {i + 1}' for i in range(study.data.x.shape[-1])],
    'rate': study.data.hertz,
    'utility': manifest['figures']['utility'],
    'strongest': {
      'private': _strongest_attack(manifest, attribute),
      'open': _strongest_attack(open_manifest, attribute),
    },
    'attackers': {
      'private': train_attacker(embedding, manifest['grid']),
      'open': train_attacker(embeddings.SIMPLE, None),
    },
  }


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
        f'{path} is missing: the page compares {manifest["embedding"]!r} with'
        f' {embeddings.SIMPLE!r} at {split_point!r}, so the study must have'
        ' both.'
      )


def _strongest_attack(manifest, attribute):
  """Returns the result of the study's best attacker."""
  figures = manifest['figures']['leakage'][attribute]
  return {k: figures[k] for k in ('value', 'low', 'high', 'chance')}


def _attribute(study):
  names = list(study.data.sensitive)
  return 'person' if 'person' in names else names[0]


def choose_windows(
  study: context.Study, attribute: str, per_value: int
) -> tuple[np.ndarray, list[dict[str, int]]]:
  """Chooses test windows for the page.

  Two windows of a recording share no sample, if the config has the window and
  the hop.

  Args:
    study: the study.
    attribute: the sensitive label. The windows of each of its values form one
      session.
    per_value: at most so many windows in a session.

  Returns:
    The indices of the windows in the data set `[n]`, by session, and for each
    window its `primary` and `sensitive` label, `recording` and `session`.
  """
  data, rng = study.data, np.random.default_rng(study.config.seed)
  settings = study.config.data
  stride = 1  # Windows of a recording are in the order of time.
  if 'window' in settings and 'hop' in settings:
    stride = -(-int(settings['window']) // int(settings['hop']))
  test = np.flatnonzero(study.rows(dataset.TEST))
  candidates = np.concatenate(
    [
      test[data.recording[test] == recording][::stride]
      for recording in np.unique(data.recording[test])
    ]
  )
  labels = data.sensitive[attribute]
  chosen, descriptions = [], []
  values = rng.permutation(np.unique(labels[candidates]))
  for session, value in enumerate(values):
    of_value = candidates[labels[candidates] == value]
    indices = rng.permutation(of_value)[:per_value]
    chosen.append(indices)
    descriptions += [
      {
        'primary': int(data.primary[i]),
        'sensitive': int(value),
        'recording': int(data.recording[i]),
        'session': session,
      }
      for i in indices
    ]
  return np.concatenate(chosen), descriptions
