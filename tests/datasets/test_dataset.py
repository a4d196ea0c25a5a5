import dataclasses

import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.datasets import dataset


def _data(**change) -> dataset.Dataset:
  good = dataset.Dataset(
    x=np.ones((9, 1, 4, 2), np.float32),
    primary=np.arange(9, dtype=np.int32) % 3,
    sensitive={'side': np.array([0, 1, 0, 0, 1, 0, 1, 1, 0], np.int32)},
    recording=np.arange(9, dtype=np.int32) // 3 + 40,
    fold=np.array([0, 0, 0, 0, 1, 1, 1, 2, 2], np.int8),
    primary_names=['up', 'down', 'round'],
    sensitive_names={'side': ['left', 'right']},
  )
  return dataclasses.replace(good, **change)


def test_valid_data_are_returned_unchanged():
  data = _data()
  assert dataset.validate(data) is data
  assert list(data.labels()) == ['primary', 'side']


def _with(array, index, value):
  array = array.copy()
  array[index] = value
  return array


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named(value):
  x = _with(_data().x, (slice(4, 6), 0, 1, 1), value)
  with pytest.raises(
    errors.UserError, match=r'2 of 9 .* example 4, of recording 41'
  ):
    dataset.validate(_data(x=x))


REFUSED = {
  'no example': (
    {'x': np.ones((0, 2))},
    'holds no example',
  ),
  'an empty class': (
    # Class 2 of the primary label has no training example.
    {'primary': np.array([0, 1, 1, 0, 1, 2, 0, 1, 2])},
    r"'round' of label 'primary' is empty in the train fold",
  ),
  'an empty sensitive class': (
    {'sensitive': {'side': np.array([0, 0, 0, 0, 1, 1, 1, 1, 1])}},
    r"'right' of label 'side'",
  ),
  'one class': (
    {
      'sensitive': {'side': np.zeros(9, int)},
      'sensitive_names': {'side': ['left']},
    },
    r"'side' has one class only \(left\)",
  ),
  'labels of another length': (
    {'sensitive': {'side': np.zeros(8, int)}},
    r"'side' has 8 entries, and there are 9 examples",
  ),
  'folds of another length': (
    {'fold': np.zeros(10, int)},
    r"'fold' has 10 entries",
  ),
  'recordings of another length': (
    {'recording': np.zeros(3, int)},
    r"'recording' has 3 entries",
  ),
  'a label too large': (
    {'primary': np.array([0, 1, 2, 3, 1, 2, 0, 1, 2])},
    r"'primary' holds 0 to 3; its 3 classes allow 0 to 2",
  ),
  'a label below 0': (
    {'sensitive': {'side': np.array([0, 1, 0, 0, 1, 0, 1, 1, -1])}},
    r"'side' holds -1 to 1",
  ),
  'an empty test fold': (
    {'fold': np.array([0, 0, 0, 0, 1, 1, 1, 1, 1])},
    'the test fold is empty',
  ),
  'an empty validation fold': (
    {'fold': np.array([0, 0, 0, 0, 2, 2, 2, 2, 2])},
    'the validation fold is empty',
  ),
}


@pytest.mark.parametrize('case', REFUSED.values(), ids=REFUSED.keys())
def test_invalid_data_are_refused(case):
  change, part = case
  with pytest.raises(errors.UserError, match=part):
    dataset.validate(_data(**change))
