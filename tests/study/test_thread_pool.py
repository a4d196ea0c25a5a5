"""Attacks in threads: their order, errors, and what they leave behind."""

import threading
import warnings

import pytest

from hybrid_jax.study import thread_pool


def test_all_tasks_run_in_order_and_an_error_stops_the_rest():
  done = []
  thread_pool.run(done.append, [(i,) for i in range(5)], workers=1)
  assert done == [0, 1, 2, 3, 4]

  def fail(i):
    done.append(i)
    raise ValueError(i)

  done.clear()
  with pytest.raises(ValueError, match='0'):
    thread_pool.run(fail, [(i,) for i in range(100)], workers=1)
  assert len(done) < 100


def test_filters_that_threads_change_are_as_before_and_one_warning_is_hidden():
  before = list(warnings.filters)
  meet = threading.Barrier(2)
  shown = []

  def task(number):
    with warnings.catch_warnings():
      warnings.resetwarnings()
      meet.wait()  # Now the other one sees no filters.
      warnings.warn(f'sklearn.utils.parallel {number}', stacklevel=1)
      warnings.warn(f'a fault {number}', stacklevel=1)
      meet.wait()

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(
      warnings, 'showwarning', lambda m, *_, **__: shown.append(str(m))
    )
    thread_pool.run(task, [(0,), (1,)], workers=2)
  assert sorted(shown) == ['a fault 0', 'a fault 1']
  assert warnings.filters == before
