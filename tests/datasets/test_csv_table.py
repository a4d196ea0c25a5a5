import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.datasets import csv_table


def _read(folder, text):
  path = folder / 'table.csv'
  path.write_text(text)
  return csv_table.read(path)


def test_columns_are_read_by_name(tmp_path):
  table = _read(tmp_path, 'name, x ,"y, in m"\n"a, b",1,-2.5\n\nc , 3e2,4\n')
  assert table.header == ['name', 'x', 'y, in m']
  assert table.numbers == [2, 4]
  assert table.text('name') == ['a, b', 'c']
  values = table.floats(['y, in m', 'x'])
  assert values.dtype == np.float32
  np.testing.assert_array_equal(values, [[-2.5, 1], [4, 300]])


@pytest.mark.parametrize('value', ['', 'one', 'nan', '-inf', '1e39'])
def test_a_value_that_is_no_number_is_named(tmp_path, value):
  table = _read(tmp_path, f'x,y\n1,2\n\n3,{value}\n')
  np.testing.assert_array_equal(table.floats(['x']), [[1], [3]])
  with pytest.raises(errors.UserError) as caught:
    table.floats(['x', 'y'])
  assert str(caught.value) == (
    f"{tmp_path / 'table.csv'}, row 4, column 'y': {value!r} is not a finite"
    ' number.'
  )


def test_an_unknown_column_is_named(tmp_path):
  table = _read(tmp_path, 'time,force\n1,2\n')
  with pytest.raises(
    errors.UserError,
    match=r"csv, row 1: unknown column 'froce'. Did you mean 'force'\? Known:",
  ):
    table.text('froce')


@pytest.mark.parametrize(
  ('text', 'part'),
  [
    ('', 'is empty: it has no header.'),
    ('x,y\n\n', 'is empty: it has only a header.'),
    ('x,y,x\n1,2,3\n', "row 1: the column 'x' occurs twice, among x, y, x."),
    ('x,y\n1,2\n3\n', 'row 3 has 1 values; its header has 2.'),
  ],
)
def test_invalid_tables_are_refused(tmp_path, text, part):
  with pytest.raises(errors.UserError) as caught:
    _read(tmp_path, text)
  assert str(caught.value).startswith(str(tmp_path / 'table.csv'))
  assert str(caught.value).endswith(part)


def test_numbers_are_read_in_blocks(tmp_path, monkeypatch):
  monkeypatch.setattr(csv_table, '_BLOCK', 3)
  path = tmp_path / 'long.csv'
  rows = [f'{i},note "{i}", {i / 3!r}' for i in range(8)]
  path.write_text('\ufeff\n"a, m",text,b\n' + '\n'.join(rows) + '\n\n')
  values = csv_table.read_numbers(path, ['b', 'a, m'])
  np.testing.assert_array_equal(values, [[i / 3, i] for i in range(8)])
  lengths = csv_table.read_numbers(path, ['text'], {'text': len})
  np.testing.assert_array_equal(lengths[:, 0], [8] * 8)
  assert csv_table.read_head(path) == (
    ['a, m', 'text', 'b'],
    ['0', 'note "0"', '0.0'],
  )


@pytest.mark.parametrize(
  ('row', 'part'),
  [
    ('4', 'row 7 has 1 values; its header has 2.'),
    ('4,5,6', 'row 7 has 3 values; its header has 2.'),
    ('4,x', "row 7, column 'y': 'x' is not a finite number."),
    ('4,nan', "row 7, column 'y': 'nan' is not a finite number."),
  ],
)
def test_a_mistake_in_a_later_block_is_named(tmp_path, monkeypatch, row, part):
  monkeypatch.setattr(csv_table, '_BLOCK', 2)
  path = tmp_path / 'long.csv'
  path.write_text(f'x,y\n1,2\n1,2\n\n1,2\n1,2\n{row}\n1,2\n')
  with pytest.raises(errors.UserError) as caught:
    csv_table.read_numbers(path, ['x', 'y'])
  assert str(caught.value).endswith(part)


def test_numbers_that_only_python_reads(tmp_path):
  path = tmp_path / 'long.csv'
  path.write_text('x,y\n1_000,2\n')
  np.testing.assert_array_equal(
    csv_table.read_numbers(path, ['x', 'y']), [[1000, 2]]
  )
  assert csv_table.row_number(path, 0) == 2
