import pytest

from hybrid_jax import errors
from hybrid_jax.deploy.device import csv_rows

CHANNELS = ('acc (g)', 'gyr (rad/s)')


def _read(text, channels=CHANNELS):
  return list(csv_rows.read(text.splitlines(keepends=True), channels))


@pytest.mark.parametrize(
  'header',
  [
    'acc (g),gyr (rad/s)',
    'Acc (g), GYR',
    ' acc(g) ,gyr [rad/s]',
    '\ufeffacc (g),gyr (rad/s)',
  ],
)
def test_a_header_names_the_columns(header):
  assert _read(f'{header}\n1,2\n\n3,4\n') == [[1, 2], [3, 4]]


def test_columns_are_put_in_order_and_others_passed_over():
  text = 'time,gyr (rad/s),acc (g)\nnoon,1,2\n'
  assert _read(text) == [[2, 1]]
  assert _read('y,x\n1,2\n', channels=()) == [[1, 2]]


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('acc (m/s2),gyr (rad/s)\n', r"column 1 is 'acc \(m/s2\)'.*'acc \(g\)'"),
    ('acc (g),gyr (deg/s)\n', r"column 2 is 'gyr \(deg/s\)'"),
    ('acc (g),mag (uT)\n', r"no 'gyr \(rad/s\)': it has acc \(g\), mag"),
    ('acc,acc,gyr\n', "has 'acc' twice"),
    ('NA,NA\n1,2\n', 'line 1 of the rows is not numbers'),
    (',0.5\n1,2\n', 'line 1 of the rows is not numbers'),
    ('1,2\nacc (g),gyr (rad/s)\n', 'line 2 of the rows is not numbers'),
    ('gyr (rad/s),acc (g)\n1,2,3\n', 'line 2 .* 3 values; the header has 2'),
    ('1,inf\n', 'line 1 of the rows holds NaN or infinity'),
  ],
)
def test_what_does_not_fit_is_named(text, message):
  with pytest.raises(errors.UserError, match=message):
    _read(text)


def test_a_first_row_of_numbers_is_no_header():
  assert _read('\ufeff1,2\n3,4\n') == [[1, 2], [3, 4]]
