"""Runs the attacks of a stage in threads."""

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator
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
    _filters_kept(),
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


@contextlib.contextmanager
def _filters_kept() -> Iterator[None]:
  """Keeps the filters of warnings, which scikit-learn's trees set in threads.

  One thread may see the empty filters of another, and then is warned that the
  trees' settings were not passed on. That is not so, and is not shown.
  """
  with warnings.catch_warnings():
    show = warnings.showwarning

    def show_others(message, *more, **named):
      if 'sklearn.utils.parallel' not in str(message):
        show(message, *more, **named)

    warnings.showwarning = show_others
    yield
