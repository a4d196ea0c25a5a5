"""How well any attacker can do on one release: certified upper bounds.

What is released is `r = p + e`, with `e` Gaussian and independent. Everything
here bounds the accuracy of any attacker who sees `r` and knows all else: the
weights, the noise's law, the population, and even the primary label `y`. It
assumes that the population is the one that the examples are drawn from, and
that the attacker has nothing else to tell this input by. It is no differential
privacy: it says nothing about an input unlike those of this population.

Three bounds, all valid, so that the least is:

* `fano`: `I(s; r | y) <= sum_y P(y) 1/2 log2 det(I + k Cov(p | y))` bits for k
  releases of one input, since at a given covariance the Gaussian has the most
  entropy; then Fano's inequality.
* `people`: with `P_s` the density of `r` for person s within y and any density
  `Q`, `accuracy <= max_s pi_s + sqrt(sum_s pi_s^2 chi2(P_s || Q))`, by
  Cauchy and Schwarz on `pi_s P_s <= pi_max Q + pi_s |P_s - Q|`. With `Q`
  Gaussian around m the divergence is
  `E exp((p - m)^T (p' - m)) - 1` over pairs of a person's inputs.
* `cells`: an attacker who is also told in which cell `p` lies, where cells are
  any partition, is only stronger. Within a cell both bounds are far tighter: a
  few inputs that land with another class no longer set the covariance of all.
  Beside Fano's inequality each cell uses `d(accuracy || pi_max) <= I`, d the
  binary relative entropy (data processing), the same for equal shares.

Vectors are given in units of the noise: `L^-1 p`, where the noise is `L e`.
"""

import dataclasses

import numpy as np
import scipy.stats

from hybrid_jax.metrics import blocks, exact, information

BOUNDS = ('fano', 'people', 'cells')


@dataclasses.dataclass(frozen=True)
class Population:
  """Examples that stand for the population.

  Attributes:
    released: `[n, d]` without noise, in units of it.
    primary: `[n]`.
    sensitive: `[n]`, the label to hide.
    recording: `[n]`, what the bootstrap resamples.
    cell: `[n]`, any function of `released` fixed beforehand.
    noisy: whether there is noise. Without any only `cells` is a bound, and
      `released` must not vary within a cell; see `distinct`.
  """

  released: np.ndarray
  primary: np.ndarray
  sensitive: np.ndarray
  recording: np.ndarray
  cell: np.ndarray
  noisy: bool = True

  def take(self, rows: np.ndarray) -> 'Population':
    """The population of these examples alone."""
    arrays = {
      f.name: getattr(self, f.name)[rows]
      for f in dataclasses.fields(self)
      if f.name != 'noisy'
    }
    return dataclasses.replace(self, **arrays)


def bounds(
  people: Population, releases: int = 1, weight: np.ndarray | None = None
) -> dict[str, np.ndarray]:
  """All bounds at once, for one or several weightings of the examples.

  Args:
    people: the population.
    releases: how often one input is released with fresh noise.
    weight: `[w, n]`, how often each example counts, whole numbers; once by
      default.

  Returns:
    Each of `BOUNDS`, the greatest accuracy `[w]`; and `bits [w]`, the least
    bound of the information about the label given the primary one.
  """
  n = len(people.released)
  weight = np.ones((1, n)) if weight is None else np.asarray(weight, float)
  if not people.noisy:
    return exact.bounds(people.primary, people.sensitive, people.cell, weight)
  p = people.released.astype(np.float64) * np.sqrt(releases)
  total = weight.sum(axis=1)
  labels = np.unique(people.sensitive, return_inverse=True)[1]
  member = np.eye(labels.max() + 1)[labels]
  entropy, plain, told, inside = (np.zeros(len(weight)) for _ in range(4))
  out = {'people': np.zeros(len(weight))}
  parts, shares = [], []
  for y in np.unique(people.primary):
    mine = people.primary == y
    block = blocks.Block(p[mine], member[mine], weight[:, mine])
    share = block.total / total
    h = information.entropy(block.prior)
    entropy += share * h
    plain += share * np.minimum(block.bits, h)
    out['people'] += share * block.by_people()
    from_cell = h.copy()  # I(s; cell | y) = H(s | y) - H(s | y, cell)
    for cell in np.unique(people.cell[mine]):
      here = people.cell[mine] == cell
      part = blocks.Block(
        p[mine][here], member[mine][here], weight[:, mine][:, here]
      )
      within = part.total / np.maximum(block.total, 1)
      own = information.entropy(part.prior)
      from_cell -= within * own
      inside += share * within * np.minimum(part.bits, own)
      shares.append(share * within)
      parts.append(part)
    told += share * from_cell
  bits = np.minimum(np.minimum(plain, told + inside), entropy)
  out['cells'] = (np.stack(shares) * blocks.accuracy(parts)).sum(axis=0)
  count = ((weight @ member) > 0).sum(axis=1)
  out['fano'] = information.fano(np.minimum(plain, entropy), entropy, count)
  return {name: np.minimum(out[name], 1.0) for name in BOUNDS} | {'bits': bits}


