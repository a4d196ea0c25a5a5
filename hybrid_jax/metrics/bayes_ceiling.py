"""Certified upper bounds on the accuracy of any attacker on released vectors.

The release of an input is `r = p + e`. The vector `p` is released without
noise; the noise `e` is Gaussian and independent of the input. Vectors are in
units of the noise: `L^-1 p` where the noise is `L e'` with `e'` standard
normal. `y` is the primary label and `s` the sensitive label.

The bounds hold for every attacker who sees `r`, even one who knows the network,
the noise's distribution, the population, and `y`. They assume that inputs are
drawn from the population that the examples represent, and that the attacker has
no other source about the input. This is not differential privacy: it says
nothing about an input unlike those of the population.

There are three bounds. All are valid, so the smallest one counts.

* `fano`. For k releases of one input,
  `I(s; r | y) <= sum_y P(y) 1/2 log2 det(I + k Cov(p | y))` bits, since of all
  distributions with one covariance the Gaussian has the largest entropy. Fano's
  inequality turns bits into accuracy (`fano`).
* `people`. Let `pi_s` be the share of person s within y, `P_s` the density of
  their releases, and `Q` any density. Then
  `accuracy <= max_s pi_s + sqrt(sum_s pi_s^2 chi2(P_s || Q))`, which follows
  from `pi_s P_s <= pi_max Q + pi_s |P_s - Q|` and Cauchy-Schwarz. For `Q` the
  standard normal density around m, `1 + chi2(P_s || Q)` is the mean of
  `exp((p - m)^T (p' - m))` over all pairs of inputs p, p' of person s.
* `cells`. Divide the space of `p` into cells in any way. An attacker who is
  told the cell of `p` is only stronger, so a bound on that attacker is valid
  too. Within a cell both bounds above are far tighter: a few inputs that lie
  with another class no longer set the covariance of all. Each cell also uses
  `d(accuracy || pi_max) <= I` with d the binary relative entropy (data
  processing inequality).

Without noise, the cells are the distinct vectors, and the best guess in each
cell is the exact ceiling.

All three are about the examples at hand. For the population that they were
drawn from, `confidence_margin` is added. Let `A(P)` be the accuracy of the best
attacker on a population P, the largest of the means over inputs of all
attackers. `A` is convex, so the mean of `A(examples)` over draws of the
examples is not below `A(P)`. Another recording in the place of one moves
`A(examples)` by at most the recording's share w_r of the examples. So by
McDiarmid's inequality, for independent recordings,
`A(P) <= A(examples) + sqrt(ln(1 / delta) / 2 * sum_r w_r^2)` with probability
`1 - delta`. The bounds are not below `A(examples)`, so they may stand in its
place. This holds however the labels lie in the recordings, and however rare a
kind of recording is.

`stream` bounds an attacker who sees k windows of one person. The information of
k releases with independent noise, given their classes, is at most the sum of
`1/2 log2 det(I + Cov(p | y))` over them, however the windows depend on each
other. Fano's inequality and the data processing inequality turn it into an
accuracy. The order of the classes counts as known, and must tell nothing more
about the person than one class does; for a stream of one class this holds.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hybrid_jax.metrics import distances

BOUNDS = ('fano', 'people', 'cells')
# One-sided: with probability 0.975 the ceiling is not below the truth.
CONFIDENCE = 0.975
_MAX_EXPONENT = 60.0  # e^60 gives a bound far above 1 in any case
_BISECTIONS = 50


@dataclasses.dataclass(frozen=True)
class Population:
  """Examples that represent the population.

  Attributes:
    released: `[n, d]`, the vectors without noise, in units of the noise.
    primary: `[n]`, the primary labels.
    sensitive: `[n]`, the labels to protect.
    recording: `[n]`, the groups that were drawn independently.
    cell: `[n]`, the cell of each vector; see `cells` and `distinct`. The cells
      must be chosen without these examples.
    noisy: whether there is noise. Without noise only `cells` is a bound, and
      `released` must not vary within a cell; see `distinct`.
  """

  released: np.ndarray
  primary: np.ndarray
  sensitive: np.ndarray
  recording: np.ndarray
  cell: np.ndarray
  noisy: bool = True

  def take(self, rows: np.ndarray) -> 'Population':
    """Returns the population of some examples only."""
    arrays = {
      f.name: getattr(self, f.name)[rows]
      for f in dataclasses.fields(self)
      if f.name != 'noisy'
    }
    return dataclasses.replace(self, **arrays)


def bounds(population: Population, releases: int = 1) -> dict[str, float]:
  """Computes all bounds for these examples.

  Args:
    population: the examples.
    releases: the number of releases of one input, each with fresh noise.

  Returns:
    Each of `BOUNDS`, the largest possible accuracy; and `bits`, the smallest
    bound on the information about the sensitive label given the primary label.
  """
  if not population.noisy:
    return noiseless_bounds(
      population.primary, population.sensitive, population.cell
    )
  p = population.released.astype(np.float64) * np.sqrt(releases)
  classes = _blocks(p, population, population.primary)
  label_entropy = _mean(classes, [b.entropy for b in classes])
  release_bits = _mean(classes, [min(b.bits, b.entropy) for b in classes])
  parts = _blocks(p, population, _kinds(population))
  # I(s; cell | y) = H(s | y) - H(s | y, cell).
  cell_bits = label_entropy - _mean(parts, [b.entropy for b in parts])
  within_bits = _mean(parts, [min(b.bits, b.entropy) for b in parts])
  values = {
    'fano': fano(
      min(release_bits, label_entropy),
      label_entropy,
      len(np.unique(population.sensitive)),
    ),
    'people': _mean(classes, [b.density_bound() for b in classes]),
    'cells': _mean(parts, block_bounds(parts)),
  }
  bits = min(release_bits, cell_bits + within_bits, label_entropy)
  return {name: min(float(values[name]), 1.0) for name in BOUNDS} | {
    'bits': max(float(bits), 0.0)
  }


def cells_bound(population: Population, releases: int = 1) -> float:
  """Computes the bound `cells` alone, as `bounds` does, in less time.

  Args:
    population: the examples, with noise.
    releases: the number of releases of one input, each with fresh noise.
  """
  p = population.released.astype(np.float64) * np.sqrt(releases)
  parts = _blocks(p, population, _kinds(population))
  return min(_mean(parts, block_bounds(parts)), 1.0)


def _kinds(population):
  """Numbers the primary class and cell of each example: `[n]`."""
  _, y = np.unique(population.primary, return_inverse=True)
  _, cell = np.unique(population.cell, return_inverse=True)
  return y * (cell.max() + 1) + cell


def _blocks(p, population, kind):
  """Returns a `Block` for each value of `kind [n]`."""
  _, label = np.unique(population.sensitive, return_inverse=True)
  one_hot = np.eye(label.max() + 1)[label]
  return [Block(p[kind == k], one_hot[kind == k]) for k in np.unique(kind)]


def _mean(blocks, values):
  """Averages values of blocks by the blocks' numbers of examples."""
  return float(np.average(values, weights=[b.total for b in blocks]))


