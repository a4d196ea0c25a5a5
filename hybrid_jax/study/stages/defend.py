"""Trains defences: a bottleneck, noise, and a penalty on what is released."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import ml_collections
import numpy as np

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
  for split_point, name in study.targets:
    weights = study.config.release.embeddings[name].weights
    if weights not in (embeddings.SIMPLE, embeddings.SIAMESE):
      train_group(study, [trainings.Training(weights)], split_point)


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
  config = study.config.defend
  if distributed.broadcast_bool(
    all(_is_finished(study, training, split_point) for training in group)
  ):
    return
  seeds = list(dict.fromkeys(training.seed for training in group))
  warm = dict(zip(seeds, _warm_starts(study, seeds, split_point), strict=True))
  _fit(
    study,
    group,
    [
      study.initial_defence_params(training, split_point) | warm[training.seed]
      for training in group
    ],
    split_point,
    config,
  )


def _is_finished(study, training, split_point):
  folder = study.training_folder(training, split_point) / 'checkpoints'
  return checkpoint.path(folder, study.config.defend.steps).exists()


def _warm_starts(study, seeds, split_point):
  """Returns the network and bottleneck that each seed's defences start from."""
  config = ml_collections.ConfigDict(study.config.defend)
  config.steps = config.every = config.warm_steps
  features = study.features(embeddings.SIMPLE, split_point)
  train_features = features[study.rows(dataset.TRAIN)]
  start = study.initial_defence_params(_NO_PENALTY, split_point) | {
    'network': study.params(embeddings.SIMPLE),
    'bottleneck': bottleneck.fit(
      train_features.reshape(len(train_features), -1),
      study.config.release,
      split_point,
    ),
  }
  states = _fit(
    study,
    [trainings.Training(_NO_PENALTY, seed=seed) for seed in seeds],
    [start] * len(seeds),
    split_point,
    config,
    [trainings.Training(_WARM_START, seed=seed) for seed in seeds],
  )
  return [
    {name: state.params[name] for name in ('network', 'bottleneck')}
    for state in states
  ]


def _fit(
  study: context.Study,
  group: Sequence[trainings.Training],
  starts: Sequence[Any],
  split_point: str,
  config: ml_collections.ConfigDict,
  names: Sequence[trainings.Training] | None = None,
) -> list[train_state.TrainState]:
  """Trains a group from `starts`; `names` stand for it in folders and logs."""
  method = group[0].method
  options = trainings.defence_settings(study.config, method)
  tx = train_state.defence_optimizer(
    config, options.get('adversary_factor', 1.0)
  )
  augment = study.augment()
  defence = plugins.load('defence', method).make(options)

  def make_step(settings):
    return steps.make_defence_step(
      study.trainable,
      tx,
      split_point,
      defence,
      settings['weight'],
      config,
      augment,
    )

  return joint_training.fit(
    make_step,
    [
      joint_training.Run(
        state=train_state.create(start, tx),
        key=study.key('defend', split_point, str(name.seed)),
        settings={
          'weight': trainings.setting(
            study.config, training, 'weight', split_point
          )
        },
        folder=study.training_folder(name, split_point),
        label=f'{name.label} {split_point}, seed {name.seed}',
      )
      for training, start, name in zip(
        group, starts, names or group, strict=True
      )
    ],
    training_data(study),
    total=config.steps,
    batch_size=config.batch_size,
    every=config.every,
    evaluate=_make_evaluate(study, split_point),
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
    noisy = clean + np.asarray(jax.random.normal(key, clean.shape))
    logits = networks.logits_of_releases(
      study.model, split_point, shape, release, params['network'], noisy
    )
    predictions = logits.argmax(-1)
    accuracy = (predictions == study.data.primary[held]).mean()
    return {'validation_accuracy': float(accuracy)}

  return evaluate
