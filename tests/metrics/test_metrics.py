import numpy as np
import pytest

from hybrid_jax.metrics import attack_accuracy, bootstrap, utility


@pytest.mark.parametrize(
  ('labels', 'expected'),
  [([0, 1, 1, 2], 0.5), ([3, 3, 3], 1.0), ([0, 1, 2, 0, 1], 0.4)],
)
def test_chance_is_the_majority_share(labels, expected):
  assert attack_accuracy.chance(np.array(labels)) == pytest.approx(expected)


@pytest.mark.parametrize(
  ('labels', 'expected'),
  # The squares of 1/4, 2/4 and 1/4; of 1; of 2/5, 2/5 and 1/5.
  [([0, 1, 1, 2], 0.375), ([3, 3, 3], 1.0), ([0, 1, 2, 0, 1], 0.36)],
)
def test_a_blind_guess_goes_by_the_shares(labels, expected):
  assert attack_accuracy.blind(np.array(labels)) == pytest.approx(expected)
  assert attack_accuracy.blind(np.array(labels)) <= attack_accuracy.chance(
    np.array(labels)
  )


# Two recordings, two draws. Recording 4 is of label 0, recording 9 of label 1.
RECORDING = np.array([4, 9, 4, 4, 9])
LABELS = np.array([0, 1, 0, 0, 1])
SHARES = np.array(
  [
    # Two of three windows say 0, weakly; one says 1, strongly:
    # 0.6 * 0.6 * 0.01 < 0.4 * 0.4 * 0.99, so that the sum says 1.
    [[0.6, 0.4], [0.3, 0.7], [0.6, 0.4], [0.01, 0.99], [0.3, 0.7]],
    # All say 0; of recording 9, one says 0 a little, one 1 strongly.
    [[0.9, 0.1], [0.6, 0.4], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9]],
  ]
)


def test_per_recording_adds_up_within_a_draw():
  right, truth = attack_accuracy.per_recording(
    np.log(SHARES), LABELS, RECORDING
  )
  np.testing.assert_array_equal(truth, [0, 1])
  np.testing.assert_array_equal(right, [0.5, 1.0])
  # The majority of the windows would have been right about recording 4.
  votes = SHARES[0][RECORDING == 4].argmax(-1)
  assert (votes == 0).sum() == 2


def test_measure_by_hand():
  figures = attack_accuracy.measure(np.log(SHARES), LABELS, RECORDING)
  # Right: 2 of 3 and 2 of 2; then 3 of 3 and 1 of 2.
  assert figures['value'] == pytest.approx(8 / 10)
  assert figures['chance'] == pytest.approx(3 / 5)
  assert figures['advantage'] == pytest.approx(1 / 5)
  assert figures['blind'] == pytest.approx((9 + 4) / 25)
  # Recording 4 alone is right in 5 of 6, recording 9 in 3 of 4; for two groups
  # these ends are moved away 2^0.5 * 12.706 / 1.96 times as far.
  assert figures['low'] == pytest.approx(8 / 10 - 9.168 / 20, abs=1e-3)
  assert figures['high'] == 1
  recordings = figures['per_recording']
  assert recordings['value'] == pytest.approx(3 / 4)
  assert recordings['chance'] == pytest.approx(1 / 2)
  assert recordings['advantage'] == pytest.approx(1 / 4)
  assert (recordings['low'], recordings['high']) == (0.0, 1.0)


def test_utility_has_the_figures_of_a_window():
  figures = utility.measure(np.log(SHARES), LABELS, RECORDING)
  whole = attack_accuracy.measure(np.log(SHARES), LABELS, RECORDING)
  assert figures == {
    name: whole[name] for name in ('value', 'low', 'high', 'chance')
  }


def _correlated(groups=20, size=20):
  """Right or wrong by whole groups, mostly: 0 to 1, `[groups * size]`."""
  rng = np.random.default_rng(0)
  share = rng.choice([0.05, 0.95], groups)
  correct = rng.random((groups, size)) < share[:, None]
  return correct.ravel().astype(float), np.repeat(np.arange(groups), size)


def test_the_value_is_the_mean_and_lies_in_the_interval():
  correct, group = _correlated()
  # Of unequal sizes: the mean weighs examples, not groups.
  correct, group = correct[35:], group[35:]
  estimate = bootstrap.accuracy(correct, group)
  assert estimate.value == pytest.approx(correct.mean())
  by_group = [correct[group == g].mean() for g in np.unique(group)]
  assert abs(estimate.value - np.mean(by_group)) > 1e-3
  assert 0 <= estimate.low < estimate.value < estimate.high <= 1


