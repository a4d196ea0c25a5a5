"""Audits a file of released vectors from any source."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence

import ml_collections
import numpy as np

from hybrid_jax import errors, files, plugins, progress
from hybrid_jax.attacks import released_vectors
from hybrid_jax.datasets import copies, dataset, digests
from hybrid_jax.measures import measurement
from hybrid_jax.metrics import noise_level
from hybrid_jax.report import audit_report, rows
from hybrid_jax.study import validate, workdir_lock


def run(
  path: pathlib.Path, out: pathlib.Path, config: ml_collections.ConfigDict
) -> audit_report.AuditReport:
  """Writes `metrics.json` and `report.html`; keeps existing results.

  Args:
    path: an `.npz` in the layout of a study's `released/*.npz`: `clean`,
      `primary`, `sensitive_NAME`, `recording`, `fold`, `noise_cov` where
      noise is added, and `fold_strangers` where people are in no training.
    out: the folder of all results.
    config: `seed` and `attack`, see `configs/audit.py`.

  Raises:
    UserError: the file is invalid, or `out` has results of another file or
      config.
  """
  config = validate.prepare_audit(config)
  vectors = released_vectors.read_vectors(path, config.attack.draws)
  with workdir_lock.hold(out):
    _claim(out, path, config)
    report = measure(path.stem, vectors, config, vectors.remarks, out)
    report.save(out / 'metrics.json')
    report.save(out / 'report.html')
  return report


def measure(
  name: str,
  vectors: released_vectors.Vectors,
  config: ml_collections.ConfigDict,
  notes: Sequence[str] = (),
  out: pathlib.Path | None = None,
) -> audit_report.AuditReport:
  """Attacks released vectors, and pure noise as a control.

  Of strangers it measures the leakage and the ceiling.

  Args:
    name: of the vectors, for the report.
    vectors: the vectors and their labels.
    config: see `validate.prepare_audit`, which made it.
    notes: sentences for the report.
    out: a folder that keeps each measure's result, and has those of an earlier
      run; by default nothing is written.
  """
  problem = vectors.seen
  rng = np.random.default_rng(config.seed)
  random = rng.standard_normal(problem.clean.shape).astype(np.float32)
  # With the noise of the release, whose programs are compiled already.
  noise = dataclasses.replace(problem, clean=random)
  names = measurement.names(config.attack)
  leakage = (measurement.LEAKAGE,)
  targets = {'released': (problem, names), 'noise': (noise, leakage)}
  if vectors.strangers is not None:
    of_strangers = tuple(n for n in names if n in (*leakage, 'ceiling'))
    targets['strangers'] = vectors.strangers, of_strangers
  total = sum(len(measures) for _, measures in targets.values())
  with progress.Progress('audit', total, unit='measure') as bar:
    results = {
      target: _measure(target, *what, out, config, bar)
      for target, what in targets.items()
    }
  row = _row(name, problem) | results['released']
  controls = {'noise': results['noise']}
  found = copies.find(problem.clean, problem.fold)
  return audit_report.AuditReport(
    name=name,
    notes=(*notes, *found.near_line('Vectors')),
    failed_controls=tuple(rows.failed_controls(controls, [row])),
    figures=row,
    controls=controls,
    strangers=results.get('strangers', {}),
    faults=tuple(found.equal_line('vectors')),
    copies=found.public(),
  )


def _measure(target, problem, names, out, config, bar):
  """Returns a target's results by measure; takes the missing measures."""
  results = {}
  for name in names:
    path = out / 'results' / name / f'{target}.json' if out else None
    if path is not None and path.exists():
      figures = files.read_json(path)
    else:
      content = files.encode_json(
        measurement.run(name, problem, config.attack, config.seed)
      )
      if path is not None:
        files.write_bytes(path, content)
      figures = json.loads(content)
    if figures is not None:
      results[name] = figures
    bar.advance(1, last=f'{name} of {target}')
  return results


def _row(name, problem):
  scale = problem.noise_scale
  return {
    'split_point': 'released',
    'embedding': name,
    **noise_level.measure(
      problem.clean[problem.rows(dataset.TRAIN)],
      None if scale is None else scale @ scale.T,
    ),
    'utility': None,
    'validation_utility': None,
  }


def _claim(out, path, config):
  """Stores the file's hash and the config in `out`, or compares them."""
  digests.claim(out, {'released': path}, '--out')
  identity = {
    'config': json.loads(config.to_json_best_effort()),
    'measures': plugins.known('measure'),
  }
  stored = out / 'audit.json'
  if not stored.exists():
    files.write_json(stored, identity)
  elif files.read_json(stored) != identity:
    raise errors.UserError(
      f'{out} belongs to another config. Choose another --out, or'
      ' remove this folder.'
    )