def measure(population: Population, releases: int = 1) -> dict[str, object]:
  """Computes the smallest bound and the ceiling that it gives.

  Args:
    population: the examples.
    releases: the number of releases of one input.

  Returns:
    `value`, the smallest bound for these examples, an estimate; `high`, the
    ceiling: with probability `CONFIDENCE` no attacker is more accurate on the
    population of these recordings; `bits`; `bound`, the name of the smallest
    bound; and `by_bound`, each bound's `value` and `high`.
  """
  estimate = bounds(population, releases)
  margin = confidence_margin(population.recording)
  by_bound = {
    name: {'value': estimate[name], 'high': min(estimate[name] + margin, 1.0)}
    for name in BOUNDS
  }
  bound = min(BOUNDS, key=lambda name: estimate[name])
  return {
    **by_bound[bound],
    'bits': estimate['bits'],
    'bound': bound,
    'by_bound': by_bound,
  }


def confidence_margin(recording: np.ndarray) -> float:
  """Computes `sqrt(ln(1 / (1 - CONFIDENCE)) / 2 * sum_r w_r^2)`.

  McDiarmid, On the method of bounded differences (1989), lemma 1.2.

  Args:
    recording: `[n]`, the recording of each example; w_r is its share.
  """
  _, count = np.unique(recording, return_counts=True)
  shares = count / count.sum()
  return float(np.sqrt(-np.log(1 - CONFIDENCE) / 2 * np.square(shares).sum()))


