"""The networks of a sweep: one study for each training, trained together."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from hybrid_jax import errors, progress
from hybrid_jax.datasets import sources
from hybrid_jax.release import embeddings
from hybrid_jax.study import context, validate
from hybrid_jax.study.stages import train
from hybrid_jax.study.sweep import grid
from hybrid_jax.training import (
  augmentation,
  checkpoint,
  steps,
  train_state,
  vmapped_training,
)


def open_studies(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> list[context.Study]:
  """Each training's study, in `workdir/trainings`; they share their data.

  Raises:
    UserError: the data are too large to lie on the device.
  """
  out: list[context.Study] = []
  for training in grid.trainings(config):
    folder = workdir / 'trainings' / training.name
    out.append(open_study(config, training, folder, out[0] if out else None))
  if sources.is_lazy(out[0].x):
    raise errors.UserError(
      'the data are above input.memory_limit, and a sweep has them on the'
      ' device; raise it, or take fewer examples.'
    )
  return out


def open_study(
  config: ml_collections.ConfigDict,
  training: grid.Training,
  folder: pathlib.Path,
  other: context.Study | None = None,
) -> context.Study:
  """A training's study, with which `launch.study` can go on.

  Args:
    config: of the sweep.
    training: one of its trainings.
    folder: the study's own.
    other: another of the sweep's, whose data are the same, to be read once.
  """
  own = grid.config_of(config, training)
  validate.claim(folder, own)
  study = context.Study(ml_collections.FrozenConfigDict(own), folder)
  if other is not None:
    for name in ('data', 'normalizer', 'x'):
      vars(study)[name] = getattr(other, name)  # Where cached properties lie.
  return study


def by_seed(studies: list[context.Study]) -> list[context.Study]:
  """The first study of each seed."""
  return list({s.config.seed: s for s in reversed(studies)}.values())[::-1]


def is_trained(study: context.Study, weights: str) -> bool:
  """Whether the training of these weights is finished."""
  try:
    study.params(weights, study.split_points[0])
  except errors.UserError:
    return False
  return True


def save(study: context.Study, weights: str, state: Any) -> None:
  """Keeps a finished state where the study looks for it."""
  folder = study.run_folder(weights, study.split_points[0])
  checkpoint.save(folder / 'checkpoints', int(state.step), state)


def train_simple(studies: list[context.Study], mapping: str) -> None:
  """Every seed's network, for the primary task, as one program.

  Those that are finished stay. All studies of a seed get its network.
  """
  config, model = studies[0].config, studies[0].trainable
  tx = studies[0].optimizer(config.training)
  augment = augmentation.make(config.augment)
  waiting = [
    s for s in by_seed(studies) if not is_trained(s, embeddings.SIMPLE)
  ]
  if waiting:
    trained = vmapped_training.fit(
      lambda _: steps.make_task_step(model, tx, augment),
      [train_state.create(train.first_params(s), tx) for s in waiting],
      [s.key(embeddings.SIMPLE, '') for s in waiting],
      {},
      train.data(studies[0]),
      total=config.training.steps,
      batch_size=config.training.batch_size,
      mapping=mapping,
    )
    for study, state in zip(waiting, trained.states, strict=True):
      save(study, embeddings.SIMPLE, state)
    progress.say(f'simple: {len(waiting)} networks together, {trained}')
  of_seed = {s.config.seed: s for s in by_seed(studies)}
  for study in studies:
    if not is_trained(study, embeddings.SIMPLE):
      copy_simple(of_seed[study.config.seed], study)


def copy_simple(source: context.Study, study: context.Study) -> None:
  """Gives a study the simple network of another."""
  tx = study.optimizer(study.config.training)
  state = train_state.create(source.params(embeddings.SIMPLE), tx)
  steps_done = np.asarray(study.config.training.steps, np.int32)
  save(study, embeddings.SIMPLE, jax.device_get(state).replace(step=steps_done))


def train_siamese(
  studies: list[context.Study], mapping: str
) -> vmapped_training.Trained:
  """Siamese fine-tuning of all studies as one program; nothing is saved."""
  first = studies[0]
  config, split_point = first.config.siamese, first.split_points[0]
  tx = first.optimizer(config)
  augment = augmentation.make(first.config.augment)

  def make_step(own):
    loss = ml_collections.ConfigDict(
      {**own, 'balance_pairs': config.balance_pairs}
    )
    return steps.make_siamese_step(
      first.trainable, tx, split_point, loss, augment
    )

  return vmapped_training.fit(
    make_step,
    [train_state.create(s.params(embeddings.SIMPLE), tx) for s in studies],
    [s.key(embeddings.SIAMESE, split_point) for s in studies],
    {
      name: jnp.array([s.config.siamese[name] for s in studies])
      for name in ('weight', 'margin')
    },
    train.data(first),
    total=config.steps,
    batch_size=config.batch_size,
    mapping=mapping,
  )
