"""Runs the stages of a study, in order."""

import contextlib
import importlib
import pathlib
import shutil
import time
from collections.abc import Sequence

import jax
import ml_collections

from hybrid_jax import errors, files, progress
from hybrid_jax.datasets import digests
from hybrid_jax.models import split_model
from hybrid_jax.study import (
  compile_timer,
  context,
  extras,
  inputs,
  stage_costs,
  stage_names,
  summary,
  validate,
  workdir_lock,
)
from hybrid_jax.training import distributed, loop

# The stages in which all processes of a distributed run take part.
_DISTRIBUTED = ('train', 'siamese', 'defend', 'attack', 'strangers', 'grid')


def run(
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  stages: Sequence[str] = stage_names.STAGES,
) -> context.Study:
  """Runs the named stages in order; skips what an earlier run has finished.

  In a distributed run every process calls this function. The processes train
  as one program and share the targets to attack; the first does all other work.

  Args:
    config: see `study/config_schema.py`.
    workdir: the folder of all files of the study.
    stages: some of `stage_names.STAGES`.

  Raises:
    UserError: a mistake in the config or the data; if possible it is reported
      before any work.
  """
  if not stages:
    raise errors.UserError(
      f'--stages is empty; name some of {", ".join(stage_names.STAGES)}.'
    )
  for stage in stages:
    errors.check_known('stage', stage, stage_names.STAGES)
  if 'export' in stages:
    extras.check('export')
  config = validate.prepare(config)
  if not config.release.embeddings:
    raise errors.UserError('release.embeddings is empty; name one or more.')
  split_model.make(config.model, 2)
  study = context.Study(ml_collections.FrozenConfigDict(config), workdir)
  check_batches(config)
  distributed.check_same('--stages', ','.join(stages))
  fresh = distributed.is_first() and not workdir.exists()
  with contextlib.ExitStack() as stack:
    if distributed.is_first():
      stack.enter_context(workdir_lock.hold(workdir))
    try:
      _claim(study, config)
    except errors.UserError:
      if fresh:
        shutil.rmtree(workdir)
      raise
    _run_stages(study, stages, fresh)
  return study


def _claim(study, config):
  """Stores or compares the config and the digests of the inputs."""
  workdir = study.workdir
  paths = inputs.of_config(config, workdir)

  def claim():
    validate.claim(workdir, config)
    digests.claim(workdir, paths, '--workdir')

  if distributed.is_first():
    claim()
  distributed.check_shared_workdir(workdir)
  if not distributed.is_first():
    claim()


def _run_stages(study, stages, fresh):
  workdir = study.workdir
  timer, compiled, programs = compile_timer.CompileTimer(), 0.0, 0
  ordered = [s for s in stage_names.STAGES if s in stages]
  path = workdir / 'timings.json'
  with contextlib.ExitStack() as stack:
    estimator = None
    for stage in ordered:
      started = time.monotonic()
      try:
        if stage != 'data' and estimator is None:
          estimator = _estimator(study, ordered)
          stack.enter_context(progress.overall('study', estimator))
        if estimator is not None:
          estimator.start(stage)
        if stage in _DISTRIBUTED or distributed.is_first():
          importlib.import_module(f'hybrid_jax.study.stages.{stage}').run(study)
      except (errors.UserError, MemoryError):
        # Nothing was trained: the corrected command may have this directory.
        is_new = fresh and stage == ordered[0]
        if is_new and not (workdir / 'training').exists():
          shutil.rmtree(workdir)
        raise
      distributed.barrier(stage)
      if estimator is not None:
        estimator.finish()
      if not distributed.is_first():
        continue
      seconds = time.monotonic() - started
      before, compiled = compiled, timer.seconds()
      earlier, programs = programs, len(timer.programs)
      _add_times(path, stage, seconds, compiled - before, programs - earlier)
      progress.say(f'{stage}: {seconds:.1f} s')


def _add_times(path, stage, seconds, compiling, programs):
  """Adds a run of a stage to the times of earlier runs, whose work it kept."""
  # Times differ from run to run, so they are not in metrics.json.
  timings = files.read_json(path) if path.exists() else {}
  for group, value in (
    (timings, seconds),
    (timings.setdefault('compiling', {}), compiling),
    (timings.setdefault('programs', {}), programs),
  ):
    group[stage] = round(group.get(stage, 0) + value, 1)
  timings['run'] = summary.describe_run()
  files.write_json(path, timings)


def _estimator(study, stages):
  """Estimates the time of all stages but the first, which reads the data."""
  stages = [stage for stage in stages if stage != 'data']
  plan = stage_costs.of_study(study, stages)
  path = study.workdir / 'timings.json'
  times = files.read_json(path) if path.exists() else {}
  return progress.Estimator(plan, stage_costs.measured_scale(plan, times))


def check_batches(config: ml_collections.ConfigDict) -> None:
  """Checks that every batch size is a multiple of the number of devices.

  Raises:
    UserError: a batch size is not.
  """
  devices = jax.device_count()
  for group in ('training', 'siamese', 'defend'):
    loop.check_divides(config[group].batch_size, devices, f'{group}.batch_size')


def open_study(workdir: pathlib.Path) -> context.Study:
  """Opens the study of a work directory with the config stored in it.

  Raises:
    UserError: the folder has no config, or no valid one; or the data or the
      pretrained weights are not those of the study.
  """
  path = workdir / 'config.json'
  if not path.exists():
    raise errors.UserError(
      f'{workdir} is no work directory of a study: it has no config.json.'
    )
  values = _with_tuples(files.read_json(path))
  validate.check_version(path, values)
  config = validate.prepare(ml_collections.ConfigDict(values))
  if (workdir / digests.NAME).exists():  # Earlier versions kept none.
    digests.claim(workdir, inputs.of_config(config, workdir), '--workdir')
  return context.Study(ml_collections.FrozenConfigDict(config), workdir)


def _with_tuples(value):
  """Turns the lists of JSON into tuples, as configs have them."""
  if isinstance(value, dict):
    return {k: _with_tuples(v) for k, v in value.items()}
  if isinstance(value, list):
    return tuple(_with_tuples(v) for v in value)
  return value
