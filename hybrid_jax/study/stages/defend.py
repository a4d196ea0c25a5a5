"""Trains defences: a bottleneck, noise, and a penalty on what is released."""

import functools
from collections.abc import Sequence
from typing import Any

import ml_collections

from hybrid_jax import plugins
from hybrid_jax.datasets import dataset, sources
from hybrid_jax.models import split_model
from hybrid_jax.release import bottleneck, embeddings, mechanisms
from hybrid_jax.study import context, networks, trainings
from hybrid_jax.training import (
  checkpoint,
  distributed,
  joint_training,
  loop,
  steps,
  train_state,
)

_NO_PENALTY = 'noise_alone'
_WARM_START = 'warm'  # the label of the training that all defences start from


def run(study: context.Study) -> None:
  """Trains the defences that the study's embeddings use."""
  train_studies([study])


def train_studies(studies: Sequence[context.Study]) -> None:
  """Trains the defences of studies, each method with one program.

  Args:
    studies: of one config and data set; they differ in folds and folder.
  """
  study = studies[0]
  for split_point, name in study.targets:
    weights = study.config.release.embeddings[name].weights
    if weights not in (embeddings.SIMPLE, embeddings.SIAMESE):
      training = trainings.Training(weights)
      _train_members([(each, training) for each in studies], split_point)


def train_group(
  study: context.Study, group: Sequence[trainings.Training], split_point: str
) -> None:
  """Trains defences of one method, each from its newest checkpoint on.

  All defences of a seed start from the same network: the simple one with its
  principal components as the bottleneck, trained for `warm_steps` with noise
  and without a penalty.

  Args:
    study: after stage `train`.
    group: trainings of one method, which share one program.
    split_point: where the bottleneck ends the edge.
  """
  _train_members([(study, training) for training in group], split_point)


_Members = Sequence[tuple[context.Study, trainings.Training]]


def _train_members(members: _Members, split_point: str) -> None:
  """Trains defences of one method in one or several studies."""
  if distributed.broadcast_bool(
    all(_is_finished(study, each, split_point) for study, each in members)
  ):
    return
  warm = _warm_starts(members, split_point)
  _fit(
    members,
    [
      study.initial_defence_params(training, split_point)
      | warm[id(study), training.seed]
      for study, training in members
    ],
    split_point,
    members[0][0].config.defend,
  )


def _is_finished(study, training, split_point):
  folder = study.training_folder(training, split_point) / 'checkpoints'
  return checkpoint.path(folder, study.config.defend.steps).exists()


def _warm_starts(members, split_point):
  """Returns the start of each study's and seed's defences.

  It is the network and the bottleneck, by the study's `id` and the seed.
  """
  config = ml_collections.ConfigDict(members[0][0].config.defend)
  config.steps = config.every = config.warm_steps
  starts = {(id(s), t.seed): (s, t.seed) for s, t in members}
  first = {id(s): _untrained_start(s, split_point) for s, _ in members}
  states = _fit(
    [(s, trainings.Training(_NO_PENALTY, seed=n)) for s, n in starts.values()],
    [first[id(s)] for s, _ in starts.values()],
    split_point,
    config,
    [trainings.Training(_WARM_START, seed=n) for _, n in starts.values()],
  )
  return {
    key: {name: state.params[name] for name in ('network', 'bottleneck')}
    for key, state in zip(starts, states, strict=True)
  }


def _untrained_start(study, split_point):
  """Returns the simple network, with its principal components as bottleneck."""
  features = study.features(embeddings.SIMPLE, split_point)
  train_features = features[study.rows(dataset.TRAIN)]
  return study.initial_defence_params(_NO_PENALTY, split_point) | {
    'network': study.params(embeddings.SIMPLE),
    'bottleneck': bottleneck.fit(
      train_features.reshape(len(train_features), -1),
      study.config.release,
      split_point,
    ),
  }


def _fit(
  members: _Members,
  starts: Sequence[Any],
  split_point: str,
  config: ml_collections.ConfigDict,
  names: Sequence[trainings.Training] | None = None,
) -> list[train_state.TrainState]:
  """Trains from `starts`; `names` stand for trainings in folders and logs."""
  study, training = members[0]
  options = trainings.defence_settings(study.config, training.method)
  tx = train_state.defence_optimizer(
    config, options.get('adversary_factor', 1.0)
  )
  defence = plugins.load('defence', training.method).make(options)
  data = {id(s): training_data(s) for s, _ in members}

  def make_step(settings):
    return steps.make_defence_step(
      study.trainable,
      tx,
      split_point,
      defence,
      settings['weight'],
      config,
      study.augment(settings),
    )

  return joint_training.fit(
    make_step,
    [
      joint_training.Run(
        state=train_state.create(start, tx),
        key=each.key('defend', split_point, str(name.seed)),
        settings=each.augment_settings
        | {
          'weight': trainings.setting(
            each.config, training, 'weight', split_point
          )
        },
        data=data[id(each)],
        evaluate=_make_evaluate(each, split_point),
        folder=each.training_folder(name, split_point),
        label=each.label(f'{name.label} {split_point}, seed {name.seed}'),
      )
      for (each, training), start, name in zip(
        members, starts, names or [t for _, t in members], strict=True
      )
    ],
    total=config.steps,
    batch_size=config.batch_size,
    every=config.every,
    capacity=study.training_capacity,
    workers=study.config.input.workers,
  )


def training_data(study: context.Study) -> dict[str, Any]:
  """Returns the training fold with the labels that defences learn from."""
  data, rows = study.data, study.rows(dataset.TRAIN)
  labels = trainings.defended_labels(study.config, data.sensitive)
  return {
    'x': sources.select_rows(study.x, rows),
    'primary': data.primary[rows],
    **{f'sensitive_{k}': data.sensitive[k][rows] for k in labels},
  }


def _make_evaluate(study: context.Study, split_point: str) -> loop.Evaluate:
  """Returns a function that validates parameters on fresh noise."""
  held = study.rows(dataset.VALIDATION)
  shape = study.feature_shape(split_point)
  edge = functools.partial(
    split_model.call, split_model.Part(study.model, 'edge', split_point)
  )

  def evaluate(params):
    key = study.key('defend', 'validation')
    release = mechanisms.Release((params['bottleneck'],))
    features = split_model.in_blocks(
      edge, params['network'], sources.select_rows(study.x, held)
    )
    clean = release.transform_all(features)
    noisy = clean + networks.normal(key, clean.shape)
    logits = networks.logits_of_releases(
      study.model, split_point, shape, release, params['network'], noisy
    )
    predictions = logits.argmax(-1)
    accuracy = (predictions == study.data.primary[held]).mean()
    return {'validation_accuracy': float(accuracy)}

  return evaluate
