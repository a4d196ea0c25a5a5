"""Planned costs of a study's stages, for the bar over the whole study.

A cost is about a second on two cores without a GPU. `progress.Estimator` learns
the scale of the machine while it runs; only the ratios matter here. They were
read off studies of `configs/watch.py`.
"""

from collections.abc import Mapping, Sequence

import jax

from hybrid_jax.deploy.export import operation_counts
from hybrid_jax.measures import measurement
from hybrid_jax.release import embeddings
from hybrid_jax.study import context, problems, trainings
from hybrid_jax.study.strangers import people_folds

Plan = dict[str, dict[str, tuple[float, float]]]

# Of the watch study: its windows, and the multiply-adds of a window.
_WINDOWS, _MULTIPLY_ADDS = 5889, 926e3
_STEP = 0.012  # seconds of a step of its plain training
_TARGET = {
  measurement.LEAKAGE: 8.0,
  'ceiling': 1.5,
  'ranks': 0.5,
  'releases': 6.0,
  'attacker_data': 6.0,
  'reconstruction': 10.0,
}
_COMPILING = 5.0  # of a training, or of a stage's features


def of_study(study: context.Study, stages: Sequence[str]) -> Plan:
  """Returns stage to unit to the number of units and the cost of all.

  Args:
    study: the study; reads its data.
    stages: those that will run, in order.
  """
  config, targets = study.config, len(study.targets)
  step = _STEP * _size(study)
  training, siamese, defend = config.training, config.siamese, config.defend
  defences = [
    name
    for _, name in study.targets
    if config.release.embeddings[name].weights
    not in (embeddings.SIMPLE, embeddings.SIAMESE)
  ]
  plan: Plan = {
    'data': {},
    'train': _steps(training.steps, step * training.batch_size / 128),
    'siamese': _steps(
      siamese.steps * len(study.split_points), step * siamese.batch_size / 128
    ),
    'defend': {},
    'release': {'embedding': (targets, _COMPILING + 0.4 * targets)},
    'attack': {},
    'strangers': _strangers(study, step),
    'grid': _grid(study, 2 * step * defend.batch_size / 128),
    'export': {
      'split point': (
        len(study.split_points),
        _COMPILING + 3.0 * len(study.split_points),
      )
    },
    'report': {'': (1, 5.0)},
  }
  if defences:
    # Two embeddings may share a training.
    weights = {config.release.embeddings[name].weights for name in defences}
    plan['defend'] = _steps(
      defend.warm_steps + len(weights) * defend.steps,
      2 * step * defend.batch_size / 128,
    )
  left = sum(
    cost
    for task, cost in attack_costs(study).items()
    if not study.result(*task).exists()
  )
  plan['attack'] = {'task': (left, left)}
  return {stage: plan[stage] for stage in stages}


def attack_costs(study: context.Study) -> dict[tuple[str, str], float]:
  """Returns measure and target to the cost of attacking it."""
  share = len(study.data.fold) / _WINDOWS
  rows = [
    (f'control-{name}', measurement.CONTROL) for name in problems.CONTROLS
  ]
  rows += [(f'{p}-{name}', p) for p, name in study.targets]
  return {
    (measure, target): share * _TARGET.get(measure, 5.0)
    for target, split_point in rows
    for measure in measurement.names(study.config.attack, split_point)
  }


def measured_scale(plan: Plan, times: Mapping[str, float]) -> float:
  """Returns seconds per cost of the stages that an earlier run has timed.

  Args:
    plan: see `of_study`.
    times: stage to seconds; see `timings.json`.
  """
  costs = {
    stage: sum(cost for _, cost in parts.values())
    for stage, parts in plan.items()
  }
  timed = [s for s in plan if times.get(s, 0.0) > 1.0 and costs[s]]
  if not timed:
    return 1.0
  return sum(times[s] for s in timed) / sum(costs[s] for s in timed)


def _steps(steps, seconds):
  return {'step': (steps, _COMPILING + steps * seconds)}


def _strangers(study, step):
  """Trainings and attacks of all folds of people at one split point."""
  folds, config = people_folds.count_folds(study), study.config
  if not folds:
    return {}
  names = people_folds.chosen_embeddings(study, study.split_points[-1])
  weights = {config.release.embeddings[name].weights for name in names}
  count = config.training.steps
  if embeddings.SIAMESE in weights:
    count += config.siamese.steps
  defences = weights - {embeddings.SIMPLE, embeddings.SIAMESE}
  if defences:
    # A step of a defence takes twice as long as a plain one.
    count += 2 * config.defend.warm_steps
    count += 2 * len(defences) * config.defend.steps
  share = len(study.data.fold) / _WINDOWS
  attacks = folds * (len(names) + 1)  # one on the answer alone
  return {
    'step': (folds * count, _COMPILING + folds * step * count),
    'audit': (attacks, attacks * _TARGET[measurement.LEAKAGE] * share / 2),
  }


def _grid(study, step):
  """Trainings of the grid, and the attacks on each."""
  config = study.config.get('grid')
  if not config or config.split_point not in study.split_points:
    return {}
  group = trainings.of_grid(study.config)
  defend = study.config.defend
  count = config.seeds * defend.warm_steps
  for training in group:
    is_siamese = training.method == embeddings.SIAMESE
    count += study.config.siamese.steps if is_siamese else defend.steps
  share = len(study.data.fold) / _WINDOWS
  attack = 0.4 * share * len(config.noise) * len(config.adversaries)
  return _steps(count, step) | {
    'training': (len(group), len(group) * (1.0 + attack))
  }


def _size(study):
  """The work of a training step in multiples of the watch study's."""
  model, example = study.model, study.example
  params = jax.eval_shape(model.init, jax.random.key(0), example)['params']
  work = operation_counts.multiply_adds(
    lambda params: model.apply({'params': params}, example), params
  )
  # A step of the smallest network takes time, too.
  return 0.2 + 0.8 * work / _MULTIPLY_ADDS
