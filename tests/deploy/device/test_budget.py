"""The budget, on a clock of its own."""

import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.deploy.device import budget, failures


def _window(value):
  return np.full((1, 4, 2), value, np.float32)


def test_one_input_is_released_as_often_as_it_may(clock):
  limits = budget.Budget(per_input=2, clock=clock)
  limits.spend(_window(1))
  limits.spend(_window(2))
  limits.spend(_window(1))
  clock.now += 1e6
  with pytest.raises(failures.OverBudget, match='released 2 times'):
    limits.spend(_window(1))
  limits.spend(_window(2))


def test_no_hour_has_more_than_it_may(clock):
  limits = budget.Budget(per_hour=3, clock=clock)
  for i in range(3):
    limits.spend(_window(i))
    clock.now += 1000
  with pytest.raises(failures.OverBudget, match='possible in 600 s'):
    limits.spend(_window(9))
  clock.now += 599.5
  with pytest.raises(failures.OverBudget):
    limits.spend(_window(9))
  clock.now += 0.5
  limits.spend(_window(9))  # What was refused was not counted.
  with pytest.raises(failures.OverBudget, match='possible in 1000 s'):
    limits.spend(_window(10))


def test_what_is_remembered_is_bounded(clock, monkeypatch):
  monkeypatch.setattr(budget, '_MAX_DIGESTS', 2)
  limits = budget.Budget(clock=clock)
  for i in range(3):
    limits.spend(_window(i))
  assert len(limits._counts) == 2
  limits.spend(_window(0))
  with pytest.raises(failures.OverBudget):
    limits.spend(_window(2))


@pytest.mark.parametrize('bounds', [{'per_input': 0}, {'per_hour': 0.5}])
def test_bounds_that_do_not_fit(bounds):
  with pytest.raises(errors.UserError, match='1 or more'):
    budget.Budget(**bounds)
