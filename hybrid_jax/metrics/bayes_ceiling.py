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
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import scipy.stats

from hybrid_jax.metrics import distances

BOUNDS = ('fano', 'people', 'cells')
_MAX_EXPONENT = 60.0  # e^60 gives a bound far above 1 in any case
_BISECTIONS = 50


@dataclasses.dataclass(frozen=True)
class Population:
  """Examples that represent the population.

  Attributes:
    released: `[n, d]`, the vectors without noise, in units of the noise.
    primary: `[n]`, the primary labels.
    sensitive: `[n]`, the labels to protect.
    recording: `[n]`, the groups that the bootstrap resamples.
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


def bounds(
  population: Population, releases: int = 1, weight: np.ndarray | None = None
) -> dict[str, np.ndarray]:
  """Computes all bounds, for one or several weightings of the examples.

  Args:
    population: the examples.
    releases: the number of releases of one input, each with fresh noise.
    weight: `[w, n]`, how often each example counts, whole numbers; by default
      once.

  Returns:
    Each of `BOUNDS`, the largest possible accuracy `[w]`; and `bits [w]`, the
    smallest bound on the information about the sensitive label given the
    primary label.
  """
  n = len(population.released)
  weight = np.ones((1, n)) if weight is None else np.asarray(weight, float)
  if not population.noisy:
    return noiseless_bounds(
      population.primary, population.sensitive, population.cell, weight
    )
  p = population.released.astype(np.float64) * np.sqrt(releases)
  total = weight.sum(axis=1)
  labels = np.unique(population.sensitive, return_inverse=True)[1]
  one_hot = np.eye(labels.max() + 1)[labels]
  # Conditional entropy H(s | y), and three bounds on information in bits: of
  # the releases, of the cell, and of the releases within a known cell.
  label_entropy, release_bits, cell_bits, within_cell_bits = (
    np.zeros(len(weight)) for _ in range(4)
  )
  density_bound = np.zeros(len(weight))
  cell_blocks, cell_shares = [], []
  for y in np.unique(population.primary):
    in_class = population.primary == y
    block = Block(p[in_class], one_hot[in_class], weight[:, in_class])
    share = block.total / total
    block_entropy = entropy(block.prior)
    label_entropy += share * block_entropy
    release_bits += share * np.minimum(block.bits, block_entropy)
    density_bound += share * block.density_bound()
    # I(s; cell | y) = H(s | y) - H(s | y, cell).
    class_cell_bits = block_entropy.copy()
    for cell in np.unique(population.cell[in_class]):
      in_cell = population.cell[in_class] == cell
      cell_block = Block(
        p[in_class][in_cell],
        one_hot[in_class][in_cell],
        weight[:, in_class][:, in_cell],
      )
      cell_share = cell_block.total / np.maximum(block.total, 1)
      cell_entropy = entropy(cell_block.prior)
      class_cell_bits -= cell_share * cell_entropy
      within_cell_bits += (
        share * cell_share * np.minimum(cell_block.bits, cell_entropy)
      )
      cell_shares.append(share * cell_share)
      cell_blocks.append(cell_block)
    cell_bits += share * class_cell_bits
  values = {
    'fano': fano(
      np.minimum(release_bits, label_entropy),
      label_entropy,
      ((weight @ one_hot) > 0).sum(axis=1),
    ),
    'people': density_bound,
    'cells': (np.stack(cell_shares) * block_bounds(cell_blocks)).sum(axis=0),
  }
  bits = np.minimum(release_bits, cell_bits + within_cell_bits)
  return {name: np.minimum(values[name], 1.0) for name in BOUNDS} | {
    'bits': np.minimum(bits, label_entropy)
  }


def measure(
  population: Population, releases: int = 1, resamples: int = 1000
) -> dict[str, object]:
  """Computes the smallest bound with the upper end of its 95 % interval.

  The bootstrap resamples whole recordings, and takes the smallest bound within
  each resample.

  Args:
    population: the examples.
    releases: the number of releases of one input.
    resamples: the number of bootstrap resamples.

  Returns:
    `value`, `high`, `bits`, `bound`, the name of the smallest bound, and
    `by_bound`, each bound's `value` and `high`.
  """
  _, group = np.unique(population.recording, return_inverse=True)
  count = group.max() + 1
  names = (*BOUNDS, 'least')

  def statistic(sample, axis=-1):
    del axis
    sample = np.atleast_2d(sample)
    times = np.zeros((len(sample), count))
    np.add.at(times, (np.arange(len(sample))[:, None], sample), 1)
    resampled = bounds(population, releases, times[:, group])
    stacked = [resampled[name] for name in BOUNDS]
    return np.stack([*stacked, np.min(stacked, axis=0)])

  estimate = bounds(population, releases)
  values = [float(estimate[name][0]) for name in BOUNDS]
  values.append(min(values))
  if count < 2:
    high = np.ones(len(names))
  else:
    high = scipy.stats.bootstrap(
      (np.arange(count),),
      statistic,
      n_resamples=resamples,
      method='percentile',
      rng=np.random.default_rng(0),
    ).confidence_interval.high
  by_bound = {
    name: {'value': v, 'high': float(max(v, h))}
    for name, v, h in zip(names, values, high, strict=True)
  }
  return {
    **by_bound.pop('least'),
    'bits': float(estimate['bits'][0]),
    'bound': BOUNDS[int(np.argmin(values[:-1]))],
    'by_bound': by_bound,
  }


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
    ones = np.ones((1, len(in_class)))
    bits += Block(in_class, ones.T, ones).bits[0] * len(in_class) / len(p)
  return float(bits)


def distinct(released: np.ndarray) -> np.ndarray:
  """Returns one cell `[n]` for each distinct vector of `released [n, d]`.

  Without noise these cells hold all information, and the ceiling is exact.
  """
  return np.unique(released, axis=0, return_inverse=True)[1].reshape(-1)


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

  It computes bounds on an attacker's information and accuracy within the block,
  one for each of `w` weightings of the examples.

  Attributes:
    total: `[w]`, the number of examples, each counted by its weight.
    prior: `[w, K]`, the share of each sensitive label.
  """

  def __init__(self, p: np.ndarray, one_hot: np.ndarray, weight: np.ndarray):
    """Stores the examples of the block.

    Args:
      p: `[n, d]`, the vectors without noise, in units of the noise.
      one_hot: `[n, K]`, the sensitive labels.
      weight: `[w, n]`, how often each example counts.
    """
    self._p, self._one_hot, self._weight = p, one_hot, weight
    self.total = weight.sum(axis=1)
    self._count = np.maximum(self.total, 1)
    self.prior = weight @ one_hot / self._count[:, None]

  @functools.cached_property
  def bits(self) -> np.ndarray:
    """Largest information of a release, `1/2 log2 det(I + Cov)`: `[w]`."""
    d = self._p.shape[1]
    # Centred on a fixed point, so that the difference of squares stays exact.
    q = self._p - self._p.mean(axis=0)
    mean = self._weight @ q / self._count[:, None]
    second = self._weight @ (q[:, :, None] * q[:, None]).reshape(len(q), -1)
    covariance = (second / self._count[:, None]).reshape(-1, d, d)
    covariance -= mean[:, :, None] * mean[:, None]
    _, logdet = np.linalg.slogdet(np.eye(d) + covariance)
    return np.maximum(0.5 * logdet / np.log(2), 0.0)

  def density_bound(self) -> np.ndarray:
    """Computes `max_s pi_s + sqrt(sum_s pi_s^2 chi2(P_s || Q))`: `[w]`.

    Pairs of an input with itself count too: the population consists of these
    very inputs, which the attacker may know.
    """
    q = self._p - self._p.mean(axis=0)
    total = np.zeros(len(self._weight))
    for s in np.flatnonzero(self._one_hot.sum(axis=0)):
      rows = self._one_hot[:, s] > 0
      kernel = np.exp(np.minimum(q[rows] @ q[rows].T, _MAX_EXPONENT))
      weight = self._weight[:, rows]
      pairs = np.square(weight.sum(axis=1))
      sums = ((weight @ kernel) * weight).sum(axis=1)
      chi2 = np.maximum(sums / np.maximum(pairs, 1) - 1, 0)
      total += np.square(self.prior[:, s]) * chi2
    return np.minimum(self.prior.max(axis=1) + np.sqrt(total), 1.0)


