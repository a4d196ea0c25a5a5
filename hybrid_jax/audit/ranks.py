"""Rank measures: where the true one stands among all candidates."""

import ml_collections
import numpy as np

from hybrid_jax.adversaries import base as adversaries
from hybrid_jax.datasets import base as datasets
from hybrid_jax.metrics import ranks


def measure(
  problem: adversaries.Problem, config: ml_collections.ConfigDict, seed: int
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
    (a kernel of Scott's width where there is none), each with
    `chance_mean_rank`, `(K + 1) / 2K`, and `nearest_error`, of 1-NN.
  """
  del seed
  test = np.flatnonzero(problem.rows(datasets.TEST))
  most = min(config.measures.ranks['items'], len(test))
  chosen = np.linspace(0, len(test) - 1, most).round().astype(int)
  probes = problem.scored[datasets.TEST][0][chosen]
  rows = test[chosen]
  recording = problem.recording[rows]
  found = ranks.linkage(
    probes, problem.clean[rows], np.arange(most), problem.noise_scale
  )
  train = problem.rows(datasets.TRAIN)
  # Both in the standardised view where there is no noise to give a unit.
  gallery, scale = problem.clean[train], problem.noise_scale
  if scale is None:
    view = problem.views['standardised']
    gallery, probes = view(gallery), view(probes)
    scale = max(ranks.bandwidth(gallery), 1e-6)  # Of equal vectors it is 0.
  classes = {}
  for attribute, labels in problem.sensitive.items():
    k = int(labels.max()) + 1
    scores = ranks.class_form(probes, gallery, labels[train], k, scale)
    by_class = ranks.from_scores(scores, labels[rows])
    near = ranks.nearest(probes, gallery, labels[train])
    classes[attribute] = ranks.summarise(by_class, k, recording) | {
      'chance_mean_rank': (k + 1) / (2 * k),
      'nearest_error': float((near != labels[rows]).mean()),
    }
  return {
    'linkage': ranks.summarise(found, most, recording)
    | {'candidates': most, 'chance_mean_rank': (most + 1) / (2 * most)},
    'classes': classes,
  }
