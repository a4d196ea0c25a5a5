import dataclasses

import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.datasets import dataset


def test_cut_windows_by_hand():
  # 100 samples less two gaps of 10: 40, 20 and 20 of the 80 that are left.
  # Train is 0 to 40, validation 50 to 70, test 80 to 100.
  recording, start, fold = dataset.cut_windows(
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
  recording, start, fold = dataset.cut_windows(
    lengths, window, hop, fractions, gap
  )
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
    dataset.cut_windows([400, 90, 400], 20, 5, (0.5, 0.25, 0.25), 10)
  # 70 of the 90 samples are used, and a quarter of them are 17.
  for part in ('recording 1 has 90', '17', 'validation', 'window of 20'):
    assert part in str(caught.value)
  dataset.cut_windows([400, 100, 400], 20, 5, (0.5, 0.25, 0.25), 10)


def test_a_recording_shorter_than_the_gaps_is_named():
  with pytest.raises(errors.UserError, match='recording 0 has 15'):
    dataset.cut_windows([15], 2, 1, (0.5, 0.25, 0.25), 10)


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
def test_cut_windows_refuses(change, part):
  settings = {'window': 9, 'hop': 3, 'fractions': (2, 1, 1), 'gap': 1}
  dataset.cut_windows([300], **settings)
  with pytest.raises(errors.UserError, match=part):
    dataset.cut_windows([300], **settings | change)


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


def test_good_data_pass_as_they_are():
  data = _data()
  assert dataset.check(data) is data
  assert list(data.labels()) == ['primary', 'side']


def _with(array, index, value):
  array = array.copy()
  array[index] = value
  return array


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_placed(value):
  x = _with(_data().x, (slice(4, 6), 0, 1, 1), value)
  with pytest.raises(
    errors.UserError, match=r'2 of 9 .* example 4, of recording 41'
  ):
    dataset.check(_data(x=x))


REFUSED = {
  'no example': (
    {'x': np.ones((0, 2))},
    'holds no example',
  ),
  'an empty class': (
    # Class 2 of the primary label is only left outside of the train fold.
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
def test_check_refuses_and_names_it(case):
  change, part = case
  with pytest.raises(errors.UserError, match=part):
    dataset.check(_data(**change))


def test_the_normalizer_by_hand():
  # Channel 0: 1, 3, 5, 7, of mean 4 and deviation sqrt(5); channel 1 constant.
  x = np.array([[[1, 9], [3, 9]], [[5, 9], [7, 9]]], np.float32)
  normalizer = dataset.fit_normalizer(x)
  np.testing.assert_allclose(normalizer.mean, [4, 9])
  np.testing.assert_allclose(normalizer.std, [np.sqrt(5), 1], rtol=1e-6)
  np.testing.assert_allclose(
    normalizer(np.array([[4 + np.sqrt(5), 10]])), [[1, 1]], rtol=1e-6
  )
  assert normalizer(x).dtype == np.float32


def test_the_normalizer_of_a_large_offset():
  x = np.random.default_rng(0).standard_normal((500, 1, 40, 2)) + 1e4
  normalizer = dataset.fit_normalizer(x.astype(np.float32))
  seen = normalizer(x)
  np.testing.assert_allclose(seen.mean(axis=(0, 1, 2)), 0, atol=1e-2)
  np.testing.assert_allclose(seen.std(axis=(0, 1, 2)), 1, atol=1e-2)
