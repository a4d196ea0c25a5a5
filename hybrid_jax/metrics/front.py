"""Which points nothing beats, and how much a set of points covers."""

import numpy as np


def undominated(utility: np.ndarray, leakage: np.ndarray) -> np.ndarray:
  """`[n]` bool: no other point has as much utility and as little leakage.

  Equal points do not beat each other.

  Args:
    utility: `[n]`, more is better.
    leakage: `[n]`, less is better.
  """
  at_least = utility[None] >= utility[:, None]
  at_most = leakage[None] <= leakage[:, None]
  better = (utility[None] > utility[:, None]) | (
    leakage[None] < leakage[:, None]
  )
  beaten = np.any(at_least & at_most & better, axis=1)
  return np.asarray(~beaten)


def hypervolume(
  utility: np.ndarray,
  leakage: np.ndarray,
  least_utility: float,
  most_leakage: float,
) -> float:
  """The area that the points beat, as a share of all there is.

  The share of pairs (utility from `least_utility` to 1, leakage from 0 to
  `most_leakage`) to which some point is at least as good (Zitzler and Thiele,
  IEEE Trans. Evol. Comput. 3, 1999, in two dimensions). Leakage below 0 counts
  as 0: to be worse than chance protects nothing.

  Args:
    utility: `[n]`.
    leakage: `[n]`.
    least_utility: points below it count for nothing.
    most_leakage: points above it count for nothing.
  """
  u = np.minimum(utility, 1.0)
  leak = np.maximum(leakage, 0.0)
  inside = (u > least_utility) & (leak < most_leakage)
  area, done = 0.0, least_utility
  # From the least leakage on: each point adds a strip of higher utility.
  for value, worst in sorted(
    zip(u[inside], leak[inside], strict=True), key=lambda p: (p[1], -p[0])
  ):
    if value > done:
      area += (value - done) * (most_leakage - worst)
      done = value
  return float(area / ((1 - least_utility) * most_leakage))
