"""Stage `train`: trains the whole network for the primary task."""

from collections.abc import Sequence
from typing import Any

from hybrid_jax import progress
from hybrid_jax.datasets import dataset, sources
from hybrid_jax.models.pretrained import weights
from hybrid_jax.release import embeddings
from hybrid_jax.study import context
from hybrid_jax.training import (
  augmentation,
  joint_training,
  loop,
  steps,
  train_state,
)


def run(study: context.Study) -> None:
  """Trains from the newest checkpoint on."""
  changes = augmentation.active(study.config.augment)
  if changes:
    text = ', '.join(f'{name} {value:g}' for name, value in changes.items())
    progress.say(
      f'training examples are changed at random: {text};'
      ' --config.augment.enabled=False leaves them'
    )
  train_studies([study])


def train_studies(studies: Sequence[context.Study]) -> None:
  """Trains the networks of studies with one program.

  Args:
    studies: of one config and data set; they differ in folds and folder.
  """
  study = studies[0]
  config = study.config.training
  tx = study.optimizer(config)
  joint_training.fit(
    lambda settings: steps.make_task_step(
      study.trainable,
      tx,
      study.augment(settings),
      config.mixup,
      config.label_smoothing,
    ),
    [
      joint_training.Run(
        state=train_state.create(first_params(each), tx),
        key=each.key(embeddings.SIMPLE, ''),
        settings=each.augment_settings,
        data=data(each),
        evaluate=make_evaluate(each),
        folder=each.training_folder(embeddings.SIMPLE),
        label=each.label(embeddings.SIMPLE),
      )
      for each in studies
    ],
    total=config.steps,
    batch_size=config.batch_size,
    every=config.every,
    capacity=study.training_capacity,
    keep_best=config.keep_best,
    workers=study.config.input.workers,
  )


def first_params(study: context.Study) -> dict[str, Any]:
  """Returns the parameters before training: fresh, or read from a file."""
  params, summary = weights.from_config(
    study.config.model.pretrained,
    study.initial_params(),
    study.config.model.name,
  )
  if summary:
    progress.say(summary.line())
  return params


def data(study: context.Study) -> dict[str, Any]:
  """Returns the inputs and primary labels of the training fold."""
  rows = study.rows(dataset.TRAIN)
  return {
    'x': sources.select_rows(study.x, rows),
    'primary': study.data.primary[rows],
  }


def make_evaluate(study: context.Study) -> loop.Evaluate:
  """Returns a function that validates the whole network's parameters."""
  held = study.rows(dataset.VALIDATION)
  held_x, held_y = sources.select_rows(study.x, held), study.data.primary[held]

  def evaluate(params):
    predictions = study.logits(params, held_x).argmax(-1)
    return {'validation_accuracy': float((predictions == held_y).mean())}

  return evaluate