def block_bounds(blocks: Sequence[Block]) -> np.ndarray:
  """Computes the smallest bound on the accuracy in each block: `[blocks, w]`.

  All blocks are bisected together, which is far faster than one by one.
  """
  prior = np.stack([block.prior.max(axis=1) for block in blocks])
  entropies = np.stack([entropy(block.prior) for block in blocks])
  count = np.stack([(block.prior > 0).sum(axis=1) for block in blocks])
  bits = np.minimum(np.stack([block.bits for block in blocks]), entropies)
  return np.minimum.reduce(
    [
      np.stack([block.density_bound() for block in blocks]),
      relative_entropy_bound(bits, prior),
      fano(bits, entropies, count),
    ]
  )


def noiseless_bounds(
  primary: np.ndarray,
  sensitive: np.ndarray,
  cell: np.ndarray,
  weight: np.ndarray,
) -> dict[str, np.ndarray]:
  """Computes the exact ceiling without noise: the best guess in each cell.

  Args:
    primary: `[n]`, the primary labels.
    sensitive: `[n]`, the labels to protect.
    cell: `[n]`, one for each distinct vector.
    weight: `[w, n]`, how often each example counts.

  Returns:
    As `bounds`; `fano` and `people` are 1, since they need noise.
  """
  _, cell = np.unique(np.stack([primary, cell]), axis=1, return_inverse=True)
  _, label = np.unique(sensitive, return_inverse=True)
  order = np.lexsort((label, cell.reshape(-1)))
  pairs = np.stack([cell.reshape(-1), label], axis=1)[order]
  starts = np.flatnonzero(np.any(np.diff(pairs, axis=0, prepend=-1), axis=1))
  joint = np.add.reduceat(weight[:, order], starts, axis=1)
  first = np.flatnonzero(np.diff(pairs[starts, 0], prepend=-1))
  total = weight.sum(axis=1)
  correct = np.maximum.reduceat(joint, first, axis=1).sum(axis=1) / total
  # H(s | y) less H(s | y, cell).
  class_entropies = [
    _count_entropy(weight[:, primary == y], label[primary == y], label.max())
    for y in np.unique(primary)
  ]
  label_entropy = sum(class_entropies) / total
  cell_counts = np.add.reduceat(joint, first, axis=1)
  remaining = (_count_log(cell_counts) - _count_log(joint)) / total
  ones = np.ones(len(weight))
  return {
    'fano': ones,
    'people': ones,
    'cells': correct,
    'bits': np.maximum(label_entropy - remaining, 0),
  }


def _count_entropy(weight, label, largest):
  """Entropy of the labels in bits, times their number: `[w]`."""
  joint = weight @ np.eye(largest + 1)[label]
  return _count_log(weight.sum(axis=1, keepdims=True)) - _count_log(joint)


def _count_log(counts):
  """Sum of `c log2 c` over the last axis."""
  return (counts * np.log2(np.maximum(counts, 1))).sum(axis=-1)


def entropy(prior: np.ndarray) -> np.ndarray:
  """Computes `-sum p log2 p` in bits over the last axis of `prior [..., k]`."""
  with np.errstate(divide='ignore', invalid='ignore'):
    return -np.where(prior > 0, prior * np.log2(prior), 0.0).sum(axis=-1)


def fano(
  bits: np.ndarray, label_entropy: np.ndarray, count: np.ndarray
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


def relative_entropy_bound(bits: np.ndarray, prior: np.ndarray) -> np.ndarray:
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