def stream(
  population: Population, windows: tuple[int, ...], resamples: int = 400
) -> dict[int, dict[str, float]]:
  """Bounds the accuracy of an attacker who sees k windows of one person.

  Args:
    population: the examples; `cell` is not used.
    windows: the numbers k.
    resamples: the number of bootstrap resamples over recordings.

  Returns:
    For each k `value`, and `high`, which takes the 97.5 % quantile of the bits
    in place of the bits. Both are estimates: the bootstrap has no guarantee
    where a kind of recording is rare. Without noise both are 1, unless the
    vectors are constant in each class.
  """
  classes = _blocks(population.released, population, population.primary)
  label_entropy = _mean(classes, [b.entropy for b in classes])
  prior = _mean(classes, [b.prior.max() for b in classes])
  count = len(np.unique(population.sensitive))
  if population.noisy:
    bits = gaussian_bits(population.released, population.primary)
    high = max(bits, _resampled_bits(population, resamples))
  else:
    known = bounds(population)['bits'] < 1e-12
    bits = high = 0.0 if known else np.inf
  return {
    k: {
      name: float(
        min(
          fano(min(k * each, label_entropy), label_entropy, count),
          relative_entropy_bound(k * each, prior),
        )
      )
      for name, each in (('value', bits), ('high', high))
    }
    for k in windows
  }


def budget(curve: dict[int, dict[str, float]], limit: float) -> int:
  """Returns the largest number of windows whose `high` is at most `limit`.

  It is 0 where no number is.
  """
  return max((k for k, f in curve.items() if f['high'] <= limit), default=0)


def gaussian_bits(
  released: np.ndarray, primary: np.ndarray, releases: int = 1
) -> float:
  """Computes `sum_y P(y) 1/2 log2 det(I + releases Cov(p | y))` in bits.

  Args:
    released: `[n, d]` without noise, in units of the noise.
    primary: `[n]`, the primary labels.
    releases: the number of releases of one input.
  """
  p = released.astype(np.float64) * np.sqrt(releases)
  bits = 0.0
  for y in np.unique(primary):
    in_class = p[primary == y]
    bits += Block(in_class, np.ones((len(in_class), 1))).bits * len(in_class)
  return bits / len(p)


def _resampled_bits(population, resamples):
  """The 97.5 % quantile of `gaussian_bits` over resamples of recordings."""
  _, recording = np.unique(population.recording, return_inverse=True)
  count = recording.max() + 1
  if count < 2:
    return np.inf
  rng = np.random.default_rng(0)
  times = rng.multinomial(count, np.full(count, 1 / count), resamples)
  bits, total = np.zeros(resamples), times[:, recording].sum(axis=1)
  for y in np.unique(population.primary):
    rows = population.primary == y
    q = population.released[rows].astype(np.float64)
    q = q - q.mean(axis=0)
    weight = times[:, recording[rows]]
    size = weight.sum(axis=1)
    shares = weight / np.maximum(size, 1)[:, None]
    mean = shares @ q
    products = (q[:, :, None] * q[:, None]).reshape(len(q), -1)
    second = (shares @ products).reshape(resamples, q.shape[1], -1)
    covariance = second - mean[:, :, None] * mean[:, None]
    variances = np.maximum(np.linalg.eigvalsh(covariance), 0)
    bits += size / total * 0.5 * np.log2(1 + variances).sum(axis=1)
  return float(np.quantile(bits, CONFIDENCE))


