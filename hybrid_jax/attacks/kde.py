"""Kernel densities of each class: with known noise, nearly Bayes' own attack.

The score of class c is its share times the mean, over its training vectors x,
of a Gaussian around x (the class form of the rank measure of Osia et al.;
DPFE's attacker).
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset

OPTIONS = {
  'bandwidths': plugins.Option(
    (0.3, 0.6, 1.0, 2.0),
    'Kernel widths to try; 1 is the median distance to the nearest vector.',
    above=0,
    filled=True,
  ),
}

_BLOCK = 512


def attack(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> Iterator[adversary.Attack]:
  """One attack for each view, bandwidth and label.

  Bandwidths are multiples of the median distance to the nearest training
  vector. Where there is noise, one more view measures in units of it, with
  bandwidths from 1: at 1 the kernel is the noise's own density.

  Args:
    problem: what is attacked.
    config: see `OPTIONS`.
    seed: not used; there is no chance in it.
  """
  del seed
  views = {
    name: (view, np.asarray(config.bandwidths), False)
    for name, view in problem.views.items()
  }
  if problem.noise_scale is not None:
    in_noise = adversary.View(
      np.zeros(len(problem.noise_scale)),
      np.linalg.inv(problem.noise_scale).T,
    )
    views['in units of noise'] = (in_noise, np.array([1, 1.1, 1.25, 1.5]), True)
  train = problem.rows(dataset.TRAIN)
  labels = list(problem.sensitive)
  classes = [int(problem.sensitive[a].max()) + 1 for a in labels]
  onehot = np.concatenate(
    [
      np.eye(k, dtype=np.float32)[problem.sensitive[a][train]]
      for a, k in zip(labels, classes, strict=True)
    ],
    axis=1,
  )
  borders = np.cumsum([0, *classes])
  for name, (view, bandwidths, absolute) in views.items():
    gallery = view(problem.clean[train])
    scored = {fold: view(x) for fold, x in problem.scored.items()}
    unit = 1.0 if absolute else _spacing(gallery)
    sharpness = jnp.asarray(0.5 / np.square(bandwidths * unit), jnp.float32)
    found = {
      fold: _by_class(x, gallery, onehot, sharpness)
      for fold, x in scored.items()
    }
    for j, bandwidth in enumerate(bandwidths):
      for i, attribute in enumerate(labels):
        own = slice(borders[i], borders[i + 1])
        yield adversary.Attack(
          f'kernel density {bandwidth:g}, {name}',
          attribute,
          found[dataset.VALIDATION][j][..., own],
          found[dataset.TEST][j][..., own],
        )


def _spacing(gallery):
  """The median distance from a training vector to its nearest neighbour."""
  probes = gallery[:: max(1, len(gallery) // 500)]
  squared = np.sort(_squared(probes, gallery), axis=1)[:, 1]
  return float(np.sqrt(max(np.median(squared), 1e-12)))


def _squared(a, b):
  return np.maximum(
    (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T, 0
  )


def _by_class(scored, gallery, onehot, sharpness):
  """Log-likelihoods `[bandwidths, draws, n, k]`, normalised within a label."""
  flat = scored.reshape(-1, scored.shape[-1])
  padded = np.pad(flat, ((0, -len(flat) % _BLOCK), (0, 0)))
  blocks = padded.reshape(-1, _BLOCK, flat.shape[1])
  # [blocks, bandwidths, block, k] to [bandwidths, blocks * block, k].
  out = np.asarray(_densities(blocks, gallery, onehot, sharpness))
  out = out.swapaxes(0, 1).reshape(len(sharpness), -1, onehot.shape[1])
  return out[:, : len(flat)].reshape(
    len(sharpness), *scored.shape[:2], onehot.shape[1]
  )


@jax.jit
def _densities(blocks, gallery, onehot, sharpness):
  def block(x):
    squared = jnp.maximum(
      (x * x).sum(1)[:, None] + (gallery * gallery).sum(1) - 2 * x @ gallery.T,
      0,
    )
    # Relative to the nearest, so that the largest term is 1: no underflow.
    squared -= squared.min(axis=1, keepdims=True)

    def one(sharp):
      total = jnp.exp(-sharp * squared) @ onehot
      return jnp.log(total / len(gallery) + 1e-12)

    return jax.lax.map(one, sharpness)

  return jax.lax.map(block, blocks)
