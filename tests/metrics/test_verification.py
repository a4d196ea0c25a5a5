import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from hybrid_jax.metrics import verification


def test_the_roc_by_hand():
  same = np.array([True, True, False, False])
  assert verification.roc(np.array([4.0, 3, 2, 1]), same) == (1, 0)
  assert verification.roc(np.array([1.0, 2, 3, 4]), same) == (0, 1)
  # Of four pairs of one same and one other, three are in order.
  area, error = verification.roc(np.array([4.0, 2, 3, 1]), same)
  assert area == 0.75
  assert error == 0.5
  # All scores are equal: the curve is the diagonal.
  assert verification.roc(np.zeros(4), same) == (0.5, 0.5)


def test_the_equal_error_rate_is_where_the_rates_cross():
  rng = np.random.default_rng(0)
  same = rng.random(4000) < 0.3
  scores = rng.standard_normal(4000) + 2 * same
  area, error = verification.roc(scores, same)
  assert area == pytest.approx(sklearn.metrics.roc_auc_score(same, scores))
  # Two normal distributions two deviations apart cross at one deviation.
  assert error == pytest.approx(scipy.stats.norm.cdf(-1), abs=0.02)


def test_streams_of_two_kinds_share_no_recording():
  person = np.repeat([3, 5], 20)
  recording = np.arange(40) // 5
  streams, people, kind = verification.trial_streams(person, recording, 4, 3)
  assert streams.shape == (12, 4)
  np.testing.assert_array_equal(np.bincount(people), [0, 0, 0, 6, 0, 6])
  for p in (3, 5):
    held = [
      set(recording[streams[(people == p) & (kind == k)]].ravel())
      for k in range(2)
    ]
    assert not held[0] & held[1]
    assert (person[streams[people == p]] == p).all()


def test_a_half_that_is_too_short_is_taken_as_a_whole():
  # A single recording is halved in time.
  streams, _, kind = verification.trial_streams(
    np.zeros(6, int), np.zeros(6, int), 5, 1
  )
  assert sorted(streams[kind == 0][0]) == [-1, -1, 0, 1, 2]
  assert sorted(streams[kind == 1][0]) == [-1, -1, 3, 4, 5]
  values = np.arange(6.0)[None, :, None]
  mean = verification.pool(values, streams, mean=True)
  np.testing.assert_allclose(mean[0, :, 0], [1, 4])
  total = verification.pool(values, streams, mean=False)
  np.testing.assert_allclose(total[0, :, 0], [3, 12])


def test_the_gaussian_score_is_the_likelihood_ratio():
  rng = np.random.default_rng(1)
  person = np.repeat(np.arange(400), 20)
  places = 2 * rng.standard_normal((400, 2))
  means = places[person] + rng.standard_normal((8000, 2))
  model = verification.GaussianScorer(means, person)
  a, b = rng.standard_normal((2, 1, 3, 2))
  found = model(a, b)
  # Between people 4, within 1: a pair has covariance 4 if the person is one.
  same = scipy.stats.multivariate_normal(cov=[[5, 4], [4, 5]])
  other = scipy.stats.multivariate_normal(cov=[[5, 0], [0, 5]])
  for i in range(3):
    for j in range(3):
      pairs = [[a[0, i, k], b[0, j, k]] for k in range(2)]
      want = sum(same.logpdf(p) - other.logpdf(p) for p in pairs)
      assert found[0, i, j] == pytest.approx(want, abs=0.35)


@pytest.mark.parametrize(('leak', 'low', 'high'), [(0, 0.4, 0.6), (5, 0.97, 1)])
def test_new_people_are_told_apart_if_their_vectors_are(leak, low, high):
  rng = np.random.default_rng(2)

  def streams(count):
    person = np.repeat(np.arange(count), 16)
    places = leak * rng.standard_normal((count, 3))
    return places[person] + rng.standard_normal((16 * count, 3)), person

  model = verification.GaussianScorer(*streams(20))
  x, person = streams(6)
  first = np.arange(len(x)) % 2 == 0
  scores = model(x[None, first], x[None, ~first])
  figures = verification.by_person(scores, person[first], person[~first])
  assert figures['auc'].shape == (6,)
  assert low <= figures['auc'].mean() <= high
  summary = verification.summarise(figures)
  assert summary['auc']['low'] <= figures['auc'].mean()
  assert summary['eer']['value'] == pytest.approx(figures['eer'].mean())


def test_an_attacker_that_names_one_person_twice():
  a = np.log([[[0.9, 0.1], [0.5, 0.5]]]) + 7  # up to a constant
  b = np.log([[[0.2, 0.8]]])
  found = np.exp(verification.posterior_scores(a, b))
  np.testing.assert_allclose(found, [[[0.9 * 0.2 + 0.1 * 0.8], [0.5]]])
