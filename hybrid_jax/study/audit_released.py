"""Audits a file of released vectors from any source."""

import dataclasses
import json
import pathlib

import ml_collections
import numpy as np

from hybrid_jax import errors, files, plugins, progress
from hybrid_jax.attacks import released_vectors
from hybrid_jax.datasets import dataset
from hybrid_jax.measures import measurement
from hybrid_jax.metrics import noise_level
from hybrid_jax.report import page, rows
from hybrid_jax.study import validate


def run(
  path: pathlib.Path, out: pathlib.Path, config: ml_collections.ConfigDict
) -> rows.Row:
  """Writes `metrics.json` and `report.html`; keeps existing results.

  Args:
    path: an `.npz` in the layout of a study's `released/*.npz`: `clean`,
      `primary`, `sensitive_NAME`, `recording`, `fold`, and `noise_cov` where
      noise is added.
    out: the folder of all results.
    config: `seed` and `attack`, see `configs/audit.py`.

  Returns:
    A row as in a study, with `None` as its `utility`, and `failed_controls`.

  Raises:
    UserError: the file is invalid, or `out` has results of another file or
      config.
  """
  config = validate.prepare_audit(config)
  problem = released_vectors.read(path, config.attack.draws)
  _claim(out, path, config)
  rng = np.random.default_rng(config.seed)
  random = rng.standard_normal(problem.clean.shape).astype(np.float32)
  noise = dataclasses.replace(problem, clean=random, noise_scale=None)
  names = measurement.names(config.attack)
  total = len(names) + 1
  with progress.Progress('audit', total, unit='measure') as bar:
    row = _row(path, problem) | _measure(
      'released', problem, names, out, config, bar
    )
    control = _measure('noise', noise, (measurement.LEAKAGE,), out, config, bar)
  failed = rows.failed_controls({'noise': control}, [row])
  files.write_json(
    out / 'metrics.json',
    {
      'rows': [rows.public(row)],
      'controls': {'noise': rows.public(control)},
      'failed_controls': failed,
      'recommended': None,
    },
  )
  html = page.render_audit(path.name, row, {'noise': control}, failed)
  files.write_bytes(out / 'report.html', html.encode())
  return row | {'failed_controls': failed}


def _measure(target, problem, names, out, config, bar):
  """Returns a target's results by measure; takes the missing measures."""
  results = {}
  for name in names:
    path = out / 'results' / name / f'{target}.json'
    if not path.exists():
      figures = measurement.run(name, problem, config.attack, config.seed)
      files.write_json(path, figures)
    figures = files.read_json(path)
    if figures is not None:
      results[name] = figures
    bar.advance(1, last=f'{name} of {target}')
  return results


def _row(path, problem):
  scale = problem.noise_scale
  return {
    'split_point': 'released',
    'embedding': path.stem,
    **noise_level.measure(
      problem.clean[problem.rows(dataset.TRAIN)],
      None if scale is None else scale @ scale.T,
    ),
    'utility': None,
    'validation_utility': None,
  }


def _claim(out, path, config):
  """Stores the file's hash and the config in `out`, or compares them."""
  identity = {
    'released_sha256': files.sha256(path),
    'config': json.loads(config.to_json_best_effort()),
    'measures': plugins.known('measure'),
  }
  stored = out / 'audit.json'
  if not stored.exists():
    files.write_json(stored, identity)
  elif files.read_json(stored) != identity:
    raise errors.UserError(
      f'{out} belongs to another file or config. Choose another --out, or'
      ' remove this folder.'
    )
