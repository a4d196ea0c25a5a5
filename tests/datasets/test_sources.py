import dataclasses
import pickle
import re

import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.datasets import dataset, normalization, sources


def _row(index):
  """Example i is [[2i, 2i + 1]]."""
  return np.array([[2 * index, 2 * index + 1]], np.float32)


def _source(length=10, get=_row):
  return sources.FunctionSource(length, (1, 2), 'float32', get)


def _checked(wrong):
  """Example 6, of recording 106, has one wrong value."""
  source = _source(get=lambda i: _row(i) * (1 if i != 6 else wrong))
  return sources.FiniteCheckedSource(source, 100 + np.arange(10))


def _all(length=10):
  return np.arange(2 * length, dtype=np.float32).reshape(length, 1, 2)


def test_shape_type_and_size():
  source = _source()
  assert len(source) == 10
  assert source.shape == (10, 1, 2)
  assert source.dtype == np.float32
  assert source.nbytes == 10 * 2 * 4
  np.testing.assert_array_equal(source[3], [[6, 7]])
  # This reads nothing: it is far more than the memory of a machine.
  assert _source(2**40).nbytes == 2**43


def test_rows_are_in_the_order_of_the_indices():
  rows_read = _source().read_rows(np.array([7, 0, 7]))
  assert rows_read.dtype == np.float32
  np.testing.assert_array_equal(rows_read, [[[14, 15]], [[0, 1]], [[14, 15]]])
  assert _source().read_rows([]).shape == (0, 1, 2)


def test_only_the_requested_rows_are_read():
  read = []

  def get(index):
    read.append(index)
    return _row(index)

  source = sources.select_rows(_source(get=get), np.array([8, 2, 5]))
  assert read == []
  source.read_rows([2, 0])
  assert read == [5, 8]


@pytest.mark.parametrize(
  'rows',
  [np.array([8, 2, 5]), np.arange(10) % 3 == 0, np.arange(0)],
  ids=['numbers', 'a fold', 'none'],
)
def test_selected_rows_are_those_of_an_array(rows):
  expected = sources.select_rows(_all(), rows)
  np.testing.assert_array_equal(expected, _all()[rows])
  selected = sources.select_rows(_source(), rows)
  assert isinstance(selected, sources.Source)
  assert selected.shape == expected.shape
  assert selected.nbytes == expected.nbytes
  np.testing.assert_array_equal(
    selected.read_rows(range(len(selected))), expected
  )
  for index in range(len(expected)):
    np.testing.assert_array_equal(selected[index], expected[index])


def test_a_subset_of_a_subset():
  part = sources.select_rows(_source(), np.arange(10) >= 4)
  again = sources.select_rows(part, np.array([5, 0]))
  np.testing.assert_array_equal(again.read_rows([0, 1]), [[[18, 19]], [[8, 9]]])


@pytest.mark.parametrize('x', [_all(), _source()], ids=['array', 'source'])
def test_blocks(x):
  blocks = list(sources.iter_blocks(x, 4))
  assert [len(block) for block in blocks] == [4, 4, 2]
  np.testing.assert_array_equal(np.concatenate(blocks), _all())


def test_is_lazy():
  assert sources.is_lazy(_source())
  assert sources.is_lazy(sources.select_rows(_source(), np.array([1])))
  assert not sources.is_lazy(_all())


@pytest.mark.parametrize('index', [10, -1])
def test_an_index_out_of_range(index):
  with pytest.raises(IndexError, match=f'example {index} of 10'):
    _source()[index]


@pytest.mark.parametrize(
  ('wrong', 'message'),
  [
    (np.zeros((2, 1), np.float32), r'float32 of shape (2, 1)'),
    (np.zeros((1, 2)), 'float64 of shape (1, 2)'),
  ],
)
def test_an_example_of_another_shape_or_type(wrong, message):
  source = sources.select_rows(
    _source(get=lambda i: wrong if i == 6 else _row(i)), np.array([4, 6])
  )
  np.testing.assert_array_equal(source[0], _row(4))
  with pytest.raises(errors.UserError, match=re.escape(message)) as caught:
    source.read_rows([0, 1])
  assert 'example 6' in str(caught.value)


@pytest.mark.parametrize('wrong', [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named(wrong):
  source = sources.select_rows(_checked(np.float32(wrong)), np.array([4, 6]))
  np.testing.assert_array_equal(source[0], _row(4))
  with pytest.raises(
    errors.UserError, match=r'^example 6, of recording 106, holds NaN'
  ):
    source.read_rows([0, 1])


def test_a_source_can_be_pickled():
  part = sources.select_rows(
    sources.FiniteCheckedSource(_source(), np.zeros(10)), np.array([3, 1])
  )
  part = normalization.NormalizedSource(
    part, normalization.Normalizer(np.zeros(2), np.full(2, 2.0))
  )
  sent = pickle.loads(pickle.dumps(part))
  np.testing.assert_array_equal(
    sent.read_rows([0, 1]), [[[3, 3.5]], [[1, 1.5]]]
  )


def test_a_data_set_is_validated_without_reading_it():
  def never(index):
    raise AssertionError('it was read')

  data = dataset.Dataset(
    x=_source(6, never),
    primary=np.array([0, 1] * 3, np.int32),
    sensitive={},
    recording=np.zeros(6, np.int32),
    fold=np.array([0, 0, 1, 1, 2, 2], np.int8),
    primary_names=['a', 'b'],
    sensitive_names={},
  )
  validated = dataset.validate(data)
  assert isinstance(validated.x, sources.FiniteCheckedSource)
  assert dataclasses.replace(validated, x=data.x) == data
  with pytest.raises(errors.UserError, match=r'has 3 entries.* 6 examples'):
    dataset.validate(dataclasses.replace(data, primary=data.primary[:3]))
