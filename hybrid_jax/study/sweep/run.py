"""A sweep: all trainings together, each released, attacked, and compared."""

import pathlib
import tempfile
import time
from concurrent import futures
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from hybrid_jax import errors, files, progress
from hybrid_jax.release import embeddings
from hybrid_jax.study import runner, validate
from hybrid_jax.study.stages import data, release, siamese
from hybrid_jax.study.sweep import grid, networks, points
from hybrid_jax.training import vmapped_training


def run(
  config: ml_collections.ConfigDict, workdir: pathlib.Path, alone: int = 2
) -> dict[str, Any]:
  """Trains, releases and attacks the whole grid; what is done is kept.

  Args:
    config: of a study, with a group `sweep`.
    workdir: `results/sweep.json` and the trainings' studies lie under it.
    alone: how many of the trainings are also done by the study's own loop, to
      compare times and parameters; 0 for none.

  Returns:
    See `points.summarise`; with `comparison`, see `_train`, or `None`.

  Raises:
    UserError: see `grid.check` and `networks.open_studies`.
  """
  grid.check(config)
  validate.claim(workdir, config)
  opened = networks.open_studies(config, workdir)
  data.run(opened[0])
  networks.train_simple(opened, config.sweep.mapping)
  if not all(networks.is_trained(s, embeddings.SIAMESE) for s in opened):
    _train(config, opened, workdir, alone)
  for study in opened:
    release.run(study)
  every = grid.points(config)
  with (
    progress.Progress('attack', len(every), unit='point') as bar,
    futures.ThreadPoolExecutor(config.attack.workers) as pool,
  ):
    waiting = [
      pool.submit(points.measure, config, opened[p.training.index], p)
      for p in every
    ]
    for future in futures.as_completed(waiting):
      bar.advance(1, last=f'point {future.result()["index"]}')
  found = points.summarise(
    config,
    [future.result() for future in waiting],
    [points.whole_accuracy(s) for s in networks.by_seed(opened)],
  )
  compared = workdir / 'results' / 'comparison.json'
  found['comparison'] = files.read_json(compared) if compared.exists() else None
  files.write_json(workdir / 'results' / 'sweep.json', found)
  return found


def run_one(
  config: ml_collections.ConfigDict, workdir: pathlib.Path, index: int
) -> dict[str, Any]:
  """One point by itself, by the study's own stages, in `workdir/alone`.

  Returns:
    `row`, see `points.measure`; and `difference`, the largest one between the
    sweep's figures and parameters and these, or `None` where the sweep has not
    been there: `utility`, `advantage`, `simple` and `siamese`.

  Raises:
    UserError: see `grid.check`; or the grid has no such point.
  """
  grid.check(config)
  every = grid.points(config)
  if not 0 <= index < len(every):
    raise errors.UserError(
      f'there is no point {index}; the grid has 0 to {len(every) - 1}.'
    )
  validate.claim(workdir, config)
  point = every[index]
  name = point.training.name
  study = runner.run(
    grid.config_of(config, point.training),
    workdir / 'alone' / name,
    ('data', 'train', 'siamese', 'release'),
  )
  row = points.measure(config, study, point)
  other = networks.open_study(
    config, point.training, workdir / 'trainings' / name, study
  )
  path = other.result('sweep', point.embedding)
  difference = None
  if path.exists():
    there = files.read_json(path)
    difference = {
      'utility': abs(
        row['utility']['test']['value'] - there['utility']['test']['value']
      ),
      'advantage': abs(row['advantage']['test'] - there['advantage']['test']),
      **{
        weights: apart(
          study.params(weights, config.sweep.split_point),
          other.params(weights, config.sweep.split_point),
        )
        for weights in (embeddings.SIMPLE, embeddings.SIAMESE)
      },
    }
  return {'row': row, 'difference': difference}


def apart(a: Any, b: Any) -> float:
  """The largest difference between two trees of parameters."""
  return max(
    float(jnp.abs(x - y).max())
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
  )


def _train(config, opened, workdir, alone):
  """All together; and some by the loop, before and after, for comparison."""
  chosen = np.linspace(0, len(opened) - 1, min(alone, len(opened)))
  chosen = [round(i) for i in chosen]
  half = len(chosen) // 2
  repeated = [_alone(config, opened[i], i) for i in chosen[:half]]
  progress.say(f'siamese: training {len(opened)} networks together')
  began, worked = time.perf_counter(), time.process_time()
  trained = networks.train_siamese(opened, config.sweep.mapping)
  for study, state in zip(opened, trained.states, strict=True):
    networks.save(study, embeddings.SIAMESE, state)
  seconds = time.perf_counter() - began
  work = time.process_time() - worked
  progress.say(f'siamese: {len(opened)} networks together, {trained}')
  repeated += [_alone(config, opened[i], i) for i in chosen[half:]]
  if not repeated:
    return
  each = float(np.mean([r['loop_seconds'] for r in repeated]))
  work_each = float(np.mean([r['loop_work'] for r in repeated]))
  run_each = float(np.mean([r['run_seconds'] for r in repeated]))
  count = len(opened)
  files.write_json(
    workdir / 'results' / 'comparison.json',
    {
      'trainings': count,
      'alone': len(repeated),
      'together_seconds': seconds,
      'alone_seconds': each,
      'ratio': seconds / (count * each),
      # Of processor time, which others on the machine hardly change.
      'work_ratio': work / (count * work_each),
      'run_ratio': trained.run_seconds / (count * run_each),
      'compile_seconds': trained.compile_seconds,
      'mapping': 'vmap'
      if vmapped_training.is_vmapped(config.sweep.mapping)
      else 'map',
      'backend': jax.default_backend(),
      'difference': max(
        apart(r['params'], trained.states[r['index']].params) for r in repeated
      ),
    },
  )


def _alone(config, study, index):
  """One training by the study's own stage, and once more as a lone program."""
  training = grid.trainings(config)[index]
  with tempfile.TemporaryDirectory(dir=study.workdir) as folder:
    own = networks.open_study(config, training, pathlib.Path(folder), study)
    networks.copy_simple(study, own)
    began, worked = time.perf_counter(), time.process_time()
    siamese.run(own)
    seconds = time.perf_counter() - began
    work = time.process_time() - worked
    lone = networks.train_siamese([own], 'map')
    return {
      'index': index,
      'loop_seconds': seconds,
      'loop_work': work,
      'run_seconds': lone.run_seconds,
      'params': own.params(embeddings.SIAMESE, config.sweep.split_point),
    }
