import numpy as np
import pytest
import scipy.optimize

from hybrid_jax.metrics import bayes_ceiling


def _binary(a):
  return -a * np.log2(a) - (1 - a) * np.log2(1 - a)


@pytest.mark.parametrize('count', [2, 4, 13])
@pytest.mark.parametrize('share', [0.1, 0.4, 0.9])
def test_both_inequalities_solved_by_other_means(count, share):
  entropy = np.log2(count)
  bits = share * entropy
  fano = scipy.optimize.brentq(
    lambda a: (
      _binary(a) + (1 - a) * np.log2(count - 1) - (entropy - bits)
      if a < 1
      else -(entropy - bits)
    ),
    1 / count,
    1,
  )
  assert bayes_ceiling.fano(bits, entropy, count) == pytest.approx(
    fano, abs=1e-8
  )
  # Of equal shares both are the same inequality.
  relative = bayes_ceiling.relative_entropy_bound(bits, 1 / count)
  assert relative == pytest.approx(fano, abs=1e-8)


def test_unequal_shares_solved_by_other_means():
  prior = np.array([0.5, 0.25, 0.25])  # 1.5 bits
  relative = scipy.optimize.brentq(
    lambda a: 1 - _binary(a) - 0.2 if a < 1 else 0.8, 0.5, 1
  )
  found = bayes_ceiling.relative_entropy_bound(0.2, 0.5)
  assert found == pytest.approx(relative, abs=1e-8)
  fano = scipy.optimize.brentq(
    lambda a: _binary(a) + (1 - a) - 1.3, 1 / 3 + 0.01, 1 - 1e-9
  )
  found = bayes_ceiling.fano(0.2, bayes_ceiling.entropy(prior), 3)
  assert found == pytest.approx(fano, abs=1e-8)
  # Neither is always the less.
  assert fano < relative - 0.1
  entropy = bayes_ceiling.entropy(np.array([0.5, 0.45, 0.05]))
  assert bayes_ceiling.fano(0.0, entropy, 3) > 0.6
  found = bayes_ceiling.relative_entropy_bound(0.0, 0.5)
  assert found == pytest.approx(0.5, abs=1e-7)


def test_numbers_of_the_inequalities():
  assert bayes_ceiling.entropy(np.array([0.5, 0.25, 0.25, 0])) == 1.5
  # d(1 || 1/8) = 3: at 3 bits all may be right, and below it not.
  assert bayes_ceiling.relative_entropy_bound(3.0, 1 / 8) == 1
  assert bayes_ceiling.relative_entropy_bound(2.99, 1 / 8) < 1
  # d(3/4 || 1/2) = 1 - h(3/4) = 3/4 log2 3 - 1.
  bits = 0.75 * np.log2(3) - 1
  assert bayes_ceiling.relative_entropy_bound(bits, 0.5) == pytest.approx(0.75)
  assert bayes_ceiling.fano(bits, 1.0, 2) == pytest.approx(0.75)
  assert bayes_ceiling.relative_entropy_bound(0.0, 1.0) == 1
  assert bayes_ceiling.fano(0.0, 0.0, 1) == 1
