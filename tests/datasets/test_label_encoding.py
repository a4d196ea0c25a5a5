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
    # One person in two Unicode forms, with blanks and a byte-order mark.
    (
      np.array(['Zoe\u0308', 'Bob', ' Zo\xeb\xa0']),
      [1, 0, 1],
      ['Bob', 'Zo\xeb'],
    ),
    (np.array(['\ufeffBob', 'Bob']), [0, 0], ['Bob']),
    (np.array(['Zoë'.encode(), b'Zoe\xcc\x88']), [0, 0], ['Zoë']),
    # One number from two tools.
    (np.array(['1', '2.0', '1.0', '2']), [0, 1, 0, 1], ['1', '2']),
    (np.array([b'1.0', b'1']), [0, 0], ['1']),
    (np.array([2.0, 1.0]), [1, 0], ['1', '2']),
    (np.array(['1.5', '1']), [1, 0], ['1', '1.5']),
    (np.array(['b', b'a', 'b'], object), [1, 0, 1], ['a', 'b']),
    (np.array(['1', 1, np.int64(2), 1.0], object), [0, 0, 1, 0], ['1', '2']),
    (np.array([3, 1.0, True], object), [1, 0, 0], ['1', '3']),
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
    (np.array([0.5]), 'label is float64, 0.5 in row 0; labels are whole'),
  ],
)
def test_values_without_a_name_are_refused(values, part):
  with pytest.raises(errors.UserError) as caught:
    label_encoding.encode(values, 'label', ['sit', 'walk'], unused='keep')
  assert part in str(caught.value)


class NAType:
  """Like `pandas.NA`, it is neither true nor false."""

  def __bool__(self):
    raise TypeError


@pytest.mark.parametrize(
  ('values', 'part'),
  [
    (
      np.array(['left', 'right', 'nan']),
      "label is 'nan' in row 2, which is no",
    ),
    (np.array(['left', np.nan]), "label is 'nan' in row 1, which is no label"),
    (np.array(['left', ' ', '']), "label is '' in row 1"),
    (np.array([b'left', b'']), "label is '' in row 1"),
    (np.array(['<NA>', 'left']), "label is '<NA>' in row 0"),
    (np.array([0.0, np.nan, 1.0]), 'label is nan in row 1'),
    (np.array(['left', None], object), 'label is None in row 1'),
    (np.array([1, np.nan], object), 'label is nan in row 1'),
    (np.array(['left', np.nan], object), "label is 'nan' in row 1"),
    (np.array(['left', NAType()], object), 'in row 1, which is no label'),
    (np.array([1, [2]], object), "label is list '[2]' in row 1; labels are"),
    (np.array([1.0, 1.5]), 'label is float64, 1.5 in row 1; labels are whole'),
    (np.array([1.0, np.inf]), 'label is float64, inf in row 1'),
    (np.array([1j]), 'label is complex128; labels are whole numbers or text.'),
    (
      np.array([b'Bob', 'Анна'.encode('cp1251')]),
      r"label is b'\xc0\xed\xed\xe0' in row 1, which is not UTF-8",
    ),
    (np.array([b'\xe9', 'a'], object), r"label is b'\xe9' in row 0, which is"),
    (
      np.array(['Bob', 'B\udce9']),
      r"label is 'B\udce9' in row 1, which is not",
    ),
  ],
)
def test_values_that_are_no_label_are_refused(values, part):
  with pytest.raises(errors.UserError) as caught:
    label_encoding.encode(values, 'label')
  assert part in str(caught.value)


def test_names_are_read_as_labels_are():
  names = label_encoding.read_names(np.array([' 1.0', 'Zoe\u0308']), 'names')
  assert names == ['1', 'Zoë']
  codes, _ = label_encoding.encode(np.array(['Zoë', '1']), 'label', names)
  assert codes.tolist() == [1, 0]
  with pytest.raises(errors.UserError, match="'Zoë' occurs twice"):
    label_encoding.read_names(np.array(['Zoë', 'Zoe\u0308']), 'names')
  with pytest.raises(errors.UserError, match=r"names is b'.xe9' in row 0"):
    label_encoding.read_names(np.array(b'\xe9'), 'names')


def test_similar_names():
  names = ['Left', 'right', 'left ', 'walk fast', 'Walk  fast', 'walk-fast']
  assert label_encoding.similar_names(names) == [
    ['Left', 'left '],
    ['walk fast', 'Walk  fast'],
  ]
  assert label_encoding.similar_names(['1', '01', '1e0', '2', '２']) == [
    ['1', '01', '1e0'],
    ['2', '２'],
  ]
  # A soft hyphen and a joiner print as nothing.
  assert label_encoding.similar_names(['Anna', 'An\xadna', 'A\u200dl']) == [
    ['Anna', 'An\xadna']
  ]


@pytest.mark.parametrize(
  ('names', 'doubtful'),
  [
    (['-1', '0', '1'], ['-1']),
    (['-1', '1'], []),
    (['0', '1', '255'], ['255']),
    ([str(i) for i in range(256)], []),
    (['left', 'None', 'right', '?'], ['None', '?']),
    (['left', '-1'], ['-1']),
    (['under 10', 'left'], []),
    (['999', '12', '30'], ['999']),
    (['0', '1', '99'], ['99']),
    (['Nan', '#N/A', '-nan', 'Nancy'], ['Nan', '#N/A', '-nan']),
  ],
)
def test_names_that_may_be_a_missing_label(names, doubtful):
  assert label_encoding.doubtful_names(names) == doubtful
  remarks = list(label_encoding.remarks("'side'", names))
  assert len(remarks) == bool(doubtful)
  assert not doubtful or (
    f"'side' has the class {doubtful[0]!r}" in remarks[0]
    and 'missing label' in remarks[0]
  )


def test_a_lost_character_is_told():
  (remark,) = label_encoding.remarks("'who'", ['Ann', '\ufffd\ufffd'])
  assert 'a character that was lost' in remark
