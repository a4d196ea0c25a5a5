"""Trains defences of their own: a bottleneck, noise, and a penalty."""

import math

import jax
import ml_collections

from hybrid_jax import plugins, settings
from hybrid_jax.datasets import base as datasets
from hybrid_jax.release import bottleneck
from hybrid_jax.stages import base
from hybrid_jax.training import augmentation, loop, steps
from hybrid_jax.training import state as train_state

WARM = 'warm'


def run(study: base.Study) -> None:
  """Trains those defences whose weights an embedding asks for."""
  for split_point, name in study.targets:
    weights = study.config.release.embeddings[name].weights
    if weights not in (base.SIMPLE, base.SIAMESE):
      defend(study, weights, split_point, seed=0)


def defend(
  study: base.Study, defence: str, split_point: str, seed: int
) -> None:
  """Trains one defence, or goes on from its newest checkpoint.

  All start from the same network of that seed, which has learnt to live with
  the noise: the trained network with its principal components for a bottleneck,
  trained for `warm_steps` without a penalty.
  """
  config = study.config.defend
  folder = study.run_folder(defence, split_point, seed)
  if (folder / 'checkpoints' / f'{config.steps:08d}.json').exists():
    return
  start = study.undefended(defence, split_point)
  warm = _warm(study, split_point, seed)
  _fit(study, defence, split_point, seed, start | warm, config)


def _warm(study, split_point, seed):
  config = ml_collections.ConfigDict(study.config.defend)
  config.steps = config.every = config.warm_steps
  start = study.undefended('noise_alone', split_point)
  features = study.features(base.SIMPLE, split_point)
  train_rows = study.rows(datasets.TRAIN)
  flat = features[train_rows].reshape(
    -1, math.prod(study.feature_shape(split_point))
  )
  start['network'] = study.params(base.SIMPLE)
  start['bottleneck'] = bottleneck.fit(flat, study.config.release, split_point)
  trained = _fit(
    study, 'noise_alone', split_point, seed, start, config, label=WARM
  )
  return {name: trained.params[name] for name in ('network', 'bottleneck')}


def _fit(study, defence, split_point, seed, params, config, label=None):
  """Runs the one loop, validating on fresh noise."""
  data, rows = study.data, study.rows(datasets.TRAIN)
  held = study.rows(datasets.VALIDATION)
  tx = train_state.defence_optimizer(config)
  name, _, weight = defence.partition('@')
  made = plugins.load('defence', name).make(config)
  weight = float(weight or settings.at(config.weight[name], split_point))
  step = steps.make_defence_step(
    study.model,
    tx,
    split_point,
    made,
    weight,
    config,
    augmentation.make(study.config.augment),
  )

  @jax.jit
  def answers(params, x, key):
    variables = {'params': params['network']}
    z = study.model.apply(variables, x, split_point, method='edge')
    clean = params['bottleneck'].transform(z.reshape(len(z), -1))
    noisy = clean + jax.random.normal(key, clean.shape)
    rebuilt = params['bottleneck'].inverse(noisy).reshape(z.shape)
    return study.model.apply(
      variables, rebuilt, split_point, method='cloud'
    ).argmax(-1)

  def evaluate(params):
    key = study.key('defend', 'validation')
    found = answers(params, study.x[held], key)
    return {'validation_accuracy': float((found == data.primary[held]).mean())}

  batch = {'x': study.x[rows], 'primary': data.primary[rows]} | {
    f'sensitive_{name}': labels[rows] for name, labels in data.sensitive.items()
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
  )
