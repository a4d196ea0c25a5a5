"""Runs the attacks of a stage in threads."""

from collections.abc import Callable, Iterable
from concurrent import futures

import threadpoolctl


def run(
  function: Callable[..., None], tasks: Iterable[tuple], workers: int
) -> None:
  """Calls `function(*task)` for all tasks, in their order.

  After an error no further task begins, and the error is raised.

  Args:
    function: what to call.
    tasks: the arguments of each call.
    workers: the number of threads.
  """
  with (
    # With several threads BLAS would round differently from run to run, and the
    # attackers would learn other weights.
    threadpoolctl.threadpool_limits(1, 'blas'),
    # Networks and trees alone do not fill the cores; together they do.
    futures.ThreadPoolExecutor(workers) as pool,
  ):
    waiting = [pool.submit(function, *task) for task in tasks]
    try:
      for future in futures.as_completed(waiting):
        future.result()
    except BaseException:
      pool.shutdown(cancel_futures=True)
      raise
