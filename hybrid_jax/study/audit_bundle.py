"""Attacks what the files of a bundle release, and measures their utility."""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from hybrid_jax import errors, files, progress
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset, sources
from hybrid_jax.deploy.export import variants
from hybrid_jax.deploy.formats import bundle, device
from hybrid_jax.measures import measurement
from hybrid_jax.metrics import utility
from hybrid_jax.report import rows
from hybrid_jax.study import context, problems, results

_MEASURES = (measurement.LEAKAGE, 'ceiling')
_BLOCK = 1024  # examples in memory at once


def run(study: context.Study, folder: pathlib.Path) -> dict[str, Any]:
  """Audits a bundle; returns the stored result if it was audited before.

  The edge file runs over all examples. One run is without noise: attackers know
  these vectors and the distribution of the noise. The others have noise from
  the operating system's generator: attackers are trained, chosen and scored on
  these releases. So the figures differ a little from run to run. The cloud file
  then classifies the releases of the validation and test folds.

  Args:
    study: the finished study from which the bundle was exported.
    folder: the bundle.

  Returns:
    The row as in `results.gather`, with `variant`. It is also written to
    `results/deployed/SPLIT-EMBEDDING-VARIANT.json`. The released vectors are
    written to `deployed/SPLIT-EMBEDDING-VARIANT.npz`, in the format of
    `released/*.npz`.

  Raises:
    UserError: the bundle is damaged, or is not from this study.
  """
  manifest = bundle.read(folder).manifest
  variant = manifest.get('variant')
  errors.check_known('variant', str(variant), variants.VARIANTS)
  edge, cloud = (device.Half(folder, name) for name in bundle.HALVES)
  split_point, embedding = (
    manifest.get(name, 'nothing') for name in ('split_point', 'embedding')
  )
  errors.check_known(
    'row of the study',
    f'{split_point}-{embedding}',
    [f'{p}-{e}' for p, e in study.targets],
  )
  name = f'{split_point}-{embedding}-{variant}'
  result = study.result('deployed', name)
  hashes = {half: manifest[half]['sha256'] for half in bundle.HALVES}
  if result.exists():
    stored = files.read_json(result)
    if stored['sha256'] == hashes:
      return stored
  trained = rows.find(
    results.gather(study), {'split_point': split_point, 'embedding': embedding}
  )
  problem = _release(study, edge, trained, name)
  row = {key: trained[key] for key in rows.RELEASE_FIELDS} | {
    'variant': variant,
    'sha256': hashes,
    'utility': _utility(problem, cloud, dataset.TEST),
    'validation_utility': _utility(problem, cloud, dataset.VALIDATION)['value'],
  }
  config = measurement.config_at(study.config.attack, split_point)
  measures = [
    m for m in measurement.names(config, split_point) if m in _MEASURES
  ]
  with progress.Progress('deployed', len(measures), unit='measure') as bar:
    for measure in measures:
      row[measure] = measurement.run(
        measure, problem, config, study.config.seed
      )
      bar.advance(1, last=measure)
  files.write_json(result, row)
  return row


def _release(study, edge, trained, name) -> adversary.Problem:
  """Returns the attackers' problem, with the edge file's own noisy releases."""
  split_point, embedding = trained['split_point'], trained['embedding']
  as_trained = files.read_npz(
    study.require(study.released_path(split_point, embedding), 'release')
  )
  all_examples = np.arange(len(study.data.fold))
  clean = _run_edge(study, edge, all_examples, 1, noisy=False)[0]
  path = study.workdir / 'deployed' / f'{name}.npz'
  files.write_npz(path, as_trained | {'clean': clean})
  problem = problems.of_embedding(study, split_point, embedding, path)
  has_noise = 'noise_cov' in as_trained
  draws = study.config.attack.draws if has_noise else 1
  copies = study.config.attack.noise_copies if has_noise else 1
  drawn = {
    fold: _run_edge(
      study,
      edge,
      all_examples[study.rows(fold)],
      draws if fold in (dataset.VALIDATION, dataset.TEST) else copies,
    )
    for fold in np.unique(study.data.fold).tolist()
  }
  return dataclasses.replace(problem, device_releases=drawn)


def _run_edge(study, edge, indices, draws, noisy=True) -> np.ndarray:
  """Runs the edge file on the examples `indices`; returns `[draws, n, d]`."""
  noise_shape = edge.inputs.get('noise', {}).get('shape')
  released = [[] for _ in range(draws)]
  with progress.Progress(
    'the edge file', draws * len(indices), unit='run'
  ) as bar:
    for start in range(0, len(indices), _BLOCK):
      block = indices[start : start + _BLOCK]
      x = sources.read_rows(study.data.x, block).astype(np.float32)
      for vectors in released:
        for example in x:
          inputs = {'x': example[None]}
          if noise_shape:
            inputs['noise'] = (
              device.standard_normal(noise_shape[0])
              if noisy
              else np.zeros(noise_shape, np.float32)
            )
          vectors.append(edge(**inputs)[0])
        bar.advance(len(x))
  return np.stack([np.stack(vectors) for vectors in released])


def _utility(problem, cloud, fold) -> dict[str, float]:
  logits = np.stack(
    [
      np.concatenate([cloud(released=vector[None]) for vector in draw])
      for draw in problem.evaluation_draws[fold]
    ]
  )
  in_fold = problem.rows(fold)
  return utility.measure(
    logits, problem.primary[in_fold], problem.recording[in_fold]
  )
