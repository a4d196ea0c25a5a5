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

  Args:
    study: after stage `train`.
    group: Siamese trainings. They differ in weight, margin and seed only, so
      one compiled program trains all of them.
    split_point: the layer whose features the contrastive loss compares.

  Raises:
    UserError: stage `train` is not finished.
  """
  train_members([(study, training) for training in group], split_point)


def train_members(
  members: Sequence[tuple[context.Study, trainings.Training]], split_point: str
) -> None:
  """Fine-tunes networks of several studies with one program.

  An interrupted training continues from its own newest checkpoint. Checkpoints
  and curves are in `study.training_folder`.

  Args:
    members: a study and one of its trainings; see `train_group`. The studies
      have one config and data set, and differ in folds and folder.
    split_point: see `train_group`.
  """
  study = members[0][0]
  config = study.config.siamese
  tx = study.optimizer(config)
  balance_pairs = mechanisms.at_split_point(config.balance_pairs, split_point)
  data = {id(s): train.data(s) for s, _ in members}

  def make_step(settings):
    loss = ml_collections.ConfigDict(
      {name: settings[name] for name in ('weight', 'margin')}
      | {'balance_pairs': balance_pairs}
    )
    return steps.make_siamese_step(
      study.trainable, tx, split_point, loss, study.augment(settings)
    )

  joint_training.fit(
    make_step,
    [
      joint_training.Run(
        state=train_state.create(each.params(embeddings.SIMPLE), tx),
        key=_key(each, training.seed, split_point),
        settings=each.augment_settings
        | {
          name: trainings.setting(each.config, training, name, split_point)
          for name in ('weight', 'margin')
        },
        data=data[id(each)],
        evaluate=train.make_evaluate(each),
        folder=each.training_folder(training, split_point),
        label=each.label(
          f'{training.label} {split_point}, seed {training.seed}'
        ),
      )
      for each, training in members
    ],
    total=config.steps,
    batch_size=config.batch_size,
    every=config.every,
    capacity=study.training_capacity,
    workers=study.config.input.workers,
  )


def _key(study, seed, split_point):
  names = (embeddings.SIAMESE, split_point, *([str(seed)] if seed else []))
  return study.key(*names)
