import dataclasses

import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.datasets import dataset, sources


def _data(**change):
  good = dataset.Dataset(
    x=np.zeros((6, 1, 4, 2), np.float32),
    primary=np.arange(6, dtype=np.int32) % 2,
    sensitive={'who': np.arange(6, dtype=np.int64) % 3},
    recording=np.arange(6, dtype=np.int32),
    fold=np.array([0, 0, 1, 1, 2, 2], np.int8),
    primary_names=['up', 'down'],
    sensitive_names={'who': ['Ann', 'Bob', 'Cem']},
  )
  return dataclasses.replace(good, **change)


def test_valid_data_pass_and_are_not_read():
  def read(index):
    raise AssertionError(index)

  dataset.check_types(_data())
  dataset.check_types(
    _data(x=sources.FunctionSource(6, (4, 4, 3), np.float32, read))
  )


REFUSED = {
  'double precision': (
    {'x': np.zeros((6, 4))},
    "'x' is float64 of shape (6, 4); it must be float32",
  ),
  'bytes': ({'x': np.zeros((6, 4), np.uint8)}, "'x' is uint8"),
  'one axis': (
    {'x': np.zeros(6, np.float32)},
    "'x' is float32 of shape (6,); it must be float32 of shape [examples, ...],"
    ' with two axes',
  ),
  'a source of bytes': (
    {'x': sources.FunctionSource(6, (4,), np.uint8, lambda i: np.zeros(4))},
    "'x' is uint8 of shape (6, 4)",
  ),
  'labels of fractions': (
    {'primary': np.zeros(6)},
    "'primary' is float64 of shape (6,); it must be one whole number for each"
    ' of 6 examples',
  ),
  'one-hot labels': (
    {'sensitive': {'who': np.eye(6, dtype=int)}},
    "'who' is int64 of shape (6, 6)",
  ),
  'truth values': ({'primary': np.zeros(6, bool)}, "'primary' is bool"),
  'text for recordings': (
    {'recording': np.array(list('abcdef'))},
    "'recording' is <U1",
  ),
  'folds in a column': (
    {'fold': np.zeros((6, 1), np.int8)},
    "'fold' is int8 of shape (6, 1)",
  ),
  'an unknown fold': (
    {'fold': np.array([0, 1, 2, -1, 3, 0], np.int8)},
    "'fold' is -1 in row 3; 0 is train",
  ),
}


@pytest.mark.parametrize('case', REFUSED.values(), ids=REFUSED.keys())
def test_types_and_ranks_are_refused(case):
  change, part = case
  with pytest.raises(errors.UserError) as caught:
    dataset.check_types(_data(**change))
  assert part in str(caught.value)