@pytest.mark.parametrize('value', [0.0, 1.0])
def test_equal_values_have_a_binomial_or_empty_interval(value):
  estimate = bootstrap.accuracy(np.full(30, value), np.arange(30) // 10)
  # Of three groups all or none: the third root of 0.025 is 0.2924.
  ends = {0.0: (0, 0.7076), 1.0: (0.2924, 1)}[value]
  assert estimate.value == value
  assert (estimate.low, estimate.high) == pytest.approx(ends, abs=1e-4)


def test_one_group_has_no_interval():
  estimate = bootstrap.accuracy(np.array([1.0, 0.0, 1.0]), np.array([7] * 3))
  assert estimate.value == pytest.approx(2 / 3)
  assert (estimate.low, estimate.high) == (0.0, 1.0)


def test_two_groups_that_are_alike_by_luck_have_a_wide_interval():
  # Their percentiles are 0.6 and 0.7; Student's of one degree is 12.706.
  correct = np.repeat([1.0, 0.0, 1.0, 0.0], [6, 4, 7, 3])
  estimate = bootstrap.accuracy(correct, np.repeat([0, 1], 10))
  width = 2**0.5 * 12.706 / 1.96 * 0.05
  assert estimate.low == pytest.approx(0.65 - width, abs=1e-3)
  assert estimate.high == 1


@pytest.mark.parametrize('groups', [5, 10])
def test_the_interval_of_few_groups_covers_as_often_as_it_says(groups):
  rng = np.random.default_rng(3)
  hits = 0
  for _ in range(400):
    share = rng.beta(4, 4, groups)
    correct = rng.random((groups, 20)) < share[:, None]
    estimate = bootstrap.accuracy(
      correct.ravel().astype(float), np.repeat(np.arange(groups), 20), 300
    )
    hits += estimate.low <= 0.5 <= estimate.high
  assert 0.92 <= hits / 400 <= 0.98


def test_fewer_recordings_give_a_wider_interval():
  correct, group = _correlated()
  few = bootstrap.accuracy(correct, group)
  many = bootstrap.accuracy(correct, np.arange(len(correct)))
  assert few.value == many.value
  assert few.high - few.low > 2 * (many.high - many.low)


def test_the_interval_is_that_of_a_loop():
  correct, group = _correlated()
  correct, group = correct[35:], group[35:]
  rng = np.random.default_rng(1)
  members = [correct[group == g] for g in np.unique(group)]
  means = [
    np.concatenate([members[i] for i in picked]).mean()
    for picked in rng.integers(0, len(members), (2000, len(members)))
  ]
  low, high = np.percentile(means, [2.5, 97.5])
  estimate = bootstrap.accuracy(correct, group)
  # Student's 2.1009 of 18 degrees for 1.9600, and the root of 19/18.
  low, high = (
    estimate.value + 1.1013 * (end - estimate.value) for end in (low, high)
  )
  assert estimate.low == pytest.approx(low, abs=0.02)
  assert estimate.high == pytest.approx(high, abs=0.02)


def test_the_interval_covers_as_often_as_it_says():
  """95 % of the time, over fresh recordings, within what 200 trials tell."""
  rng = np.random.default_rng(2)
  groups, size, hits = 40, 5, 0
  for _ in range(200):
    share = rng.beta(2, 2, groups)
    correct = rng.random((groups, size)) < share[:, None]
    estimate = bootstrap.accuracy(
      correct.ravel().astype(float),
      np.repeat(np.arange(groups), size),
      resamples=300,
    )
    hits += estimate.low <= 0.5 <= estimate.high
  assert 0.89 <= hits / 200 <= 0.99


def test_parts_of_recordings():
  # Recording 0: right once in two windows, and surer of the wrong one.
  # Recording 1: right in both.
  p = np.array([[0.6, 0.4], [0.1, 0.9], [0.7, 0.3], [0.7, 0.3]])
  logs, labels = np.log(p)[None], np.zeros(4, int)
  recording = np.array([5, 5, 9, 9])

  def accuracy(*shares):
    parts = attack_accuracy.RecordingParts(recording, shares)
    return parts.accuracy(logs, labels)

  assert accuracy(1.0) == 0.5
  # Of one window, recording 0 is right half the time, recording 1 always.
  assert accuracy(*(0.5,) * 400) == pytest.approx(0.75, abs=0.05)
  # As many windows as the ceiling of the share: one, and then both.
  assert accuracy(0.51) == 0.5


def test_estimates_share_resamples_and_need_no_more_memory_for_many_groups(
  monkeypatch,
):
  correct, group = _correlated()
  whole = bootstrap.accuracy(correct, group)
  # The same resamples, drawn in blocks of 150.
  monkeypatch.setattr(bootstrap, '_KEPT', 150 * 20)
  assert bootstrap.accuracy(correct, group) == whole
  sizes = [len(w) for w in bootstrap._weights(20, 2000)]
  assert max(sizes) == 150
  assert sum(sizes) == 2000


def test_parts_of_recordings_take_turns_with_the_draws():
  # The first draw is always correct, the second never.
  logs = np.log([[[0.9, 0.1]] * 4, [[0.1, 0.9]] * 4])
  labels, recording = np.zeros(4, int), np.array([0, 0, 1, 1])
  parts = attack_accuracy.RecordingParts(recording, (0.5, 1.0, 0.5, 1.0, 1.0))
  assert parts.accuracy(logs, labels) == 3 / 5
  assert parts.accuracy(logs[:1], labels) == 1
  # Of a mixture, the second and third component are class 0.
  columns = np.array([1, 0, 0])
  mixed = np.log([[[0.4, 0.3, 0.3]] * 4])
  assert parts.accuracy(mixed, labels, columns) == 1
