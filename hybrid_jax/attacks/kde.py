"""Kernel densities of each class.

The score of class c is its share times the mean, over its training vectors x,
of a Gaussian around x (the class form of the rank measure of Osia et al.; the
attacker of DPFE). With known noise this is nearly the Bayes classifier.
"""

import functools
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset, padding
from hybrid_jax.metrics import distances

OPTIONS = {
  'bandwidths': plugins.Option(
    (0.3, 0.6, 1.0, 2.0),
    'Kernel widths to try; 1 is the median distance to the nearest vector.',
    above=0,
    filled=True,
  ),
}

_BLOCK = 512  # vectors scored at once
# In units of the noise; a bandwidth of 1 gives the density of the noise itself.
_NOISE_BANDWIDTHS = (1, 1.1, 1.25, 1.5)


def attack(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> Iterator[adversary.Attack]:
  """Yields one attack for each view, bandwidth and label.

  Bandwidths are multiples of the median distance from a training vector to its
  nearest neighbour. With noise there is one more view, in units of the noise.

  Args:
    problem: the attack problem.
    config: see `OPTIONS`.
    seed: not used, since nothing is random.
  """
  del seed
  train = problem.rows(dataset.TRAIN)
  labels = list(problem.sensitive)
  classes = [int(problem.sensitive[a].max()) + 1 for a in labels]
  # All labels are scored at once: their classes stand side by side.
  onehot = np.concatenate(
    [
      np.eye(k, dtype=np.float32)[problem.sensitive[a][train]]
      for a, k in zip(labels, classes, strict=True)
    ],
    axis=1,
  )
  borders = np.cumsum([0, *classes])
  for name, viewed, bandwidths, is_absolute in views(
    problem, config.bandwidths
  ):
    attacks = [f'kernel density {b:g}, {name}' for b in bandwidths]
    if not any(problem.wants(a, label) for a in attacks for label in labels):
      continue
    gallery = viewed(dataset.TRAIN)
    sharpness = kernel_sharpness(gallery, bandwidths, is_absolute)
    log_densities = {
      fold: class_log_densities(
        viewed(fold), gallery, onehot, sharpness, problem.train_capacity
      )
      for fold in (dataset.VALIDATION, dataset.TEST)
    }
    for j, attack_name in enumerate(attacks):
      for i, attribute in enumerate(labels):
        if not problem.wants(attack_name, attribute):
          continue
        columns = slice(borders[i], borders[i + 1])
        yield adversary.Attack(
          attack_name,
          attribute,
          log_densities[dataset.VALIDATION][j][..., columns],
          log_densities[dataset.TEST][j][..., columns],
        )


def kernel_sharpness(
  gallery: np.ndarray, bandwidths: np.ndarray, is_absolute: bool
) -> np.ndarray:
  """Returns `1 / (2 h^2)` of each bandwidth h, `[b]` float32.

  Args:
    gallery: `[n, d]`, the training vectors.
    bandwidths: `[b]`, see `views`.
    is_absolute: whether they are not multiples of `spacing(gallery)`.
  """
  unit = 1.0 if is_absolute else spacing(gallery)
  return (0.5 / np.square(bandwidths * unit)).astype(np.float32)


def views(
  problem: adversary.Problem, bandwidths: Sequence[float]
) -> Iterator[tuple[str, Callable[[int], np.ndarray], np.ndarray, bool]]:
  """Yields name, vectors of a fold, bandwidths, and whether these are absolute.

  Args:
    problem: the attack problem.
    bandwidths: multiples of the distance to the nearest vector; the view in
      units of the noise has its own, which are absolute.
  """
  for name in problem.views:
    viewed = functools.partial(problem.viewed, name)
    yield name, viewed, np.asarray(bandwidths), False
  if problem.noise_scale is not None:
    whitened = adversary.View(
      np.zeros(len(problem.noise_scale)), np.linalg.inv(problem.noise_scale).T
    )
    yield (
      'in units of noise',
      lambda fold: whitened(problem.vectors(fold)),
      np.array(_NOISE_BANDWIDTHS),
      True,
    )


def spacing(gallery: np.ndarray) -> float:
  """Returns the median distance from a vector to its nearest neighbour.

  Args:
    gallery: `[m, d]`; a sample of at most 1,000 of them is measured.
  """
  probes = gallery[:: max(1, len(gallery) // 500)]
  squared = np.sort(distances.squared(probes, gallery), axis=1)[:, 1]
  return float(np.sqrt(max(np.median(squared), 1e-12)))


def class_log_densities(
  released: np.ndarray,
  gallery: np.ndarray,
  onehot: np.ndarray,
  sharpness: np.ndarray,
  capacity: int = 0,
  present: np.ndarray | None = None,
) -> np.ndarray:
  """Computes log-densities of each class, up to a constant of each vector.

  Args:
    released: `[draws, n, d]`.
    gallery: `[m, d]`.
    onehot: `[m / g, k]`, the classes of the gallery; every g rows of it share
      theirs. With many classes, larger groups are faster.
    sharpness: `[bandwidths]`, `1 / (2 bandwidth^2)`.
    capacity: the number of rows to which the gallery is padded at least;
      galleries of one capacity share a program.
    present: `[m]` bool, the rows of the gallery that count; by default all.

  Returns:
    `[bandwidths, draws, n, k]`.
  """
  (draws, n, d), m, k = released.shape, len(gallery), onehot.shape[1]
  rows, wide = padding.rows(max(m, capacity)), padding.width(d)
  group = m // len(onehot)
  present = np.ones(m, bool) if present is None else present
  flat = padding.pad(released.reshape(-1, d), {1: wide})
  arguments = jax.device_put(
    (
      padding.pad(gallery, {0: rows, 1: wide}),
      padding.pad(onehot, {0: rows // group, 1: padding.classes(k)}),
      padding.pad(present, {0: rows}),
      np.int32(m),
      sharpness,
    )
  )
  out = [
    _block_log_densities(block, *arguments)
    for block in padding.blocks(flat, _BLOCK)
  ]
  return np.concatenate(jax.device_get(out), axis=1)[
    :, : draws * n, :k
  ].reshape(len(sharpness), draws, n, k)


@jax.jit
def _block_log_densities(x, gallery, onehot, present, count, sharpness):
  """Log-densities `[bandwidths, b, k]` of `x [b, d]`.

  Of the first `count` rows of the gallery those that are `present` are vectors.
  """
  squared = distances.squared(x, gallery)
  squared = jnp.where(present, squared, jnp.inf)
  # Relative to the nearest vector: the largest term is 1, without underflow.
  squared -= squared.min(axis=1, keepdims=True)
  # A CPU's cache holds a tile; other devices take the whole gallery at once.
  tile = padding.TILE if jax.default_backend() == 'cpu' else len(gallery)
  group = len(gallery) // len(onehot)
  groups = tile // group

  def with_bandwidth(sharp):
    def add(i, total):
      part = jax.lax.dynamic_slice_in_dim(squared, i * tile, tile, 1)
      classes = jax.lax.dynamic_slice_in_dim(onehot, i * groups, groups, 0)
      kernels = jnp.exp(-sharp * part).reshape(len(x), groups, group)
      return total + kernels.sum(axis=2) @ classes

    # Tiles of padding alone are left out.
    tiles = (count + tile - 1) // tile
    zeros = jnp.zeros((len(x), onehot.shape[1]))
    total = jax.lax.fori_loop(0, tiles, add, zeros)
    return jnp.log(total / present.sum() + 1e-12)

  return jax.lax.map(with_bandwidth, sharpness)
