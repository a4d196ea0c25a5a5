"""Rank of the true candidate: the measures of Osia et al. and of DPFE.

With `l_i(c)` the log-likelihood of probe i under candidate c, the rank is
`r_i = 1 + #{c : l_i(c) > l_i(true)}`, and ties count half. Candidates are
inputs (`linkage`) or people (`class_form`, then `from_scores`). The gallery has
no example of the probes. Probes are processed in blocks, so that no array holds
all pairs of probes and candidates.

Distances are sums of squared differences. Distances through a matrix product
would round, and could rank another vector before an equal one. All functions
raise `UserError` for vectors that are not finite or too far apart for the
scale, and for a scale of 0.
"""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hybrid_jax import errors
from hybrid_jax.datasets import padding
from hybrid_jax.metrics import bootstrap, distances

_BLOCK = 512  # probes in a block
_LARGEST = 1e16  # in units of the scale; squares stay well within float32


def from_scores(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
  """Ranks the true candidate by its score; the highest score has rank 1.

  Args:
    scores: `[n, k]`; only equal scores tie, also `-inf` with `-inf`.
    truth: `[n]`, the true candidates, 0 to k - 1.

  Returns:
    `[n]`, from 1 to k in halves.

  Raises:
    UserError: a score is NaN, or a true candidate is out of range.
  """
  if np.isnan(scores).any():  # NaN would compare as the best score.
    raise errors.UserError('the scores hold NaN.')
  truth = _index('true candidates', truth, *scores.shape)
  true_score = np.take_along_axis(scores, truth[:, None], axis=1)
  tied = (scores == true_score).sum(axis=1) - 1
  return 1 + (scores > true_score).sum(axis=1) + tied / 2


def linkage(
  probes: np.ndarray,
  candidates: np.ndarray,
  truth: np.ndarray,
  noise_scale: np.ndarray | None = None,
  block: int = _BLOCK,
  capacity: int = 0,
) -> np.ndarray:
  """Ranks candidates by `l_i(j) = log N(p'_i; p_j, L L^T)`: the linkage form.

  All candidates have one covariance, so that their order is that of distances
  in units of the noise. Equal candidates tie. A probe equal to its candidate
  ranks it first.

  Args:
    probes: `[n, d]`, the released vectors.
    candidates: `[m, d]`, without noise.
    truth: `[n]`, the candidate that each probe comes from, 0 to m - 1.
    noise_scale: `L [d, d]`, lower triangular; `None` for plain distances.
    block: the number of probes in a block; it changes memory, not ranks.
    capacity: the number of rows to which candidates are padded at least;
      searches of one capacity share a program.

  Returns:
    `[n]`, from 1 to m in halves.

  Raises:
    UserError: a true candidate is out of range; see the module too.
  """
  truth = _index('true candidates', truth, len(probes), len(candidates))
  # Each distinct vector once: equal vectors then tie in spite of rounding.
  distinct, index = np.unique(candidates, axis=0, return_inverse=True)
  x, y = _scaled(probes, distinct, noise_scale)
  gallery = _gallery(y, capacity)
  count = padding.pad(
    np.bincount(index).astype(np.int32), {0: gallery.x.shape[1]}
  )
  true = padding.blocks(index[truth].astype(np.int32), block)
  out = [
    _count_closer(x, t, gallery.x, gallery.dimensions, count)
    for x, t in zip(_blocks(x, block), true, strict=True)
  ]
  closer, tied = np.concatenate(jax.device_get(out), axis=1)[:, : len(x)]
  return 1 + closer + (tied - 1) / 2


def class_form(
  probes: np.ndarray,
  gallery: np.ndarray,
  gallery_label: np.ndarray,
  k: int,
  scale: np.ndarray | float,
  block: int = _BLOCK,
  capacity: int = 0,
) -> np.ndarray:
  """Computes the class form `l_i(c) = log mean_x N(p'_i; p_x, Sigma)`.

  The mean is over the gallery vectors x of class c. The constant
  `-1/2 log det(2 pi Sigma)`, the same for all classes, is left out.

  Args:
    probes: `[n, d]`, the released vectors.
    gallery: `[m, d]`.
    gallery_label: `[m]`, the classes, 0 to k - 1.
    k: the number of classes.
    scale: `L [d, d]`, lower triangular, with `Sigma = L L^T`, such as that of
      the noise; or the standard deviation of an isotropic kernel, see
      `bandwidth`.
    block: the number of probes in a block.
    capacity: see `linkage`.

  Returns:
    Log-likelihoods `[n, k]` float32, nats; `-inf` for a class without vectors.

  Raises:
    UserError: a label is out of range; see the module too.
  """
  label = _index('gallery labels', gallery_label, len(gallery), k)
  x, y = _scaled(probes, gallery, scale)
  count = np.bincount(label, minlength=k).astype(np.float32)
  padded = _gallery(y, capacity)
  classes = padding.classes(k)
  # Padded rows are of a class of their own, which is left out.
  labels = np.full(padded.x.shape[1], classes, np.int32)
  labels[: len(label)] = label
  arguments = (*padded, labels, padding.pad(count, {0: classes}))
  out = [_by_class(x, *arguments) for x in _blocks(x, block)]
  return np.concatenate(jax.device_get(out))[: len(x), :k]


def nearest(
  probes: np.ndarray,
  gallery: np.ndarray,
  gallery_label: np.ndarray,
  block: int = _BLOCK,
  capacity: int = 0,
) -> np.ndarray:
  """Predicts the label of the nearest gallery vector, as DPFE does.

  Args:
    probes: `[n, d]`, the released vectors.
    gallery: `[m, d]`; of equally near vectors the first counts.
    gallery_label: `[m]`.
    block: the number of probes in a block.
    capacity: see `linkage`.

  Returns:
    `[n]`, the labels.
  """
  x, y = _scaled(probes, gallery)
  arguments = (*_gallery(y, capacity), np.int32(len(y)))
  out = [_nearest(x, *arguments) for x in _blocks(x, block)]
  index = np.concatenate(jax.device_get(out))[: len(x)]
  return np.asarray(gallery_label)[index]


def bandwidth(gallery: np.ndarray) -> float:
  """Computes Scott's bandwidth `s m^(-1/(d + 4))` of an isotropic kernel.

  s is the root mean square, over the dimensions, of the standard deviations of
  `gallery [m, d]`; the result has their unit. DPFE applies the rule to each
  identity, with the full covariance of that identity.
  """
  m, d = gallery.shape
  variance = gallery.astype(np.float64).var(axis=0, ddof=1)
  return float(np.sqrt(variance.mean()) * m ** (-1 / (d + 4)))


def summarise(
  rank: np.ndarray, candidates: int, group: np.ndarray
) -> dict[str, dict[str, float]]:
  """Summarises ranks, with 95 % intervals over groups, see `bootstrap`.

  Args:
    rank: `[n]`, from 1 to `candidates`.
    candidates: the number K of candidates, at least 2.
    group: `[n]`, the recording or person of each probe.

  Returns:
    `mean_rank`, `mean(r) / K`, `(K + 1) / 2K` by chance; `log_rank`,
    `mean(log r) / log K`, `log(K!) / (K log K)` by chance; and `top1`, the
    share of probes with r = 1, 1/K by chance, where a tie for the first place
    does not count. Each has `value`, `low` and `high`.

  Raises:
    UserError: a rank is out of range, or there are fewer than 2 candidates.
  """
  if candidates < 2 or not ((rank >= 1) & (rank <= candidates)).all():
    raise errors.UserError(
      f'the ranks are {rank.min():g} to {rank.max():g} of {candidates}'
      ' candidates; they must be 1 to the number of candidates, which must be 2'
      ' or more.'
    )
  figures = {
    'mean_rank': rank / candidates,
    'log_rank': np.log(rank) / math.log(candidates),
    'top1': (rank == 1).astype(float),
  }
  return {
    name: dataclasses.asdict(bootstrap.mean(values, group))
    for name, values in figures.items()
  }


class _Gallery(NamedTuple):
  """Vectors in columns, in a common shape."""

  x: jax.Array  # [D, rows]
  dimensions: np.ndarray  # [], those that count


def _gallery(y, capacity):
  """Pads `y [m, d]`, and puts it on the device."""
  rows = padding.rows(max(len(y), capacity))
  wide = padding.pad(y, {0: rows, 1: padding.width(y.shape[1])})
  return _Gallery(jax.device_put(wide.T), np.int32(y.shape[1]))


def _blocks(x, block):
  """Splits `[n, d]` into padded blocks `[D, block]`."""
  wide = padding.pad(x, {1: padding.width(x.shape[1])})
  return [part.T for part in padding.blocks(wide, block)]


@jax.jit
def _count_closer(x, true, candidates, dimensions, count):
  """Counts candidates that are closer than the true one, and that tie with it.

  Args:
    x: `[d, block]`, the probes.
    true: `[block]`, the true candidates.
    candidates: `[d, u]`, distinct.
    dimensions: the number of dimensions that count.
    count: `[u]`, how often each candidate occurs; 0 for padding.

  Returns:
    `[2, block]`; the true candidate counts as a tie.
  """
  squared = distances.squared_by_difference(candidates, x, dimensions)
  true_distance = jnp.take_along_axis(squared, true[None], axis=0)
  # The true candidate is known by its index, since a compiler may compute its
  # distance twice and round differently.
  is_true = jnp.arange(len(count))[:, None] == true
  masks = (
    ~is_true & (squared < true_distance),
    is_true | (squared == true_distance),
  )
  # A sum of integers: an accelerator would round a matrix product.
  return jnp.stack(
    [jnp.where(mask, count[:, None], 0).sum(axis=0) for mask in masks]
  )


@jax.jit
def _by_class(x, gallery, dimensions, label, count):
  """Log-likelihoods of each class: `[block, k]`.

  Args:
    x: `[d, block]`, the probes.
    gallery: `[d, m]`.
    dimensions: the number of dimensions that count.
    label: `[m]`, the classes of the gallery; k for padding.
    count: `[k]`, the number of vectors of each class.
  """
  log = -0.5 * distances.squared_by_difference(gallery, x, dimensions)
  # Each class is relative to its nearest vector, so that none underflows.
  classes = len(count) + 1
  top = jax.ops.segment_max(log, label, classes)
  total = jax.ops.segment_sum(jnp.exp(log - top[label]), label, classes)
  scores = (top + jnp.log(total))[:-1]
  return (scores - jnp.log(jnp.maximum(count, 1))[:, None]).T


@jax.jit
def _nearest(x, gallery, dimensions, count):
  """Index `[block]` of the nearest of the first `count` gallery vectors."""
  squared = distances.squared_by_difference(gallery, x, dimensions)
  is_vector = jnp.arange(len(squared))[:, None] < count
  return jnp.where(is_vector, squared, jnp.inf).argmin(axis=0)


def _scaled(x, y, scale=None):
  """Subtracts one offset from `[n, d]` and `[m, d]`, and divides by `scale`."""
  low = np.minimum(x.min(axis=0), y.min(axis=0)).astype(np.float64)
  half = np.maximum(x.max(axis=0), y.max(axis=0)) / 2 - low / 2
  # The offset is a multiple of a power of two near the range, often 0. Values
  # on a binary grid, such as whole numbers, stay on it, so that ties stay ties,
  # and small values keep their digits beside large ones.
  grid = np.ldexp(1.0, np.frexp(half)[1])
  centre = np.where(half > 0, np.round((low + half) / grid) * grid, low)
  if scale is None:  # A power of two, so that no square under- or overflows.
    scale = np.ldexp(1.0, np.frexp(half.max())[1])
  if not np.all(np.diagonal(scale) if np.ndim(scale) else scale):
    raise errors.UserError('a scale is 0; all scales must be positive.')
  out = [
    np.linalg.solve(scale, a.T).T if np.ndim(scale) else a / scale
    for a in (x - centre, y - centre)
  ]
  if not all((np.abs(a) < _LARGEST).all() for a in out):  # NaN fails too.
    raise errors.UserError(
      f'a vector is not finite, or not within {_LARGEST:g} times the scale.'
    )
  return [a.astype(np.float32) for a in out]


def _index(name, index, length, size):
  index = np.asarray(index)
  if index.shape != (length,) or not ((index >= 0) & (index < size)).all():
    raise errors.UserError(
      f'the {name} must be {length} integers from 0 to {size - 1}.'
    )
  return index
