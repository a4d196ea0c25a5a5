"""Attacks what a bundle's own files release, and measures their answers."""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from hybrid_jax import errors, files, progress
from hybrid_jax.attacks import adversary
from hybrid_jax.audit import measurement
from hybrid_jax.datasets import dataset, sources
from hybrid_jax.deploy.export import bundle, device, variants
from hybrid_jax.metrics import utility
from hybrid_jax.report import rows
from hybrid_jax.study import context, problems, results

_MEASURES = (measurement.LEAKAGE, 'ceiling')
_BLOCK = 1024  # examples in memory at once


def run(study: context.Study, folder: pathlib.Path) -> dict[str, Any]:
  """Audits a bundle; what is done already is kept.

  The edge file runs over every example: once without noise, which with the
  noise's law is what attackers know, and with noise of the operating system's
  generator for every release that they train on, choose on and are scored on.
  So the figures differ a little from run to run. The cloud file answers the
  releases of the test fold.

  Args:
    study: the finished study that the bundle is of.
    folder: the bundle.

  Returns:
    The row, as `results.gather` has it, with `variant`; also written to
    `results/deployed/SPLIT-EMBEDDING-VARIANT.json`, and what was released to
    `deployed/SPLIT-EMBEDDING-VARIANT.npz`, laid out as `released/*.npz`.

  Raises:
    UserError: the bundle is damaged, or not of this study.
  """
  read = bundle.read(folder)
  manifest, variant = read.manifest, read.variant
  errors.check_known('variant', variant, variants.VARIANTS)
  if manifest.get('noise', 'input') != 'input':
    raise errors.UserError(
      f'the edge of {folder} draws its noise inside, which is not private; only'
      ' one whose noise is an input is audited.'
    )
  edge, cloud = (device.Half(folder, name) for name in ('edge', 'cloud'))
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
  hashes = {half: manifest[half]['sha256'] for half in ('edge', 'cloud')}
  if result.exists():
    found = files.read_json(result)
    if found['sha256'] == hashes:
      return found
  trained = rows.find(
    results.gather(study), {'split_point': split_point, 'embedding': embedding}
  )
  problem = _released(study, edge, trained, name)
  row = {key: trained[key] for key in rows.RELEASE_FIELDS} | {
    'variant': variant,
    'sha256': hashes,
    'utility': _utility(problem, cloud, dataset.TEST),
    'validation_utility': _utility(problem, cloud, dataset.VALIDATION)['value'],
  }
  config = measurement.at(study.config.attack, split_point)
  asked = [m for m in measurement.asked(config, split_point) if m in _MEASURES]
  with progress.Progress('deployed', len(asked), unit='measure') as bar:
    for measure in asked:
      row[measure] = measurement.take(
        measure, problem, config, study.config.seed
      )
      bar.advance(1, last=measure)
  files.write_json(result, row)
  return row


def _released(study, edge, trained, name) -> adversary.Problem:
  """The problem that the edge file poses, its own draws with it."""
  split_point, embedding = trained['split_point'], trained['embedding']
  law = files.read_npz(
    study.require(study.released_path(split_point, embedding), 'release')
  )
  everything = np.arange(len(study.data.fold))
  clean = _run(study, edge, everything, 1, noisy=False)[0]
  path = study.workdir / 'deployed' / f'{name}.npz'
  files.write_npz(path, law | {'clean': clean})
  problem = problems.of_row(study, split_point, embedding, path)
  draws = study.config.attack.draws if 'noise_cov' in law else 1
  copies = study.config.attack.noise_copies if 'noise_cov' in law else 1
  drawn = {
    fold: _run(
      study,
      edge,
      everything[study.rows(fold)],
      copies if fold == dataset.TRAIN else draws,
    )
    for fold in range(len(dataset.FOLDS))
  }
  return dataclasses.replace(problem, drawn=drawn)


def _run(study, edge, wanted, draws, noisy=True) -> np.ndarray:
  """`[draws, n, d]`: what the edge file gives for the wanted examples."""
  shape = edge.spec['inputs'].get('noise', {}).get('shape')
  out = [[] for _ in range(draws)]
  with progress.Progress(
    'the edge file', draws * len(wanted), unit='run'
  ) as bar:
    for start in range(0, len(wanted), _BLOCK):
      block = wanted[start : start + _BLOCK]
      x = sources.read_rows(study.data.x, block).astype(np.float32)
      for copy in out:
        for example in x:
          inputs = {'x': example[None]}
          if shape:
            inputs['noise'] = (
              device.standard_normal(shape[0])
              if noisy
              else np.zeros(shape, np.float32)
            )
          copy.append(edge(**inputs)[0])
        bar.advance(len(x))
  return np.stack([np.stack(copy) for copy in out])


def _utility(problem, cloud, fold) -> dict[str, float]:
  logits = np.stack(
    [
      np.concatenate([cloud(released=vector[None]) for vector in draw])
      for draw in problem.scored[fold]
    ]
  )
  of = problem.rows(fold)
  return utility.measure(logits, problem.primary[of], problem.recording[of])
