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
  text = 'place,gyr (rad/s),acc (g)\nhome,1,2\n'
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


@pytest.mark.parametrize('form', ['{:.2f}', '2026-01-01T00:00:{:05.2f}'])
def test_a_column_of_times_tells_the_gaps(form):
  times = [0.02 * i + 10 * (i >= 5) for i in range(8)]
  rows = [f'{form.format(t)},{i},{-i}' for i, t in enumerate(times)]
  read = _read('\n'.join(['time_s,acc,gyr', *rows]))
  assert read == [[i, -i] for i in range(5)] + [None] + [
    [i, -i] for i in range(5, 8)
  ]


def test_a_time_that_goes_back_or_is_none():
  with pytest.raises(errors.UserError, match=r'line 3 .* back by 1;'):
    _read('t,acc,gyr\n2,0,0\n1,0,0\n')
  with pytest.raises(errors.UserError, match=r"line 2 .*'noon' is no time"):
    _read('time,acc,gyr\nnoon,0,0\n')


def test_a_first_row_of_numbers_is_no_header():
  assert _read('\ufeff1,2\n3,4\n') == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
  ('name', 'unit'),
  [
    ('time_s', 1),
    ('timestamps', 1),
    ('sensorTime', 1),
    ('utc', 1),
    ('date', 1),
    ('t (ms)', 1e3),
  ],
)
def test_all_names_of_times_tell_gaps_and_rates(name, unit):
  times = [0.02 * i + 600 * (i >= 30) for i in range(60)]
  lines = [f'{name},acc,gyr', *(f'{t * unit},1,2' for t in times)]
  read = list(csv_rows.read(lines, CHANNELS, 50))
  assert read.index(None) == 30
  with pytest.raises(errors.UserError, match=r'50 rows a second.* takes 100'):
    list(csv_rows.read(lines, CHANNELS, 100))


def test_a_rate_that_changes_later_is_refused_and_a_coarse_clock_is_not():
  times = [0.02 * i for i in range(50)]
  times += [times[-1] + 0.04 * i for i in range(1, 60)]
  lines = ['time_s,acc,gyr', *(f'{t},1,2' for t in times)]
  with pytest.raises(errors.UserError, match='takes 50; resample'):
    list(csv_rows.read(lines, CHANNELS, 50))
  lines = ['time_s,acc,gyr', *(f'{i // 50},1,2' for i in range(3000))]
  assert len(list(csv_rows.read(lines, CHANNELS, 50))) == 3000


def test_a_unit_that_nothing_tells_is_asked_for():
  lines = ['time,acc,gyr', *(f'{i},1,2' for i in range(60))]
  with pytest.raises(errors.UserError, match='nothing tells the unit'):
    list(csv_rows.read(lines, CHANNELS, 1))
