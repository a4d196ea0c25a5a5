"""Stage `strangers`: audits people whom the network never saw, in folds."""

import functools

from hybrid_jax import files, progress
from hybrid_jax.study import context, problems, results, thread_pool
from hybrid_jax.study.strangers import audit, people_folds
from hybrid_jax.training import distributed


def run(study: context.Study) -> None:
  """Trains without each fold of people, and attacks these people.

  It writes `strangers/foldN/`: trainings, `released/` and `results/`; and keeps
  existing results. The split point is the recommended one.
  """
  if not people_folds.count_folds(study):
    return
  split_point = results.recommend_seen(study)['split_point']
  groups = people_folds.groups(study, split_point)
  names = people_folds.chosen_embeddings(study, split_point)
  tasks = [(g, name) for g in groups for name in (*names, problems.ANSWER)]
  share = distributed.local_share(tasks)
  missing = [task for task in share if _is_missing(*task)]
  # All processes train together, or none does.
  if not distributed.broadcast_bool(any(_is_missing(*t) for t in tasks)):
    return
  people_folds.fit(groups)
  with progress.Progress(
    'strangers', len(share), len(share) - len(missing), 'audit'
  ) as bar:
    thread_pool.run(
      functools.partial(_attack, bar), missing, study.config.attack.workers
    )


def _is_missing(group, name):
  return not group.others.result('strangers', name).exists()


def _attack(bar, group, name):
  if name == problems.ANSWER:
    figures = audit.audit_answer(group)
  else:
    figures = audit.audit(group, name)
  files.write_json(group.others.result('strangers', name), figures)
  bar.advance(1, last=f'{name}, fold {group.number}')
