import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.datasets import clocks, time_names


@pytest.mark.parametrize(
  ('name', 'expected'),
  [
    ('time', True),
    ('time_s', True),
    ('timestamp_ms', True),
    ('Timestamp (ns)', True),
    ('gyroTime', True),
    ('t', True),
    ('t (ms)', True),
    ('seconds_elapsed', True),
    ('seconds', True),
    ('datetime', True),
    ('T', False),
    ('T (degC)', False),
    ('s', False),
    ('timer_x', False),
    ('acc (m/s)', False),
    ('acc_x', False),
    ('', False),
  ],
)
def test_a_time_is_known_by_its_name(name, expected):
  assert time_names.is_time(name) == expected


def test_the_clock_is_the_column_of_the_setting():
  header = ['date', 'time', 'x', 'stamp']
  assert clocks.find_columns(header, '') == ['time', 'date']
  assert clocks.find_columns(header, 'stamp') == ['stamp', 'time', 'date']
  assert clocks.find_columns(header, 'none') == []
  with pytest.raises(errors.UserError, match=r"'stmp'.*'stamp'"):
    clocks.find_columns(header, 'stmp')


@pytest.mark.parametrize(
  ('name', 'first', 'step', 'unit'),
  [
    ('time_us', 0, 1, 'us'),
    ('t (s)', 0, 20, 's'),
    ('t', 1.7e9, 0.02, 's'),
    ('t', 1.7e12, 20, 'ms'),
    ('t', 1.7e15, 2e4, 'us'),
    ('t', 1.7e18, 2e7, 'ns'),
    ('t', 1.2e14, 2e7, 'ns'),  # since the start of a phone
    ('t', 0, 0.02, 's'),
    ('t', 0, 20, 'ms'),
    ('t', 0, 2e4, 'us'),
  ],
)
def test_units(name, first, step, unit):
  values = first + step * np.arange(10.0)
  assert clocks.unit_of(name, values, 'auto') == unit
  assert clocks.unit_of(name, values, 'ns') == 'ns'


def test_dates_are_seconds():
  assert time_names.parse('1970-01-02T00:00:01.5Z') == 86401.5
  assert time_names.parse('1970-01-01 02:00:00+02:00') == 0
  assert time_names.parse('00:01:02.250') == 62.25
  assert time_names.parse(' 12.5 ') == 12.5
  with pytest.raises(ValueError, match='noon'):
    time_names.parse('noon')


def test_gaps_and_the_rate():
  times = np.array([0, 20, 40, 100, 120, 1000, 1020, 1040])
  clock = clocks.read(times, 'ms', max_step=3.5)
  np.testing.assert_allclose(clock.seconds, times / 1000)
  assert clock.starts == (0, 5)
  assert clock.longest_gap == pytest.approx(0.88)
  assert clock.hertz == pytest.approx(6 / 0.16)  # 6 steps in 160 ms
  assert clocks.read(times, 'ms', max_step=2.5).starts == (0, 3, 5)


def test_a_clock_that_counts_whole_seconds():
  times = np.repeat(np.arange(10.0), 5)
  clock = clocks.read(times, 's', max_step=3)
  assert clock.starts == (0,)
  assert clock.hertz == pytest.approx(49 / 9)


def test_time_that_goes_back():
  with pytest.raises(clocks.BackwardsError) as caught:
    clocks.read(np.array([0.0, 1, 2, 1, 2]), 's', max_step=3)
  assert caught.value.row == 3


def test_resampling_keeps_a_slow_wave_and_drops_a_fast_one():
  t = np.r_[np.arange(400) / 100, 60 + np.arange(300) / 100]
  slow = np.sin(2 * np.pi * 1 * t)
  fast = np.sin(2 * np.pi * 45 * t)  # 50 Hz cannot hold it
  clock = clocks.read(t, 's', max_step=3)
  x, starts = clocks.resample(np.stack([slow, fast], axis=1), clock, 50)
  assert starts == (0, 200)
  assert x.shape == (350, 2)
  inner = np.r_[20:180, 220:330]
  np.testing.assert_allclose(
    x[inner, 0], np.sin(2 * np.pi * t[::2][inner]), atol=0.01
  )
  assert np.abs(x[inner, 1]).max() < 0.05
  same, starts = clocks.resample(t[:, None], clock, 100.5)
  assert same is not None
  np.testing.assert_array_equal(same[:, 0], t)
  assert starts == (0, 400)


@pytest.mark.parametrize('step', [1, 2, 1000])
def test_a_unit_that_only_a_fast_rate_would_tell_is_asked_for(step):
  # One row a second, or a thousand?
  values = step * np.arange(10.0)
  with pytest.raises(errors.UserError, match=f'steps of {step}, .*time_unit'):
    clocks.unit_of('time', values, 'auto')
  assert clocks.unit_of('time_s', values, 'auto') == 's'


def test_the_rates_of_blocks_show_a_change_and_not_a_coarse_clock():
  even = clocks.read(np.arange(500) / 50, 's', 3)
  assert even.rates == pytest.approx((50, 50))
  steps = np.concatenate([np.full(256, 0.02), np.full(256, 0.04)])
  changed = clocks.read(np.cumsum(steps), 's', 3)
  assert changed.rates == pytest.approx((25, 50), rel=0.02)
  coarse = clocks.read(np.floor(np.arange(20_000) / 50), 's', 3)
  slow, fast = coarse.rates
  assert fast < clocks.RATE_CHANGE * slow
  assert clocks.read(np.arange(100) / 50, 's', 3).rates is None
