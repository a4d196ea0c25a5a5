"""Trains defences of their own: a bottleneck, noise, and a penalty."""

import math

import jax
import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.datasets import dataset, sources
from hybrid_jax.models import split_model
from hybrid_jax.release import bottleneck, embeddings, mechanisms
from hybrid_jax.study import context
from hybrid_jax.training import (
  augmentation,
  checkpoint,
  distributed,
  loop,
  steps,
  train_state,
)

WARM = 'warm'


def run(study: context.Study) -> None:
  """Trains those defences whose weights an embedding asks for."""
  for split_point, name in study.targets:
    weights = study.config.release.embeddings[name].weights
    if weights not in (embeddings.SIMPLE, embeddings.SIAMESE):
      defend(study, weights, split_point, seed=0)


def defend(
  study: context.Study, defence: str, split_point: str, seed: int
) -> None:
  """Trains one defence, or goes on from its newest checkpoint.

  All start from the same network of that seed, which has learnt to live with
  the noise: the trained network with its principal components for a bottleneck,
  trained for `warm_steps` without a penalty.
  """
  config = study.config.defend
  folder = study.run_folder(defence, split_point, seed)
  done = checkpoint.path(folder / 'checkpoints', config.steps)
  if distributed.broadcast_bool(done.exists()):
    return
  start = study.undefended(defence, split_point)
  warm = _warm(study, split_point, seed)
  _fit(study, defence, split_point, seed, start | warm, config)


def _warm(study, split_point, seed):
  config = ml_collections.ConfigDict(study.config.defend)
  config.steps = config.every = config.warm_steps
  start = study.undefended('noise_alone', split_point)
  features = study.features(embeddings.SIMPLE, split_point)
  train_rows = study.rows(dataset.TRAIN)
  flat = features[train_rows].reshape(
    -1, math.prod(study.feature_shape(split_point))
  )
  start['network'] = study.params(embeddings.SIMPLE)
  start['bottleneck'] = bottleneck.fit(flat, study.config.release, split_point)
  trained = _fit(
    study, 'noise_alone', split_point, seed, start, config, label=WARM
  )
  return {name: trained.params[name] for name in ('network', 'bottleneck')}


def _fit(study, defence, split_point, seed, params, config, label=None):
  """Runs the one loop, validating on fresh noise."""
  data, rows = study.data, study.rows(dataset.TRAIN)
  held = study.rows(dataset.VALIDATION)
  settings = study.defence_settings(defence)
  tx = train_state.defence_optimizer(
    config, settings.get('adversary_factor', 1.0)
  )
  name, _, weight = defence.partition('@')
  made = plugins.load('defence', name).make(settings)
  weight = float(
    weight or mechanisms.at_split_point(settings.weight, split_point)
  )
  step = steps.make_defence_step(
    study.trainable,
    tx,
    split_point,
    made,
    weight,
    config,
    augmentation.make(study.config.augment),
  )

  shape = study.feature_shape(split_point)

  @jax.jit
  def sent(params, x):
    variables = {'params': params['network']}
    z = study.model.apply(variables, x, split_point, method='edge')
    return params['bottleneck'].transform(z.reshape(len(z), -1))

  @jax.jit
  def answers(params, noisy):
    variables = {'params': params['network']}
    rebuilt = params['bottleneck'].inverse(noisy).reshape(-1, *shape)
    return study.model.apply(
      variables, rebuilt, split_point, method='cloud'
    ).argmax(-1)

  def evaluate(params):
    key = study.key('defend', 'validation')
    clean = split_model.in_blocks(
      sent, params, sources.select_rows(study.x, held)
    )
    noisy = clean + np.asarray(jax.random.normal(key, clean.shape))
    found = split_model.in_blocks(answers, params, noisy)
    return {'validation_accuracy': float((found == data.primary[held]).mean())}

  batch = {
    'x': sources.select_rows(study.x, rows),
    'primary': data.primary[rows],
    **{f'sensitive_{k}': v[rows] for k, v in data.sensitive.items()},
  }
  return loop.fit(
    step,
    train_state.create(params, tx),
    batch,
    total=config.steps,
    batch_size=config.batch_size,
    every=config.every,
    evaluate=evaluate,
    key=study.key('defend', split_point, str(seed)),
    folder=study.run_folder(label or defence, split_point, seed),
    label=f'{label or defence} {split_point}, seed {seed}',
    workers=study.config.input.workers,
  )
