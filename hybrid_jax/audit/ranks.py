"""Rank measures: where the true one stands among all candidates."""

import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset
from hybrid_jax.metrics import ranking

OPTIONS = {
  'items': plugins.Option(
    2000, 'Examples of the test fold, spread evenly, at most.', low=1
  ),
}

_WIDTHS = (0.03, 0.1, 0.3, 1.0)  # of Scott's
_EVERY = 2  # validation examples
_FLOOR = 1e-4  # of the largest variance within classes


def measure(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> dict[str, dict]:
  """The linkage form, the class form, and DPFE's measures.

  Probes are fresh noisy releases of the test fold. For the class form, the
  kernel densities and 1-NN the gallery is the training fold without noise,
  disjoint from the probes; for the linkage form the candidates are the test
  fold's own vectors without noise, each a class of its own.

  Args:
    problem: what is attacked.
    config: `measures.ranks`: `items`, how many of the test fold, spread evenly,
      at most.
    seed: not used; the noise is that of all attackers.

  Returns:
    `linkage`: `ranks.summarise`'s figures and `candidates`; and for each
    sensitive label, under `classes`, `class_form` with the noise's own density
    (without any a kernel, whose width is chosen on validation), each with
    `chance_mean_rank`, `(K + 1) / 2K`, and `nearest_error`, of 1-NN.
  """
  del seed
  test = np.flatnonzero(problem.rows(dataset.TEST))
  most = min(config.measures.ranks['items'], len(test))
  chosen = np.linspace(0, len(test) - 1, most).round().astype(int)
  probes = problem.scored[dataset.TEST][0][chosen]
  rows = test[chosen]
  recording = problem.recording[rows]
  found = ranking.linkage(
    probes, problem.clean[rows], np.arange(most), problem.noise_scale
  )
  train = problem.rows(dataset.TRAIN)
  view = problem.views['standardised']
  gallery = view(problem.clean[train])
  classes = {}
  for attribute, labels in problem.sensitive.items():
    k = int(labels.max()) + 1
    if problem.noise_scale is None:
      scores = _by_kernel(problem, labels, k, view(probes))
    else:
      scores = ranking.class_form(
        probes, problem.clean[train], labels[train], k, problem.noise_scale
      )
    by_class = ranking.from_scores(scores, labels[rows])
    near = ranking.nearest(view(probes), gallery, labels[train])
    classes[attribute] = ranking.summarise(by_class, k, recording) | {
      'chance_mean_rank': (k + 1) / (2 * k),
      'nearest_error': float((near != labels[rows]).mean()),
    }
  return {
    'linkage': ranking.summarise(found, most, recording)
    | {'candidates': most, 'chance_mean_rank': (most + 1) / (2 * most)},
    'classes': classes,
  }


def _by_kernel(problem, labels, k, probes):
  """Log-likelihoods `[n, k]` by the kernel with the least rank on validation.

  No noise gives a unit. It is that of standardised features, or that in which
  each class has unit covariance, as in DPFE; and a share of Scott's width.
  """
  train = problem.rows(dataset.TRAIN)
  held = np.flatnonzero(problem.rows(dataset.VALIDATION))[::_EVERY]
  view = problem.views['standardised']
  gallery, own = view(problem.clean[train]), labels[train]

  def scored(x, matrix, width):
    known = gallery @ matrix
    scott = max(ranking.bandwidth(known), 1e-6)  # Of equal vectors it is 0.
    return ranking.class_form(x @ matrix, known, own, k, width * scott)

  def mean_rank(option):
    scores = scored(view(problem.clean[held]), *option)
    return ranking.from_scores(scores, labels[held]).mean()

  matrices = (np.eye(gallery.shape[1], dtype=np.float32), _within(gallery, own))
  options = [(m, w) for m in matrices for w in _WIDTHS]
  return scored(probes, *min(options, key=mean_rank))


def _within(x, labels):
  """The matrix that makes the covariance within classes the identity."""
  centred = adversary.about_class_means(x.astype(np.float64), labels)
  covariance = centred.T @ centred / len(x)
  return adversary.whitening(covariance, _FLOOR).astype(np.float32)
