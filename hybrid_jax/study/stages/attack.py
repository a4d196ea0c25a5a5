"""Stage `attack`: attacks all embeddings and controls with all measures."""

import collections
import functools

from hybrid_jax import files, progress
from hybrid_jax.measures import measurement
from hybrid_jax.release import embeddings
from hybrid_jax.study import context, problems, stage_costs, thread_pool
from hybrid_jax.training import distributed


def run(study: context.Study) -> None:
  """Writes `results/MEASURE/TARGET.json`; keeps existing results.

  The processes of a distributed run share the list of all targets. They cannot
  share the list of missing results, since each may see another one.
  """
  measures = {
    target: measurement.names(study.config.attack, split_point)
    for target, split_point in _targets(study)
  }
  by_length = sorted(measures, key=lambda target: -len(measures[target]))
  share = distributed.local_share(by_length)
  tasks = [(m, t) for t in measures if t in share for m in measures[t]]
  missing = [task for task in tasks if not study.result(*task).exists()]
  if not missing:
    return
  # Fill the caches once, before the threads start.
  study.data, study.x, study.model, study.params(embeddings.SIMPLE)
  costs = stage_costs.attack_costs(study)
  # The longest first, so that no long target runs alone at the end. Of equals
  # the later: these have noise and take longer.
  count = collections.Counter(target for _, target in missing)
  targets = list(count)[::-1]
  targets.sort(key=lambda target: -count[target])
  with progress.Progress(
    'attack', len(tasks), len(tasks) - len(missing), 'measure'
  ) as bar:
    thread_pool.run(
      functools.partial(_attack, study, bar),
      [
        (target, {m: costs[m, t] for m, t in missing if t == target})
        for target in targets
      ],
      study.config.attack.workers,
    )


def _targets(study):
  """Returns the name and the split point of each target."""
  controls = [
    (f'control-{name}', measurement.CONTROL) for name in problems.CONTROLS
  ]
  return controls + [(f'{p}-{name}', p) for p, name in study.targets]


def _attack(study, bar, target, measures):
  split_point, _, name = target.partition('-')
  problem = (
    problems.control(study, name)
    if split_point == 'control'
    else problems.of_embedding(study, split_point, name)
  )
  config = measurement.config_at(
    study.config.attack,
    measurement.CONTROL if split_point == 'control' else split_point,
  )
  if target == problems.ANSWER:
    config = problems.answer_config(config)
  for measure, cost in measures.items():
    with progress.task(cost, study.config.attack.workers):
      result = measurement.run(measure, problem, config, study.config.seed)
    if measure == measurement.LEAKAGE and len(problem.fold) < len(
      study.data.fold
    ):
      # Only the inputs that fit in memory were attacked.
      result = {
        attribute: figures | {'examples': len(problem.fold)}
        for attribute, figures in result.items()
      }
    files.write_json(study.result(measure, target), result)
    leakage = result if measure == measurement.LEAKAGE else {}
    bar.advance(
      1,
      last=f'{measure} of {target}',
      **{attribute: figures['value'] for attribute, figures in leakage.items()},
    )
