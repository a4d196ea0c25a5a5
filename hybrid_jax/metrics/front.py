"""Pareto front of utility and leakage, and its hypervolume."""

import numpy as np


def undominated(utility: np.ndarray, leakage: np.ndarray) -> np.ndarray:
  """Returns a mask `[n]` of the points on the Pareto front.

  A point is on the front if no other point is at least as good in both values
  and better in one. Equal points do not dominate each other.

  Args:
    utility: `[n]`, higher is better.
    leakage: `[n]`, lower is better.
  """
  at_least = utility[None] >= utility[:, None]
  at_most = leakage[None] <= leakage[:, None]
  better = (utility[None] > utility[:, None]) | (
    leakage[None] < leakage[:, None]
  )
  dominated = np.any(at_least & at_most & better, axis=1)
  return np.asarray(~dominated)


def hypervolume(
  utility: np.ndarray,
  leakage: np.ndarray,
  least_utility: float,
  most_leakage: float,
) -> float:
  """Returns the share of the possible area that the points dominate.

  The area has utilities from `least_utility` to 1 and leakages from 0 to
  `most_leakage` (Zitzler and Thiele, IEEE Trans. Evol. Comput. 3, 1999, in two
  dimensions). Leakage below 0 counts as 0, since an attacker worse than chance
  protects nothing more.

  Args:
    utility: `[n]`.
    leakage: `[n]`.
    least_utility: points below it are left out.
    most_leakage: points above it are left out.
  """
  u = np.minimum(utility, 1.0)
  leak = np.maximum(leakage, 0.0)
  inside = (u > least_utility) & (leak < most_leakage)
  area, done = 0.0, least_utility
  # In the order of leakage, each point adds a strip of higher utility.
  for value, worst in sorted(
    zip(u[inside], leak[inside], strict=True), key=lambda p: (p[1], -p[0])
  ):
    if value > done:
      area += (value - done) * (most_leakage - worst)
      done = value
  return float(area / ((1 - least_utility) * most_leakage))
