"""The bounds of one block: examples that share the primary label, or a cell."""

import functools
from collections.abc import Sequence

import numpy as np

from hybrid_jax.metrics import information

# Beyond e^60 the bound is far above 1 in any case.
_LARGEST = 60.0


class Block:
  """Examples that share the primary label, or a cell too: their bounds."""

  def __init__(self, p: np.ndarray, member: np.ndarray, weight: np.ndarray):
    """`p [n, d]`, `member [n, K]` one-hot, `weight [w, n]`."""
    self._p, self._member, self._weight = p, member, weight
    self.total = weight.sum(axis=1)
    self._some = np.maximum(self.total, 1)
    self.prior = weight @ member / self._some[:, None]

  @functools.cached_property
  def bits(self) -> np.ndarray:
    """`1/2 log2 det(I + Cov)`, `[w]`."""
    d = self._p.shape[1]
    # About a fixed point, so that the difference of squares keeps its digits.
    q = self._p - self._p.mean(axis=0)
    mean = self._weight @ q / self._some[:, None]
    second = self._weight @ (q[:, :, None] * q[:, None]).reshape(len(q), -1)
    covariance = (second / self._some[:, None]).reshape(-1, d, d)
    covariance -= mean[:, :, None] * mean[:, None]
    _, logdet = np.linalg.slogdet(np.eye(d) + covariance)
    return np.maximum(0.5 * logdet / np.log(2), 0.0)

  def by_people(self) -> np.ndarray:
    """`max_s pi_s + sqrt(sum_s pi_s^2 chi2(P_s || Q))`, `[w]`.

    Pairs of an input with itself count too: the population is that of these
    very inputs, which the attacker may know.
    """
    q = self._p - self._p.mean(axis=0)
    total = np.zeros(len(self._weight))
    for s in np.flatnonzero(self._member.sum(axis=0)):
      mine = self._member[:, s] > 0
      kernel = np.exp(np.minimum(q[mine] @ q[mine].T, _LARGEST))
      weight = self._weight[:, mine]
      pairs = np.square(weight.sum(axis=1))
      sums = ((weight @ kernel) * weight).sum(axis=1)
      chi2 = np.maximum(sums / np.maximum(pairs, 1) - 1, 0)
      total += np.square(self.prior[:, s]) * chi2
    return np.minimum(self.prior.max(axis=1) + np.sqrt(total), 1.0)


def accuracy(parts: Sequence[Block]) -> np.ndarray:
  """The least of all bounds of each block: `[blocks, w]`.

  All are bisected at once, which is far quicker than one after the other.
  """
  prior = np.stack([part.prior.max(axis=1) for part in parts])
  entropy = np.stack([information.entropy(part.prior) for part in parts])
  count = np.stack([(part.prior > 0).sum(axis=1) for part in parts])
  bits = np.minimum(np.stack([part.bits for part in parts]), entropy)
  return np.minimum.reduce(
    [
      np.stack([part.by_people() for part in parts]),
      information.relative_entropy_bound(bits, prior),
      information.fano(bits, entropy, count),
    ]
  )
