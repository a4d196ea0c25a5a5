"""Trains an attacker on released vectors that is small enough for a browser."""

import pathlib
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import sklearn.decomposition
import sklearn.exceptions
import sklearn.linear_model
import sklearn.neural_network
import sklearn.pipeline
import sklearn.preprocessing
import threadpoolctl

from hybrid_jax import progress
from hybrid_jax.attacks import adversary, released_vectors
from hybrid_jax.datasets import dataset
from hybrid_jax.metrics import attack_accuracy

_COPIES = 4  # Noisy copies of each training vector.
# Share of the variance that PCA keeps: features may be constant, or linear
# combinations of others.
_KEPT_VARIANCE = 1 - 1e-6


def train(
  path: pathlib.Path,
  attribute: str,
  grid: float | None,
  seed: int,
  count: int,
) -> dict[str, Any]:
  """Trains logistic regressions and small networks, and returns the best.

  They learn from the training fold with fresh noise, rounded as on the edge.
  The one with the best accuracy on validation is chosen.

  Args:
    path: a file `released/*.npz`.
    attribute: the sensitive label to infer.
    grid: the step to which the edge rounds; None for no rounding.
    seed: of the noise and of the training.
    count: how many windows of one value are combined for `accuracy_by_count`.

  Returns:
    A dict for JSON: `kind`; `mean [d]`, `scale [d]` and `layers`, each with
    `weights [in, out]` and `bias [out]`, and a ReLU between them; `log_prior`,
    the log-share of each class in the training fold; `accuracy` on the test
    fold for one window; and `accuracy_by_count` for 1 and for `count` windows,
    whose log-likelihoods are added.
  """
  problem = released_vectors.read(path, 4)
  labels = problem.sensitive[attribute]
  train_rows = problem.rows(dataset.TRAIN)
  copies = _round(problem.copies(dataset.TRAIN, _COPIES, seed), grid)
  x = copies.reshape(-1, copies.shape[-1])
  y = np.tile(labels[train_rows], len(copies))
  best, best_accuracy, best_kind = None, -1.0, ''
  with threadpoolctl.threadpool_limits(1), warnings.catch_warnings():
    warnings.simplefilter('ignore', sklearn.exceptions.ConvergenceWarning)
    for kind, steps in _candidates(seed):
      pipeline = sklearn.pipeline.make_pipeline(
        sklearn.preprocessing.StandardScaler(), *steps
      ).fit(x, y)
      scores, truth = _score(
        problem, pipeline, dataset.VALIDATION, labels, grid
      )
      accuracy = float((scores.argmax(-1) == truth).mean())
      if accuracy > best_accuracy:
        best, best_accuracy, best_kind = pipeline, accuracy, kind
      progress.say(f'live: {path.stem}, {kind}: {accuracy:.1%} on validation')
    scores, truth = _score(problem, best, dataset.TEST, labels, grid)
  recording = problem.recording[problem.rows(dataset.TEST)]
  keys = ('value', 'low', 'high', 'chance')
  per_window = attack_accuracy.per_window(scores, truth, recording)
  log_prior = np.log(np.bincount(y) / len(y))
  by_count = attack_accuracy.WindowSets(truth, (1, count)).figures(
    scores - log_prior, truth
  )
  return as_layers(best) | {
    'kind': best_kind,
    'log_prior': _to_list(log_prior),
    'accuracy': {k: per_window[k] for k in keys},
    'accuracy_by_count': {
      n: {k: figures[k] for k in keys} for n, figures in by_count.items()
    },
  }


def _candidates(seed: int) -> Iterator[tuple[str, list[Any]]]:
  """Yields the name of each attacker, and its steps after the scaler."""
  for c in (0.1, 1.0, 10.0):
    yield (
      'logistic regression',
      [sklearn.linear_model.LogisticRegression(C=c, max_iter=300)],
    )
  for alpha in (0.1, 1.0):
    yield (
      'network of 128 hidden units',
      [
        sklearn.decomposition.PCA(
          _KEPT_VARIANCE, whiten=True, svd_solver='full'
        ),
        sklearn.neural_network.MLPClassifier(
          (128,), alpha=alpha, max_iter=100, random_state=seed
        ),
      ],
    )


def _score(problem: adversary.Problem, pipeline, fold, labels, grid):
  """Returns a fold's log-probabilities `[draws, n, k]` and labels `[n]`."""
  released = _round(problem.evaluation_draws[fold], grid)
  flat = released.reshape(-1, released.shape[-1])
  log_probs = np.log(np.maximum(pipeline.predict_proba(flat), 1e-12))
  return log_probs.reshape(*released.shape[:2], -1), labels[problem.rows(fold)]


def _round(released, grid):
  return released if grid is None else np.round(released / grid) * grid


def as_layers(pipeline: sklearn.pipeline.Pipeline) -> dict[str, Any]:
  """Converts a pipeline to lists; the softmax of their output is the result.

  Args:
    pipeline: a fitted `StandardScaler`, optionally a whitening `PCA`, and a
      logistic regression or a network with ReLU.
  """
  scaler, *between, classifier = [step for _, step in pipeline.steps]
  if isinstance(classifier, sklearn.neural_network.MLPClassifier):
    weights, biases = list(classifier.coefs_), list(classifier.intercepts_)
  else:
    weights, biases = [classifier.coef_.T], [classifier.intercept_]
  for pca in between:  # PCA is linear, so it can be part of the first layer.
    whitening = (pca.components_ / np.sqrt(pca.explained_variance_)[:, None]).T
    biases[0] = biases[0] - pca.mean_ @ whitening @ weights[0]
    weights[0] = whitening @ weights[0]
  if weights[-1].shape[1] == 1:  # With two classes: the logit of the second.
    weights[-1] = np.pad(weights[-1], ((0, 0), (1, 0)))
    biases[-1] = np.pad(biases[-1], (1, 0))
  return {
    'mean': _to_list(scaler.mean_),
    'scale': _to_list(scaler.scale_),
    'layers': [
      {'weights': _to_list(w), 'bias': _to_list(b)}
      for w, b in zip(weights, biases, strict=True)
    ],
  }


def _to_list(array):
  """Returns nested lists of numbers with the digits of a float32."""
  if array.ndim > 1:
    return [_to_list(row) for row in array]
  return [float(f'{v:.9g}') for v in array]
