"""Audits a file of released vectors, whatever made them."""

import dataclasses
import json
import pathlib

import ml_collections
import numpy as np

from hybrid_jax import errors, files, plugins, progress
from hybrid_jax.attacks import released_vectors
from hybrid_jax.audit import measurement
from hybrid_jax.datasets import dataset
from hybrid_jax.metrics import noise_level
from hybrid_jax.report import page, rows
from hybrid_jax.study import validate


def run(
  path: pathlib.Path, out: pathlib.Path, config: ml_collections.ConfigDict
) -> rows.Row:
  """Writes `metrics.json` and `report.html`; what is done already is kept.

  Args:
    path: an `.npz` in the layout of a study's `released/*.npz`: `clean`,
      `primary`, `sensitive_NAME`, `recording`, `fold`, and `noise_cov` where
      noise is added.
    out: where the results go.
    config: `seed` and `attack`, see `configs/audit.py`.

  Returns:
    The file's row, as a study has one for each embedding; `utility` is `None`.

  Raises:
    UserError: the file cannot be audited, or `out` belongs to another one.
  """
  config = validate.prepare_audit(config)
  problem = released_vectors.read(path, config.attack.draws)
  _claim(out, path, config)
  rng = np.random.default_rng(config.seed)
  random = rng.standard_normal(problem.clean.shape).astype(np.float32)
  noise = dataclasses.replace(problem, clean=random, noise_scale=None)
  asked = {
    'released': (problem, measurement.names(config.attack)),
    'noise': (noise, (measurement.LEAKAGE,)),
  }
  found = {name: {} for name in asked}
  total = sum(len(measures) for _, measures in asked.values())
  with progress.Progress('audit', total, unit='measure') as bar:
    for target, (given, measures) in asked.items():
      for measure in measures:
        result = out / 'results' / measure / f'{target}.json'
        if not result.exists():
          figures = measurement.run(measure, given, config.attack, config.seed)
          files.write_json(result, figures)
        figures = files.read_json(result)
        if figures is not None:
          found[target][measure] = figures
        bar.advance(1, last=f'{measure} of {target}')
  row = _row(path, problem) | found['released']
  failed = rows.failed_controls({'noise': found['noise']}, [row])
  files.write_json(
    out / 'metrics.json',
    {
      'rows': [rows.public(row)],
      'controls': {'noise': rows.public(found['noise'])},
      'failed_controls': failed,
      'recommended': None,
    },
  )
  html = page.render_audit(path.name, row, {'noise': found['noise']}, failed)
  files.write_bytes(out / 'report.html', html.encode())
  return row | {'failed_controls': failed}


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
  """Makes `out` this file's and config's own, or finds that it is."""
  wanted = {
    'released_sha256': files.sha256(path),
    'config': json.loads(config.to_json_best_effort()),
    'measures': plugins.known('measure'),
  }
  stored = out / 'audit.json'
  if not stored.exists():
    files.write_json(stored, wanted)
  elif files.read_json(stored) != wanted:
    raise errors.UserError(
      f'{out} belongs to another file or config. Choose another --out, or'
      ' remove this one.'
    )
