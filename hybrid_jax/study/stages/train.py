"""Trains the whole network for the primary task."""

from typing import Any

import jax

from hybrid_jax import progress
from hybrid_jax.datasets import dataset, sources
from hybrid_jax.models import split_model
from hybrid_jax.models.pretrained import weights
from hybrid_jax.release import embeddings
from hybrid_jax.study import context
from hybrid_jax.training import augmentation, loop, steps, train_state


def run(study: context.Study) -> None:
  """Trains, or goes on from the newest checkpoint; nothing once it is done."""
  tx = study.optimizer(study.config.training)
  params = first_params(study)
  fit(
    study,
    study.config.training,
    steps.make_task_step(
      study.trainable, tx, augmentation.make(study.config.augment)
    ),
    train_state.create(params, tx),
    embeddings.SIMPLE,
  )


def first_params(study: context.Study) -> dict[str, Any]:
  """What training starts from: fresh parameters, or weights from a file."""
  params, summary = weights.from_config(
    study.config.model.pretrained,
    study.initial_params(),
    study.config.model.name,
  )
  if summary:
    progress.say(summary.line())
  return params


def data(study: context.Study) -> dict[str, Any]:
  """The training fold, as the loop takes it."""
  train = study.rows(dataset.TRAIN)
  return {
    'x': sources.select_rows(study.x, train),
    'primary': study.data.primary[train],
  }


def fit(study, settings, step, state, weights: str, split_point: str = ''):
  """Runs the one loop on the training fold, validating after each chunk."""
  held = study.rows(dataset.VALIDATION)
  held_x, held_y = sources.select_rows(study.x, held), study.data.primary[held]
  whole = jax.jit(lambda p, x: study.model.apply({'params': p}, x).argmax(-1))

  def evaluate(params):
    answers = split_model.in_blocks(whole, params, held_x)
    return {'validation_accuracy': float((answers == held_y).mean())}

  label = f'{weights} {split_point}'.strip()
  loop.fit(
    step,
    state,
    data(study),
    total=settings.steps,
    batch_size=settings.batch_size,
    every=settings.every,
    key=study.key(weights, split_point),
    folder=study.run_folder(weights, split_point),
    evaluate=evaluate,
    label=label,
    workers=study.config.input.workers,
  )
