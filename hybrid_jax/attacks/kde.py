"""Kernel densities of each class.

The score of class c is its share times the mean, over its training vectors x,
of a Gaussian around x (the class form of the rank measure of Osia et al.; the
attacker of DPFE). With known noise this is nearly the Bayes classifier.
"""

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

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

# Vectors that are scored at once, and vectors of the gallery in one pass.
_BLOCK, _TILE = 256, 1024
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
  labels = list(problem.sensitive)
  classes = [int(problem.sensitive[a].max()) + 1 for a in labels]
  # All labels are scored at once: their classes stand side by side.
  borders = np.cumsum([0, *classes])
  combinations, index = components(problem, problem.sensitive.values())
  columns = borders[:-1, None] + combinations.T
  for name, viewed, bandwidths, is_absolute in views(
    problem, config.bandwidths
  ):
    attacks = [f'kernel density {b:g}, {name}' for b in bandwidths]
    if not any(problem.wants(a, label) for a in attacks for label in labels):
      continue
    gallery = viewed(dataset.TRAIN)
    sharpness = kernel_sharpness(gallery, bandwidths, is_absolute)
    scores = {
      fold: log_densities(
        viewed(fold),
        gallery,
        index,
        sharpness,
        borders[-1],
        columns,
        problem.train_capacity,
      )
      for fold in (dataset.VALIDATION, dataset.TEST)
    }
    for j, attack_name in enumerate(attacks):
      for i, attribute in enumerate(labels):
        if not problem.wants(attack_name, attribute):
          continue
        own = slice(borders[i], borders[i + 1])
        yield adversary.Attack(
          attack_name,
          attribute,
          scores[dataset.VALIDATION][j][..., own],
          scores[dataset.TEST][j][..., own],
        )


def components(
  problem: adversary.Problem, labels: Iterable[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the combinations of labels that occur outside of the test fold.

  There are as many when the problem is learnt again, so that programs are
  shared.

  Args:
    problem: the attack problem.
    labels: `[n]` each.

  Returns:
    The combinations `[k, labels]`, and which of them each training vector has.
  """
  learnable = problem.fold != dataset.TEST
  combinations, index = np.unique(
    np.stack(list(labels), axis=1)[learnable], axis=0, return_inverse=True
  )
  return combinations, index.ravel()[problem.rows(dataset.TRAIN)[learnable]]


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


def log_densities(
  released: np.ndarray,
  gallery: np.ndarray,
  component: np.ndarray,
  sharpness: np.ndarray,
  k: int,
  columns: np.ndarray | None = None,
  capacity: int = 0,
) -> np.ndarray:
  """Computes log-densities of components, up to a constant of each vector.

  The density of a component is the sum of the kernels around its vectors. A
  column of the result is one component, or the sum of several.

  Args:
    released: `[draws, n, d]`.
    gallery: `[m, d]`.
    component: `[m]`, the component of each vector of the gallery.
    sharpness: `[bandwidths]`, `1 / (2 bandwidth^2)`.
    k: the number of columns.
    columns: `[sums, components]`, the columns to which each component is added;
      by default component i is column i alone.
    capacity: the number of rows to which the gallery is padded at least;
      galleries of one capacity share a program.

  Returns:
    `[bandwidths, draws, n, k]`.
  """
  (draws, n, d), m = released.shape, len(gallery)
  rows, wide = padding.rows(max(m, capacity)), padding.width(d)
  count = padding.classes(k if columns is None else columns.shape[1])
  if columns is not None:  # Components of padding have no vectors.
    columns = padding.pad(columns.astype(np.int32), {1: count})
  flat = padding.pad(released.reshape(-1, d), {1: wide})
  arguments = jax.device_put(
    (
      padding.pad(gallery, {0: rows, 1: wide}),
      padding.pad(component.astype(np.int32), {0: rows}),
      np.int32(m),
      sharpness,
      columns,
    )
  )
  sizes = count, padding.classes(k)
  out = [
    _block_log_densities(block, *arguments, sizes=sizes)
    for block in padding.blocks(flat, _BLOCK)
  ]
  return np.concatenate(jax.device_get(out), axis=1)[
    :, : draws * n, :k
  ].reshape(len(sharpness), draws, n, k)


@functools.partial(jax.jit, static_argnames='sizes')
def _block_log_densities(x, gallery, component, m, sharpness, columns, sizes):
  """Log-densities `[bandwidths, b, k]` of `x [b, d]`.

  The first `m` rows of the gallery are vectors. A CPU takes it in tiles that
  its cache holds, and other devices all at once. `sizes` are the numbers of
  components and of columns.
  """
  count, k = sizes
  is_cpu = jax.default_backend() == 'cpu'
  tile = math.gcd(len(gallery), _TILE) if is_cpu else len(gallery)

  def add(i, carry):
    nearest, total = carry
    vectors, of = (
      jax.lax.dynamic_slice_in_dim(a, i * tile, tile)
      for a in (gallery, component)
    )
    squared = distances.squared(vectors, x)
    is_vector = i * tile + jnp.arange(tile) < m
    squared = jnp.where(is_vector[:, None], squared, jnp.inf)
    # Relative to the nearest vector so far: the largest term is 1, without
    # underflow. What was added up before is made smaller by as much.
    nearer = jnp.minimum(nearest, squared.min(axis=0))
    shrinking = jnp.exp(sharpness[:, None] * (nearer - nearest))
    added = jax.lax.map(
      lambda sharp: _sums(jnp.exp(sharp * (nearer - squared)), of, count),
      sharpness,
    )
    return nearer, total * shrinking[:, None] + added

  tiles = (m + tile - 1) // tile  # Tiles of padding alone are left out.
  start = jnp.full(len(x), jnp.inf), jnp.zeros((len(sharpness), count, len(x)))
  _, total = jax.lax.fori_loop(0, tiles, add, start)
  if columns is not None:
    total = sum(
      jax.vmap(_sums, (0, None, None))(total, of, k) for of in columns
    )
  return jnp.log(total / m + 1e-12).swapaxes(1, 2)


def _sums(values, of, count):
  """Adds up the rows of `values [m, b]` by their index `of [m]`."""
  if jax.default_backend() == 'cpu':
    return jax.ops.segment_sum(values, of, count)
  # An accelerator's segment sums would differ from run to run.
  return (jnp.arange(count)[:, None] == of).astype(values.dtype) @ values
