import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.datasets import windows


def _place(lengths, window, hop, fractions, gap):
  spans = windows.split_in_time(lengths, fractions, gap)
  return windows.place(spans, lengths, window, hop)


def test_windows_are_placed_by_hand():
  # 100 samples less two gaps of 10: 40, 20 and 20 of the 80 that are left.
  # Train is 0 to 40, validation 50 to 70, test 80 to 100.
  recording, start, fold = _place(
    [100], window=10, hop=10, fractions=(2, 1, 1), gap=10
  )
  np.testing.assert_array_equal(start, [0, 10, 20, 30, 50, 60, 80, 90])
  np.testing.assert_array_equal(fold, [0, 0, 0, 0, 1, 1, 2, 2])
  np.testing.assert_array_equal(recording, np.zeros(8))


@pytest.mark.parametrize('fractions', [(0.55, 0.2, 0.25), (1, 1, 1)])
@pytest.mark.parametrize(
  ('window', 'hop', 'gap'), [(16, 4, 7), (20, 20, 0), (9, 13, 30)]
)
def test_no_window_crosses_a_border(window, hop, gap, fractions):
  lengths = np.random.default_rng(window).integers(200, 900, 25)
  recording, start, fold = _place(lengths, window, hop, fractions, gap)
  assert set(recording.tolist()) == set(range(25))
  for r, length in enumerate(lengths):
    ends = {}
    for f in range(3):
      starts = start[(recording == r) & (fold == f)]
      assert set(np.diff(starts)) <= {hop}
      ends[f] = starts[0], starts[-1] + window
    assert ends[0][0] == 0
    assert ends[0][1] + gap <= ends[1][0]
    assert ends[1][1] + gap <= ends[2][0]
    # Nothing is read past the end, and less than a hop (and what rounding
    # to samples takes) is left there.
    assert length - hop - 2 < ends[2][1] <= length
    # Each fold's span is its share, to within a sample.
    total = sum(fractions)
    span = ends[1][0] - gap
    assert abs(span - fractions[0] / total * (length - 2 * gap)) <= 1


def test_a_recording_too_short_is_named():
  with pytest.raises(errors.UserError) as caught:
    _place([400, 90, 400], 20, 5, (0.5, 0.25, 0.25), 10)
  # Without the gaps 70 of the 90 samples are left; a quarter of them are 17.
  for part in ('recording 1 has 90', '17', 'validation', 'window of 20'):
    assert part in str(caught.value)
  _place([400, 100, 400], 20, 5, (0.5, 0.25, 0.25), 10)


def test_a_recording_shorter_than_the_gaps_is_named():
  with pytest.raises(errors.UserError, match='recording 0 has 15'):
    _place([15], 2, 1, (0.5, 0.25, 0.25), 10)


@pytest.mark.parametrize(
  ('change', 'part'),
  [
    ({'window': 0}, 'window is 0'),
    ({'hop': -3}, 'hop is -3'),
    ({'gap': -1}, 'gap -1'),
    ({'fractions': (0.5, 0.5)}, r'\(0.5, 0.5\)'),
    ({'fractions': (0.5, 0.5, 0.0)}, r'\(0.5, 0.5, 0.0\)'),
  ],
)
def test_invalid_settings_are_refused(change, part):
  settings = {'window': 9, 'hop': 3, 'fractions': (2, 1, 1), 'gap': 1}
  _place([300], **settings)
  with pytest.raises(errors.UserError, match=part):
    _place([300], **settings | change)


def test_windows_are_cut_by_hand():
  signals = [np.arange(10.0).reshape(5, 2), 100 + np.arange(8.0).reshape(4, 2)]
  x = windows.cut(signals, np.array([0, 1]), np.array([2, 0]), 2)
  np.testing.assert_array_equal(
    x, [[[[4, 5], [6, 7]]], [[[100, 101], [102, 103]]]]
  )


def test_a_short_span_is_named():
  spans = [windows.Span(0, 0, 9, 0), windows.Span(1, 2, 6, 2)]
  with pytest.raises(errors.UserError) as caught:
    windows.place(spans, [9, 8], 5, 1, ['a.csv', 'b.csv'])
  assert str(caught.value) == (
    'b.csv has 8 samples, of which 4 fall to the test fold: shorter than a'
    ' window of 5.'
  )
