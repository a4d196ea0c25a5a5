"""Windows against rows counted by hand, and what sensors may not send."""

import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.deploy.device import windows

ROWS = np.arange(24, dtype=np.float32).reshape(12, 2)


def _starts(hop, sizes):
  starts, at = [], 0
  gather = windows.Windows((1, 4, 2), hop)
  for size in sizes:
    for window in gather.push(ROWS[at : at + size]):
      assert window.shape == (1, 4, 2)
      start = int(window[0, 0, 0]) // 2
      np.testing.assert_array_equal(window[0], ROWS[start : start + 4])
      starts.append(start)
    at += size
  return starts


@pytest.mark.parametrize('sizes', [[12], [1] * 12, [5, 0, 7], [3, 3, 3, 3]])
@pytest.mark.parametrize(
  ('hop', 'starts'),
  [
    (None, [0, 4, 8]),
    (4, [0, 4, 8]),
    (1, list(range(9))),
    (3, [0, 3, 6]),
    (6, [0, 6]),
    (7, [0, 7]),
  ],
)
def test_windows_by_hand(hop, starts, sizes):
  assert _starts(hop, sizes) == starts


@pytest.mark.parametrize(
  ('hop', 'overlap'), [(None, 1), (4, 1), (9, 1), (3, 2), (2, 2), (1, 4)]
)
def test_in_how_many_windows_a_row_is(hop, overlap):
  assert windows.Windows((1, 4, 2), hop).overlap == overlap


def test_single_rows_and_lists():
  gather = windows.Windows((1, 2, 2))
  assert gather.push([1, 2]) == []
  (window,) = gather.push(np.int16([3, 4]))
  np.testing.assert_array_equal(window, [[[1, 2], [3, 4]]])
  assert window.dtype == np.float32


@pytest.mark.parametrize(
  ('rows', 'message'),
  [
    ([1.0, float('nan')], 'NaN'),
    ([[1.0, 2.0], [float('-inf'), 0]], 'NaN or infinity'),
    ([1e39, 0], 'NaN or infinity'),
    ([1, 2, 3], r'shape \[3\], not \[2\]'),
    ([], r'shape \[0\]'),
    (5.0, r'shape \[\]'),
    (np.zeros((1, 1, 2)), r'shape \[1, 1, 2\]'),
    ([[1, 2], [3]], 'unequal'),
    (['1', '2'], 'dtype'),
    ([True, False], 'dtype bool'),
    ([1j, 2], 'dtype complex128'),
    ([None, 1], 'dtype object'),
    (np.array(['2026-01-01', '2026-01-02'], 'datetime64[D]'), 'dtype datetime'),
  ],
)
def test_rows_that_do_not_fit_and_are_not_taken(rows, message):
  gather = windows.Windows((1, 2, 2))
  gather.push([1, 2])
  with pytest.raises(errors.UserError, match=message):
    gather.push(rows)
  (window,) = gather.push([3, 4])
  np.testing.assert_array_equal(window, [[[1, 2], [3, 4]]])


def test_after_a_gap():
  gather = windows.Windows((1, 2, 2))
  gather.push([1, 2])
  gather.clear()
  assert gather.push([3, 4]) == []


@pytest.mark.parametrize(
  ('shape', 'hop', 'message'),
  [
    ((64, 64, 3), None, r'not \[64, 64, 3\]'),
    ((6,), None, r'not \[6\]'),
    ((1, 4, 2), 0, 'hop is 0'),
    ((1, 4, 2), 1.5, 'hop is 1.5'),
  ],
)
def test_settings_that_do_not_fit(shape, hop, message):
  with pytest.raises(errors.UserError, match=message):
    windows.Windows(shape, hop)