def measure(
  people: Population, releases: int = 1, resamples: int = 1000
) -> dict[str, object]:
  """The least bound, with the upper end of its 95 % interval.

  Whole recordings are resampled; the least bound is taken within each resample.

  Args:
    people: the population.
    releases: how often one input is released.
    resamples: how many bootstrap resamples.

  Returns:
    `value`, `high`, `bits`, `bound`, which of them is the least, and
    `by_bound`, each with `value` and `high`.
  """
  _, group = np.unique(people.recording, return_inverse=True)
  count = group.max() + 1
  kinds = (*BOUNDS, 'least')

  def statistic(drawn, axis=-1):
    del axis
    drawn = np.atleast_2d(drawn)
    times = np.zeros((len(drawn), count))
    np.add.at(times, (np.arange(len(drawn))[:, None], drawn), 1)
    found = bounds(people, releases, times[:, group])
    stacked = [found[name] for name in BOUNDS]
    return np.stack([*stacked, np.min(stacked, axis=0)])

  found = bounds(people, releases)
  values = [float(found[name][0]) for name in BOUNDS]
  values.append(min(values))
  if count < 2:
    high = np.ones(len(kinds))
  else:
    high = scipy.stats.bootstrap(
      (np.arange(count),),
      statistic,
      n_resamples=resamples,
      method='percentile',
      rng=np.random.default_rng(0),
    ).confidence_interval.high
  each = {
    name: {'value': v, 'high': float(max(v, h))}
    for name, v, h in zip(kinds, values, high, strict=True)
  }
  return {
    **each.pop('least'),
    'bits': float(found['bits'][0]),
    'bound': BOUNDS[int(np.argmin(values[:-1]))],
    'by_bound': each,
  }


def gaussian_bits(
  released: np.ndarray, primary: np.ndarray, releases: int = 1
) -> float:
  """`sum_y P(y) 1/2 log2 det(I + releases Cov(p | y))`.

  Args:
    released: `[n, d]` without noise, in units of it.
    primary: `[n]`.
    releases: how often one input is released.
  """
  p = released.astype(np.float64) * np.sqrt(releases)
  bits = 0.0
  for y in np.unique(primary):
    mine = p[primary == y]
    ones = np.ones((1, len(mine)))
    bits += blocks.Block(mine, ones.T, ones).bits[0] * len(mine) / len(p)
  return float(bits)


def distinct(released: np.ndarray) -> np.ndarray:
  """`[n]`: a cell for each distinct vector of `released [n, d]`.

  Without noise this is all there is to tell; the ceiling is then exact.
  """
  return np.unique(released, axis=0, return_inverse=True)[1].reshape(-1)


def cells(
  released: np.ndarray, centres: np.ndarray, radii: tuple[float, ...] = ()
) -> np.ndarray:
  """`[n]`: the nearest centre, and between which radii around it.

  Args:
    released: `[n, d]`, in units of the noise.
    centres: `[m, d]`.
    radii: increasing.
  """
  squared = np.maximum(
    np.square(released).sum(1)[:, None]
    + np.square(centres).sum(1)
    - 2 * released @ centres.T,
    0,
  )
  ring = np.searchsorted(np.asarray(radii), np.sqrt(squared.min(axis=1)))
  return squared.argmin(axis=1) + len(centres) * ring
