"""The ceiling and the ranks of `benchmarks.pytorch.study`.

The ceiling is computed by the NumPy code of `launch.study`, so that both sides
take the same time for it.
"""

import itertools
from typing import Any

import numpy as np
import torch  # pyrefly: ignore[missing-import]

from benchmarks.pytorch import study_problem
from benchmarks.pytorch.study_problem import TEST, TRAIN, VALIDATION
from hybrid_jax.metrics import bayes_ceiling, bootstrap

_QUANTILES = (0.5, 0.7, 0.8, 0.9, 0.98)
_WIDTHS = (0.03, 0.1, 0.3, 1.0)  # times Scott's bandwidth

Problem = study_problem.Problem
Figures = dict[str, Any]


def ceilings(problem: Problem, settings: dict[str, Any]) -> Figures:
  """Returns the ceiling of each label, for one release and for several."""
  noisy = problem.sigma > 0
  released = problem.clean.astype(np.float64) / (problem.sigma or 1)
  train = problem.rows(TRAIN)
  centres = np.stack(
    [
      released[train & (problem.primary == y)].mean(0)
      for y in np.unique(problem.primary[train])
    ]
  )
  out = {}
  for attribute, labels in problem.sensitive.items():
    out[attribute] = {}
    # Without noise all releases of an input are equal.
    for count in settings['releases'] if noisy else [1]:
      cell = (
        _cells(problem, released, centres, labels, count)
        if noisy
        else bayes_ceiling.distinct(released)
      )
      people = bayes_ceiling.Population(
        released, problem.primary, labels, problem.recording, cell, noisy
      )
      out[attribute][str(count)] = bayes_ceiling.measure(
        people.take(problem.rows(TEST)), count
      )
  return out


def _cells(problem, released, centres, labels, releases):
  held = problem.rows(VALIDATION)
  squared = np.square(released[held][:, None] - centres).sum(-1)
  radii = np.quantile(np.sqrt(squared.min(1)), _QUANTILES)
  best, least = (), np.inf
  for count in range(3):
    for option in itertools.combinations(radii, count):
      people = bayes_ceiling.Population(
        released[held],
        problem.primary[held],
        labels[held],
        problem.recording[held],
        bayes_ceiling.cells(released[held], centres, option),
      )
      value = bayes_ceiling.bounds(people, releases)['cells']
      if value < least:
        best, least = option, value
  return bayes_ceiling.cells(released, centres, best)


@torch.inference_mode()
def ranks(problem: Problem, settings: dict[str, Any]) -> Figures:
  """Ranks the true input and the true class among all candidates."""
  test = np.flatnonzero(problem.rows(TEST))
  count = min(settings['max_items'], len(test))
  chosen = np.linspace(0, len(test) - 1, count).round().astype(int)
  rows, train = test[chosen], problem.rows(TRAIN)
  recording = problem.recording[rows]
  probes = problem.scored[TEST][0][chosen]
  x, candidates, known = (
    torch.as_tensor(a)
    for a in (probes, problem.clean[rows], problem.clean[train])
  )
  # By differences: rounding in a Gram matrix can rank another vector first.
  exact = 'donot_use_mm_for_euclid_dist'
  distance = torch.cdist(x, candidates, compute_mode=exact)
  linkage = _ranks(-distance, torch.arange(count))
  out = {'linkage': _summary(linkage, count, recording), 'classes': {}}
  viewed, gallery = (
    torch.as_tensor(problem.see('standardised', a))
    for a in (probes, problem.clean[train])
  )
  near = torch.cdist(viewed, gallery).argmin(1).cpu().numpy()
  for attribute, labels in problem.sensitive.items():
    classes = int(labels.max()) + 1
    if problem.sigma:
      scores = _class_form(x, known, labels[train], classes, problem.sigma)
    else:
      scores = _by_kernel(problem, labels, classes, viewed, gallery)
    place = _ranks(scores, torch.as_tensor(labels[rows]).long())
    wrong = labels[train][near] != labels[rows]
    out['classes'][attribute] = _summary(place, classes, recording) | {
      'nearest_error': float(wrong.mean())
    }
  return out


def _ranks(scores, truth):
  true = scores.gather(1, truth[:, None])
  tied = (scores == true).sum(1) - 1
  return (1 + (scores > true).sum(1) + tied / 2).cpu().numpy()


def _class_form(probes, gallery, labels, classes, scale):
  """Returns log-likelihoods `[n, classes]` of `probes [n, d]`."""
  log = -0.5 * torch.cdist(probes / scale, gallery / scale).square()
  members = [
    torch.as_tensor(np.flatnonzero(labels == c)) for c in range(classes)
  ]
  each = [log[:, m].logsumexp(1) - np.log(len(m)) for m in members]
  return torch.stack(each, 1)


def _by_kernel(problem, labels, classes, probes, gallery):
  """Returns `_class_form` with the kernel that is best on validation."""
  train_labels = labels[problem.rows(TRAIN)]
  held = np.flatnonzero(problem.rows(VALIDATION))[::2]
  viewed = torch.as_tensor(problem.see('standardised', problem.clean[held]))
  truth = torch.as_tensor(labels[held]).long()
  centred = study_problem.about_class_means(
    gallery.cpu().numpy().astype(np.float64), train_labels
  )
  within = study_problem.whitening(
    centred.T @ centred / len(train_labels), 1e-4
  )
  best, least = None, np.inf
  for matrix in (torch.eye(gallery.shape[1]), torch.as_tensor(within).float()):
    known = gallery @ matrix
    m, d = known.shape
    scott = float(known.var(0).mean().sqrt()) * m ** (-1 / (d + 4))
    for width in _WIDTHS:
      scale = width * max(scott, 1e-6)
      scores = _class_form(viewed @ matrix, known, train_labels, classes, scale)
      rank = _ranks(scores, truth).mean()
      if rank < least:
        best, least = (matrix, scale), rank
  matrix, scale = best
  return _class_form(
    probes @ matrix, gallery @ matrix, train_labels, classes, scale
  )


def _summary(rank, candidates, group):
  figures = {
    'mean_rank': rank / candidates,
    'log_rank': np.log(rank) / np.log(candidates),
    'top1': (rank == 1).astype(float),
  }
  return {
    name: vars(bootstrap.mean(values, group))
    for name, values in figures.items()
  }


ALL = {'ceiling': ceilings, 'ranks': ranks}
