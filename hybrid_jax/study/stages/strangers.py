"""Stage `strangers`: audits people whom the network never saw, in folds."""

from concurrent import futures

import threadpoolctl

from hybrid_jax import files, progress
from hybrid_jax.study import context, results, strangers
from hybrid_jax.training import distributed


def run(study: context.Study) -> None:
  """Trains without each fold of people, and attacks these people.

  It writes `strangers/foldN/`: trainings, `released/` and `results/`; and keeps
  existing results. The split point is the recommended one.
  """
  if not strangers.count_folds(study):
    return
  split_point = results.recommend_seen(study)['split_point']
  groups = strangers.groups(study, split_point)
  names = strangers.chosen_embeddings(study, split_point)
  for group in groups:
    _audit(group, names)


def _audit(group, names):
  share = distributed.local_share(names)

  def is_missing(name):
    return not group.others.result('strangers', name).exists()

  missing = [name for name in share if is_missing(name)]
  # All processes train together, or none does.
  if not distributed.broadcast_bool(any(map(is_missing, names))):
    return
  strangers.fit(group)

  def attack(name):
    figures = strangers.audit(group, name)
    files.write_json(group.others.result('strangers', name), figures)
    bar.advance(1, last=name)

  with (
    progress.Progress(
      f'strangers, fold {group.number}',
      len(share),
      len(share) - len(missing),
      'embedding',
    ) as bar,
    threadpoolctl.threadpool_limits(1, 'blas'),
    futures.ThreadPoolExecutor(group.others.config.attack.workers) as pool,
  ):
    try:
      for future in [pool.submit(attack, name) for name in missing]:
        future.result()
    except BaseException:
      pool.shutdown(cancel_futures=True)
      raise