def distinct(released: np.ndarray) -> np.ndarray:
  """Returns one cell `[n]` for each distinct vector of `released [n, d]`.

  Without noise these cells hold all information, and the ceiling is exact.
  """
  # By their bytes: sorting wide vectors takes many times as long. A sum with
  # 0.0 has no -0.0.
  rows = np.ascontiguousarray(released + 0.0)
  numbers: dict[bytes, int] = {}
  return np.array([numbers.setdefault(r.tobytes(), len(numbers)) for r in rows])


def cells(
  released: np.ndarray, centres: np.ndarray, radii: tuple[float, ...] = ()
) -> np.ndarray:
  """Returns cells `[n]`: the nearest centre and the ring around it.

  Args:
    released: `[n, d]`, in units of the noise.
    centres: `[m, d]`.
    radii: the borders of the rings, increasing.
  """
  squared = distances.squared(released, centres)
  ring = np.searchsorted(np.asarray(radii), np.sqrt(squared.min(axis=1)))
  return squared.argmin(axis=1) + len(centres) * ring


class Block:
  """Examples of one primary class, or of one cell of it.

  It computes bounds on an attacker's information and accuracy within the block.

  Attributes:
    total: the number of examples.
    prior: `[K]`, the share of each sensitive label.
    entropy: the entropy of the sensitive label in bits.
  """

  def __init__(self, p: np.ndarray, one_hot: np.ndarray):
    """Stores the examples of the block.

    Args:
      p: `[n, d]`, the vectors without noise, in units of the noise.
      one_hot: `[n, K]`, the sensitive labels.
    """
    # Centred, which no bound depends on, so that large values stay exact.
    self._q = p - p.mean(axis=0)
    self._one_hot = one_hot
    self.total = len(p)
    self.prior = one_hot.mean(axis=0)
    self.entropy = float(entropy(self.prior))

  @functools.cached_property
  def bits(self) -> float:
    """Largest information of a release, `1/2 log2 det(I + Cov)`.

    From singular values: a determinant loses the small ones beside a large one.
    """
    deviations = np.linalg.svd(
      self._q / np.sqrt(len(self._q)), compute_uv=False
    )
    return float(0.5 * np.log2(1 + np.square(deviations)).sum())

  def density_bound(self) -> float:
    """Computes `max_s pi_s + sqrt(sum_s pi_s^2 chi2(P_s || Q))`.

    Pairs of an input with itself count too: the population consists of these
    very inputs, which the attacker may know.
    """
    total = 0.0
    for s in np.flatnonzero(self._one_hot.sum(axis=0)):
      q = self._q[self._one_hot[:, s] > 0]
      kernel = np.exp(np.minimum(q @ q.T, _MAX_EXPONENT))
      total += self.prior[s] ** 2 * max(kernel.mean() - 1, 0)
    return float(min(self.prior.max() + np.sqrt(total), 1.0))


def block_bounds(blocks: Sequence[Block]) -> np.ndarray:
  """Computes the smallest bound on the accuracy in each block: `[blocks]`.

  All blocks are bisected together, which is far faster than one by one.
  """
  prior = np.array([block.prior.max() for block in blocks])
  entropies = np.array([block.entropy for block in blocks])
  count = np.array([(block.prior > 0).sum() for block in blocks])
  bits = np.minimum([block.bits for block in blocks], entropies)
  return np.minimum.reduce(
    [
      np.array([block.density_bound() for block in blocks]),
      relative_entropy_bound(bits, prior),
      fano(bits, entropies, count),
    ]
  )


