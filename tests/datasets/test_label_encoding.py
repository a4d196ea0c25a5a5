import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.datasets import label_encoding


@pytest.mark.parametrize(
  ('values', 'codes', 'names'),
  [
    (np.array([7, -1, 7, 3]), [2, 0, 2, 1], ['-1', '3', '7']),
    (np.array(['b', 'a', 'b']), [1, 0, 1], ['a', 'b']),
    (np.array([b'b', b'\xc3\xa9']), [0, 1], ['b', 'é']),
    (np.array([True, False]), [1, 0], ['False', 'True']),
  ],
)
def test_every_distinct_value_is_a_class(values, codes, names):
  encoded, classes = label_encoding.encode(values, 'label')
  assert encoded.dtype == np.int32
  assert (encoded.tolist(), classes) == (codes, names)


def test_names_number_the_classes():
  names = ['sit', 'walk', 'run']
  for values in (
    np.array([2, 0, 2, 1]),
    np.array(['run', 'sit', 'run', 'walk']),
  ):
    codes, classes = label_encoding.encode(values, 'label', names)
    assert (codes.tolist(), classes) == ([2, 0, 2, 1], names)


def test_names_without_an_example():
  names, values = ['sit', 'walk', 'run'], np.array([2, 0, 2])
  with pytest.raises(
    errors.UserError,
    match=r"^label has 2 classes and 3 names; no example is of 'walk'\.",
  ):
    label_encoding.encode(values, 'label', names)
  codes, kept = label_encoding.encode(values, 'label', names, unused='keep')
  assert (codes.tolist(), kept) == ([2, 0, 2], names)
  codes, kept = label_encoding.encode(values, 'label', names, unused='drop')
  assert (codes.tolist(), kept) == ([1, 0, 1], ['sit', 'run'])
  assert codes.dtype == np.int32


@pytest.mark.parametrize(
  ('values', 'part'),
  [
    (np.array([0, 2]), 'label is 2 in row 1; its 2 names are sit, walk.'),
    (np.array([-1, 0]), 'label is -1 in row 0; its 2 names'),
    (np.array(['sit', 'run']), "label is 'run' in row 1"),
    (np.array([0.5]), 'label is float64; labels are whole numbers or text.'),
  ],
)
def test_values_without_a_name_are_refused(values, part):
  with pytest.raises(errors.UserError) as caught:
    label_encoding.encode(values, 'label', ['sit', 'walk'], unused='keep')
  assert part in str(caught.value)


def test_similar_names():
  names = ['Left', 'right', 'left ', 'walk fast', 'Walk  fast', 'walk-fast']
  assert label_encoding.similar_names(names) == [
    ['Left', 'left '],
    ['walk fast', 'Walk  fast'],
  ]
