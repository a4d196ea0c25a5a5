"""Trains, attacks and compares a grid of methods, weights and seeds."""

import itertools
from concurrent import futures

from hybrid_jax import files, progress
from hybrid_jax.release import embeddings
from hybrid_jax.study import context, grid, trainings
from hybrid_jax.study.stages import defend, siamese
from hybrid_jax.training import distributed


def run(study: context.Study) -> None:
  """Writes `results/grid.json`; the finished trainings and points are kept.

  Trainings of one method share one program. The processes of a distributed
  run train together, and share out the attacks.
  """
  config = study.config.get('grid')
  if not config or distributed.broadcast_bool(study.result('grid').exists()):
    return
  if config.split_point not in study.split_points:
    progress.say(f'grid: the study does not cut at {config.split_point}')
    return
  group = trainings.of_grid(study.config)
  for method, same in itertools.groupby(group, lambda t: t.method):
    stage = siamese if method == embeddings.SIAMESE else defend
    stage.train_group(study, list(same), config.split_point)
  shared = distributed.local_share(group)
  with (
    progress.Progress('grid', len(shared), unit='training') as bar,
    futures.ThreadPoolExecutor(study.config.attack.workers) as pool,
  ):
    waiting = [pool.submit(grid.audit, study, training) for training in shared]
    for future in futures.as_completed(waiting):
      point = future.result()[0]
      bar.advance(1, last=f'{point["method"]}, seed {point["seed"]}')
  distributed.barrier('audited')
  if not distributed.is_first():
    return
  points = [p for training in group for p in grid.audit(study, training)]
  files.write_json(
    study.result('grid'),
    grid.summarise(study.config, points, grid.simple_utility(study)),
  )
