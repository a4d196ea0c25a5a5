"""Bootstrap intervals over recordings or people, never over windows."""

import dataclasses

import numpy as np
import scipy.stats


@dataclasses.dataclass(frozen=True)
class Estimate:
  """A share with the ends of its 95 % interval."""

  value: float
  low: float
  high: float


def accuracy(
  correct: np.ndarray, group: np.ndarray, resamples: int = 2000
) -> Estimate:
  """Mean of `correct`, with a 95 % percentile interval over groups.

  Whole groups are resampled, and the mean weighs each by its examples. Where
  all are right, or none is, resamples cannot differ: the interval is then the
  exact binomial one of as many groups.

  Args:
    correct: `[n]`, 0 to 1: the share of draws that an example was right in.
    group: `[n]`, the recording or person of each.
    resamples: how many bootstrap resamples.
  """
  _, index = np.unique(group, return_inverse=True)
  right = np.bincount(index, weights=correct)
  count = np.bincount(index).astype(float)
  value = float(right.sum() / count.sum())
  if len(count) < 2:
    return Estimate(value, 0.0, 1.0)  # One group says nothing about others.
  if value in (0.0, 1.0):
    exact = scipy.stats.binomtest(round(value * len(count)), len(count))
    ends = exact.proportion_ci(0.95, method='exact')
    return Estimate(value, float(ends.low), float(ends.high))
  interval = scipy.stats.bootstrap(
    (right, count),
    lambda r, c, axis=-1: r.sum(axis=axis) / c.sum(axis=axis),
    paired=True,
    vectorized=True,
    n_resamples=resamples,
    method='percentile',
    rng=np.random.default_rng(0),
  ).confidence_interval
  return Estimate(value, float(interval.low), float(interval.high))