def noiseless_bounds(
  primary: np.ndarray, sensitive: np.ndarray, cell: np.ndarray
) -> dict[str, float]:
  """Computes the exact ceiling without noise: the best guess in each cell.

  Args:
    primary: `[n]`, the primary labels.
    sensitive: `[n]`, the labels to protect.
    cell: `[n]`, one for each distinct vector.

  Returns:
    As `bounds`; `fano` and `people` are 1, since they need noise.
  """

  def joint_counts(*columns):
    return np.unique(np.stack(columns), axis=1, return_counts=True)

  _, y = np.unique(primary, return_inverse=True)
  _, label = np.unique(sensitive, return_inverse=True)
  kinds, counts = joint_counts(y, cell, label)
  _, place = np.unique(kinds[:2], axis=1, return_inverse=True)
  best = np.zeros(place.max() + 1)
  np.maximum.at(best, place.reshape(-1), counts)

  def conditional_entropy(joint, condition):
    """`H(joint | condition)` from counts, times their sum."""
    return _count_log(condition) - _count_log(joint)

  label_entropy = conditional_entropy(
    joint_counts(y, label)[1], joint_counts(y)[1]
  )
  remaining = conditional_entropy(counts, joint_counts(y, cell)[1])
  return {
    'fano': 1.0,
    'people': 1.0,
    'cells': float(best.sum() / len(primary)),
    'bits': float(max((label_entropy - remaining) / len(primary), 0)),
  }


def _count_log(counts):
  """Sum of `c log2 c`."""
  return (counts * np.log2(np.maximum(counts, 1))).sum()


def entropy(prior: np.ndarray) -> np.ndarray:
  """Computes `-sum p log2 p` in bits over the last axis of `prior [..., k]`."""
  with np.errstate(divide='ignore', invalid='ignore'):
    return -np.where(prior > 0, prior * np.log2(prior), 0.0).sum(axis=-1)


def fano(
  bits: npt.ArrayLike, label_entropy: npt.ArrayLike, count: npt.ArrayLike
) -> np.ndarray:
  """Computes the largest accuracy that Fano's inequality allows: `[...]`.

  It is the largest a with `h(1 - a) + (1 - a) log2(K - 1) >= H - I`, with h the
  binary entropy.

  Args:
    bits: `[...]`, the information I about a label, in bits.
    label_entropy: `[...]`, the entropy H of the label, in bits.
    count: `[...]`, the number K of the label's values.
  """
  bits, label_entropy, count = np.broadcast_arrays(bits, label_entropy, count)
  remaining = label_entropy - bits
  wrong_bits = np.log2(np.maximum(count - 1, 1))

  def allowed(a):
    return _binary_entropy(1 - a) + (1 - a) * wrong_bits >= remaining - 1e-12

  return _bisect(allowed, 1 / np.maximum(count, 1))


def relative_entropy_bound(
  bits: npt.ArrayLike, prior: npt.ArrayLike
) -> np.ndarray:
  """Computes the largest accuracy a with `d(a || prior) <= bits`: `[...]`.

  Args:
    bits: `[...]`, the information about a label, in bits.
    prior: `[...]`, the share of the label's most common value.
  """
  prior = np.clip(prior, 1e-12, 1.0)

  def allowed(a):
    with np.errstate(divide='ignore', invalid='ignore'):
      rest = np.where(a < 1, (1 - a) * np.log2((1 - a) / (1 - prior)), 0.0)
    return a * np.log2(a / prior) + rest <= bits

  return np.where(prior >= 1, 1.0, _bisect(allowed, prior))


def _binary_entropy(x):
  inside = (x > 0) & (x < 1)
  with np.errstate(divide='ignore', invalid='ignore'):
    return -np.where(inside, x * np.log2(x), 0.0) - np.where(
      inside, (1 - x) * np.log2(1 - x), 0.0
    )


def _bisect(allowed, low):
  """Largest value in `[low, 1]` for which `allowed` holds, from `low` on."""
  low = np.array(low, dtype=float)
  high = np.ones_like(low)
  all_allowed = allowed(high)
  for _ in range(_BISECTIONS):
    middle = (low + high) / 2
    ok = allowed(middle)
    low, high = np.where(ok, middle, low), np.where(ok, high, middle)
  return np.where(all_allowed, 1.0, high)
