"""Fine-tunes the network with the Siamese loss, once for every split point."""

from collections.abc import Sequence

import ml_collections

from hybrid_jax.release import embeddings, mechanisms
from hybrid_jax.study import context, trainings
from hybrid_jax.study.stages import train
from hybrid_jax.training import (
  joint_training,
  steps,
  train_state,
)


def run(study: context.Study) -> None:
  """Trains at each split point, with the settings of the config."""
  for split_point in study.split_points:
    train_group(study, [trainings.Training(embeddings.SIAMESE)], split_point)


def train_group(
  study: context.Study, group: Sequence[trainings.Training], split_point: str
) -> None:
  """Fine-tunes the network of stage `train` with the Siamese loss.

  An interrupted training continues from its own newest checkpoint. Checkpoints
  and curves are in `study.training_folder`.

  Args:
    study: after stage `train`.
    group: Siamese trainings. They differ in weight, margin and seed only, so
      one compiled program trains all of them.
    split_point: the layer whose features the contrastive loss compares.

  Raises:
    UserError: stage `train` is not finished.
  """
  config = study.config.siamese
  tx = study.optimizer(config)
  augment = study.augment()
  balance_pairs = mechanisms.at_split_point(config.balance_pairs, split_point)

  def make_step(settings):
    loss = ml_collections.ConfigDict(
      {**settings, 'balance_pairs': balance_pairs}
    )
    return steps.make_siamese_step(
      study.trainable, tx, split_point, loss, augment
    )

  joint_training.fit(
    make_step,
    [
      joint_training.Run(
        state=train_state.create(study.params(embeddings.SIMPLE), tx),
        key=_key(study, training.seed, split_point),
        settings={
          name: trainings.setting(study.config, training, name, split_point)
          for name in ('weight', 'margin')
        },
        folder=study.training_folder(training, split_point),
        label=f'{training.label} {split_point}, seed {training.seed}',
      )
      for training in group
    ],
    train.data(study),
    total=config.steps,
    batch_size=config.batch_size,
    every=config.every,
    evaluate=train.make_evaluate(study),
    workers=study.config.input.workers,
  )


def _key(study, seed, split_point):
  names = (embeddings.SIAMESE, split_point, *([str(seed)] if seed else []))
  return study.key(*names)
