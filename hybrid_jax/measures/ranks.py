"""Rank of the true candidate among all candidates."""

import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset
from hybrid_jax.metrics import ranking

OPTIONS = {
  'max_items': plugins.Option(
    2000, 'Largest number of test examples, evenly spaced.', low=1
  ),
}

_WIDTHS = (0.03, 0.1, 0.3, 1.0)  # multiples of Scott's bandwidth
_EVERY = 2  # every second validation example chooses the kernel
_MIN_VARIANCE = 1e-4  # of the largest variance within classes


def measure(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> dict[str, dict]:
  """Computes the linkage ranks, the class ranks, and the measures of DPFE.

  Probes are noisy releases of the test fold. In the linkage form the candidates
  are the test fold's vectors without noise, each a class of its own. In the
  class form, and for the nearest neighbour, the gallery is the training fold
  without noise, so that it shares no example with the probes.

  Args:
    problem: the attack problem.
    config: `measures.ranks`: `max_items`, the largest number of test examples;
      they are evenly spaced.
    seed: not used; the noise is that of all attackers.

  Returns:
    `linkage`: the figures of `ranking.summarise`, and `candidates`. For each
    sensitive label, under `classes`: the figures of the class form, with the
    density of the noise as the kernel, or without noise a kernel that is chosen
    on validation; and `nearest_error`, of the nearest neighbour. Each has
    `chance_mean_rank`, `(K + 1) / 2K`.
  """
  del seed
  test = np.flatnonzero(problem.rows(dataset.TEST))
  count = min(config.measures.ranks.max_items, len(test))
  chosen = adversary.evenly_spaced(len(test), count)
  probes = problem.evaluation_draws[dataset.TEST][0][chosen]
  rows = test[chosen]
  recording = problem.recording[rows]
  linkage = ranking.linkage(
    probes,
    problem.clean[rows],
    np.arange(count),
    problem.noise_scale,
    # Equal candidates are searched once: the number differs between releases.
    capacity=count,
  )
  train = problem.rows(dataset.TRAIN)
  view = problem.views['standardised']
  gallery = view(problem.clean[train])
  classes = {}
  for attribute, labels in problem.sensitive.items():
    k = int(labels.max()) + 1
    if problem.noise_scale is None:
      scores = _kernel_scores(problem, labels, k, view(probes))
    else:
      scores = ranking.class_form(
        probes,
        problem.clean[train],
        labels[train],
        k,
        problem.noise_scale,
        capacity=problem.train_capacity,
      )
    rank = ranking.from_scores(scores, labels[rows])
    nearest = ranking.nearest(
      view(probes), gallery, labels[train], capacity=problem.train_capacity
    )
    classes[attribute] = ranking.summarise(rank, k, recording) | {
      'chance_mean_rank': (k + 1) / (2 * k),
      'nearest_error': float((nearest != labels[rows]).mean()),
    }
  return {
    'linkage': ranking.summarise(linkage, count, recording)
    | {'candidates': count, 'chance_mean_rank': (count + 1) / (2 * count)},
    'classes': classes,
  }


def _kernel_scores(problem, labels, k, probes):
  """Log-likelihoods `[n, k]` by the kernel with the lowest validation rank.

  The kernel is isotropic, either in standardised features or in features whose
  covariance within the classes is the identity, as in DPFE. Its width is a
  multiple of Scott's.
  """
  train = problem.rows(dataset.TRAIN)
  validation = np.flatnonzero(problem.rows(dataset.VALIDATION))[::_EVERY]
  view = problem.views['standardised']
  gallery, gallery_label = view(problem.clean[train]), labels[train]

  def scores_of(x, matrix, width):
    mapped = gallery @ matrix
    scott = max(ranking.bandwidth(mapped), 1e-6)  # 0 for equal vectors
    return ranking.class_form(
      x @ matrix,
      mapped,
      gallery_label,
      k,
      width * scott,
      capacity=problem.train_capacity,
    )

  def mean_rank(option):
    scores = scores_of(view(problem.clean[validation]), *option)
    return ranking.from_scores(scores, labels[validation]).mean()

  matrices = (
    np.eye(gallery.shape[1], dtype=np.float32),
    _within_whitening(gallery, gallery_label),
  )
  options = [(matrix, width) for matrix in matrices for width in _WIDTHS]
  return scores_of(probes, *min(options, key=mean_rank))


def _within_whitening(x, labels):
  """The matrix that turns the covariance within classes into the identity."""
  centred = adversary.centre_by_class(x.astype(np.float64), labels)
  covariance = centred.T @ centred / len(x)
  return adversary.whitening(covariance, _MIN_VARIANCE).astype(np.float32)
