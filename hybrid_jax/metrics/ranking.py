"""The rank measure of Osia et al., log-rank and nearest neighbour of DPFE.

With `l_i(c)` the likelihood of what probe i released under candidate c,
`r_i = 1 + #{c : l_i(c) > l_i(true)}`, ties averaged. Candidates are inputs
(`linkage`) or people (`class_form`, then `from_scores`), from a gallery without
the probes. These go in blocks, never all times all candidates in one array.

Distances are sums of squared differences, not taken from a Gram matrix: its
rounding ranks another vector before an equal one. `UserError` is raised for
vectors that are not finite or too far apart for the scale, or a scale of 0.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from hybrid_jax import errors
from hybrid_jax.metrics import bootstrap

_BLOCK = 512  # probes
_UNROLL = 16  # dimensions in one pass over a tile
_MOST = 1e16  # in units of the kernel; squares stay well within float32


def from_scores(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
  """The rank of the true candidate when higher scores come first.

  Args:
    scores: `[n, k]`; only exactly equal ones tie, `-inf` with `-inf` too.
    truth: `[n]`, 0 to k - 1, or `UserError`, as for a score that is NaN.

  Returns:
    `[n]`, 1 to k in halves.
  """
  if np.isnan(scores).any():  # It would compare as the best of all.
    raise errors.UserError('the scores hold NaN.')
  truth = _index('true candidates', truth, *scores.shape)
  own = np.take_along_axis(scores, truth[:, None], axis=1)
  tied = (scores == own).sum(axis=1) - 1
  return 1 + (scores > own).sum(axis=1) + tied / 2


def linkage(
  probes: np.ndarray,
  candidates: np.ndarray,
  truth: np.ndarray,
  noise_scale: np.ndarray | None = None,
  block: int = _BLOCK,
) -> np.ndarray:
  """Ranks by `l_i(j) = log N(p'_i; p_j, L L^T)`: the linkage form.

  The covariance is common: the order is that of distances in units of noise.
  Equal candidates tie, and a probe equal to its candidate comes first.

  Args:
    probes: `[n, d]`, what was released.
    candidates: `[m, d]`, without noise.
    truth: `[n]`, which candidate each probe comes from; else `UserError`.
    noise_scale: `L [d, d]`, lower triangular; `None` for plain distances.
    block: how many probes at a time; it changes memory, not the ranks.

  Returns:
    `[n]`, 1 to m in halves.
  """
  truth = _index('true candidates', truth, len(probes), len(candidates))
  # Each distinct vector once: equal ones tie, however the whitening rounds.
  distinct, index = np.unique(candidates, axis=0, return_inverse=True)
  x, y = _prepared(probes, distinct, noise_scale)
  true = _blocks(index[truth][:, None], block)[:, 0]
  closer, tied = _places(_blocks(x, block), true, y.T, np.bincount(index))
  closer, tied = (np.ravel(a)[: len(x)] for a in (closer, tied))
  return 1 + closer + (tied - 1) / 2


def class_form(
  probes: np.ndarray,
  gallery: np.ndarray,
  gallery_label: np.ndarray,
  k: int,
  scale: np.ndarray | float,
  block: int = _BLOCK,
) -> np.ndarray:
  """`l_i(c) = log mean over members x of c of N(p'_i; p_x, Sigma)`.

  The constant `-1/2 log det(2 pi Sigma)` of all classes is left out.

  Args:
    probes: `[n, d]`, what was released.
    gallery: `[m, d]`.
    gallery_label: `[m]`, 0 to k - 1; else `UserError`.
    k: the number of classes.
    scale: `L [d, d]`, lower triangular, with `Sigma = L L^T`, such as the
      noise's; or an isotropic kernel's standard deviation, see `bandwidth`.
    block: how many probes at a time.

  Returns:
    `[n, k]` float32, nats; `-inf` for a class without members.
  """
  label = _index('gallery labels', gallery_label, len(gallery), k)
  x, y = _prepared(probes, gallery, scale)
  count = np.bincount(label, minlength=k).astype(np.float32)
  out = _by_class(_blocks(x, block), y.T, label, count)
  return np.asarray(out).swapaxes(1, 2).reshape(-1, k)[: len(x)]


def nearest(
  probes: np.ndarray,
  gallery: np.ndarray,
  gallery_label: np.ndarray,
  block: int = _BLOCK,
) -> np.ndarray:
  """Labels `[n]` of the vectors nearest to `probes [n, d]`: DPFE's 1-NN.

  Of `gallery [m, d]` and `gallery_label [m]`; the first of those equally near.
  """
  x, y = _prepared(probes, gallery)
  found = np.ravel(_nearest(_blocks(x, block), y.T))[: len(x)]
  return np.asarray(gallery_label)[found]


def bandwidth(gallery: np.ndarray) -> float:
  """Scott's rule, `s m^(-1/(d + 4))`, for an isotropic kernel.

  s is the root mean square, over dimensions, of the standard deviations of
  `gallery [m, d]`, whose unit the result has. DPFE applies the rule to each
  identity, with a full covariance of its own.
  """
  m, d = gallery.shape
  variance = gallery.astype(np.float64).var(axis=0, ddof=1)
  return float(np.sqrt(variance.mean()) * m ** (-1 / (d + 4)))


def summarise(
  rank: np.ndarray, candidates: int, group: np.ndarray
) -> dict[str, dict[str, float]]:
  """Figures of ranks, with 95 % intervals over groups, see `bootstrap`.

  Args:
    rank: `[n]`, 1 to `candidates`; else `UserError`.
    candidates: how many there are, two at least.
    group: `[n]`, the recording or person of each probe.

  Returns:
    Of K candidates: `mean_rank`, `mean(r) / K`, by chance `(K + 1) / 2K`;
    `log_rank`, `mean(log r) / log K`, by chance `log(K!) / (K log K)`; `top1`,
    the share with r = 1, by chance 1/K; a tie for the first place is not one.
    Each has `value`, `low` and `high`.
  """
  if candidates < 2 or not ((rank >= 1) & (rank <= candidates)).all():
    raise errors.UserError(f'ranks must be 1 to {candidates}, 2 at least.')
  figures = {
    'mean_rank': rank / candidates,
    'log_rank': np.log(rank) / math.log(candidates),
    'top1': (rank == 1).astype(float),
  }
  return {
    name: dataclasses.asdict(bootstrap.mean(values, group))
    for name, values in figures.items()
  }


@jax.jit
def _places(probes, truth, candidates, count):
  """`[blocks, block]`: how many are closer than the true one, how many tie.

  Of `probes [blocks, d, block]`, `truth [blocks, block]`, and distinct
  `candidates [d, u]`, each there `count [u]` times; the true one ties too.
  """

  def one(arguments):
    x, true = arguments
    squared = _squared(candidates, x)
    own = jnp.take_along_axis(squared, true[None], axis=0)
    # By its index: a compiler may compute `own` twice and round differently.
    itself = jnp.arange(len(count))[:, None] == true
    places = (~itself & (squared < own), itself | (squared == own))
    # Whole numbers, not a matrix product that an accelerator rounds.
    return [jnp.where(a, count[:, None], 0).sum(axis=0) for a in places]

  return jax.lax.map(one, (probes, truth))


@jax.jit
def _by_class(probes, gallery, label, count):
  """`[blocks, d, block]`, `[d, m]`, `[m]`, `[k]` to `[blocks, k, block]`."""

  def one(x):
    log = -0.5 * _squared(gallery, x)
    # Each class relative to its own nearest vector: none underflows.
    top = jax.ops.segment_max(log, label, len(count))
    total = jax.ops.segment_sum(jnp.exp(log - top[label]), label, len(count))
    return top + jnp.log(total) - jnp.log(jnp.maximum(count, 1))[:, None]

  return jax.lax.map(one, probes)


@jax.jit
def _nearest(probes, gallery):
  return jax.lax.map(lambda x: _squared(gallery, x).argmin(axis=0), probes)


def _squared(a, b):
  """`[d, u]` and `[d, w]` to squared distances `[u, w]`."""

  def add(total, rows):
    return total + jnp.square(rows[0][:, None] - rows[1]), None

  zero = jnp.zeros((a.shape[1], b.shape[1]), jnp.float32)
  return jax.lax.scan(add, zero, (a, b), unroll=min(len(a), _UNROLL))[0]


def _blocks(x, block):
  """`[n, d]` to `[blocks, d, block]`, padded with zeros."""
  block = min(block, len(x))
  padded = np.pad(x, ((0, -len(x) % block), (0, 0)))
  return padded.reshape(-1, block, x.shape[1]).swapaxes(1, 2)


def _prepared(x, y, scale=None):
  """`[n, d]`, `[m, d]` less a common offset, in units of `scale`, float32."""
  low = np.minimum(x.min(axis=0), y.min(axis=0)).astype(np.float64)
  half = np.maximum(x.max(axis=0), y.max(axis=0)) / 2 - low / 2
  # A multiple of a power of two near the range, often 0: values on a binary
  # grid, such as whole numbers, stay on it, their ties stay ties, and small
  # values keep their digits beside a large one.
  grid = np.ldexp(1.0, np.frexp(half)[1])
  centre = np.where(half > 0, np.round((low + half) / grid) * grid, low)
  if scale is None:  # By a power of two, so that no square under- or overflows.
    scale = np.ldexp(1.0, np.frexp(half.max())[1])
  if not np.all(np.diagonal(scale) if np.ndim(scale) else scale):
    raise errors.UserError('a scale is 0.')
  out = [
    np.linalg.solve(scale, a.T).T if np.ndim(scale) else a / scale
    for a in (x - centre, y - centre)
  ]
  if not all((np.abs(a) < _MOST).all() for a in out):  # Nor is NaN.
    raise errors.UserError(f'vectors are not within {_MOST:g} of the scale.')
  return [a.astype(np.float32) for a in out]


def _index(name, index, length, size):
  index = np.asarray(index)
  if index.shape != (length,) or not ((index >= 0) & (index < size)).all():
    raise errors.UserError(f'the {name} must be {length} of 0 to {size - 1}.')
  return index
