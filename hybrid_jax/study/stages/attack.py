"""Attacks every released file and the controls, and measures what they tell."""

import collections
from concurrent import futures

import threadpoolctl

from hybrid_jax import files, progress
from hybrid_jax.audit import measurement
from hybrid_jax.release import embeddings
from hybrid_jax.study import context, problems
from hybrid_jax.training import distributed


def run(study: context.Study) -> None:
  """Writes `results/MEASURE/TARGET.json`; those that are done are kept.

  The processes of a distributed run share out the targets, by all of them
  rather than by those that are left, which they would see at other times.
  """
  asked = {
    target: measurement.names(study.config.attack, split_point)
    for target, split_point in _targets(study)
  }
  shared = distributed.local_share(sorted(asked, key=lambda t: -len(asked[t])))
  tasks = [(m, t) for t in asked if t in shared for m in asked[t]]
  left = [t for t in tasks if not study.result(*t).exists()]
  if not left:
    return
  # Found before the threads start, since they would each find it anew.
  study.data, study.x, study.model, study.params(embeddings.SIMPLE)
  # Those with most to measure first, so that none of them is alone in the end;
  # of equals the later, which have noise and take longer.
  count = collections.Counter(target for _, target in left)
  targets = list(count)[::-1]
  targets.sort(key=lambda target: -count[target])
  with (
    progress.Progress(
      'attack', len(tasks), len(tasks) - len(left), 'measure'
    ) as bar,
    # BLAS cuts its work by the threads that it finds free, which would show in
    # the last bits, and these in what attackers learn.
    threadpoolctl.threadpool_limits(1, 'blas'),
    # Networks and trees take turns at the cores, which neither fills alone.
    futures.ThreadPoolExecutor(study.config.attack.workers) as pool,
  ):
    waiting = [
      pool.submit(
        _attack, study, target, [m for m, t in left if t == target], bar
      )
      for target in targets
    ]
    try:
      for future in futures.as_completed(waiting):
        future.result()
    except BaseException:
      pool.shutdown(cancel_futures=True)
      raise


def _targets(study):
  """Each target's name and split point; controls at none of them."""
  controls = [
    (f'control-{name}', measurement.CONTROL) for name in problems.CONTROLS
  ]
  return controls + [(f'{p}-{name}', p) for p, name in study.targets]


def _attack(study, target, measures, bar):
  split_point, _, name = target.partition('-')
  problem = (
    problems.control(study, name)
    if split_point == 'control'
    else problems.of_row(study, split_point, name)
  )
  config = measurement.config_at(
    study.config.attack,
    measurement.CONTROL if split_point == 'control' else split_point,
  )
  for measure in measures:
    found = measurement.run(measure, problem, config, study.config.seed)
    if measure == measurement.LEAKAGE and len(problem.fold) < len(
      study.data.fold
    ):
      # Inputs that are not in memory are attacked in part.
      found = {
        k: figures | {'examples': len(problem.fold)}
        for k, figures in found.items()
      }
    files.write_json(study.result(measure, target), found)
    shown = found if measure == measurement.LEAKAGE else {}
    bar.advance(
      1,
      last=f'{measure} of {target}',
      **{attribute: figures['value'] for attribute, figures in shown.items()},
    )
