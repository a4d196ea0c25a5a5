"""A small attacker that a browser can run: who is behind a released vector."""

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
_KEPT = 1 - 1e-6  # Of the variance: features may be dead, or depend on others.


def train(
  path: pathlib.Path,
  attribute: str,
  grid: float | None,
  seed: int,
  count: int,
) -> dict[str, Any]:
  """A small attacker on a file of released vectors, as JSON can hold it.

  Logistic regressions and networks of one hidden layer learn from the training
  fold with fresh noise, rounded as the edge does; the one that does best on
  validation is it.

  Args:
    path: of `released/*.npz`.
    attribute: the label to find.
    grid: what the edge rounds to; `None` for no rounding.
    seed: of the noise and of the training.
    count: how many windows of one value it may add up, for `found_by_count`.

  Returns:
    `kind`; `mean [d]`, `scale [d]` and `layers`, each `weights [in, out]` and
    `bias [out]`, with ReLU between them; `found`, its accuracy on the test
    fold by one window, and `found_by_count`, by 1 and by `count`.
  """
  problem = released_vectors.read(path, 4)
  labels = problem.sensitive[attribute]
  train = problem.rows(dataset.TRAIN)
  copies = _rounded(problem.copies(dataset.TRAIN, _COPIES, seed), grid)
  x = copies.reshape(-1, copies.shape[-1])
  y = np.tile(labels[train], len(copies))
  best, best_right, kind = None, -1.0, ''
  with threadpoolctl.threadpool_limits(1), warnings.catch_warnings():
    warnings.simplefilter('ignore', sklearn.exceptions.ConvergenceWarning)
    for name, steps in _candidates(seed):
      fitted = sklearn.pipeline.make_pipeline(
        sklearn.preprocessing.StandardScaler(), *steps
      ).fit(x, y)
      found, truth = _score(problem, fitted, dataset.VALIDATION, labels, grid)
      right = float((found.argmax(-1) == truth).mean())
      if right > best_right:
        best, best_right, kind = fitted, right, name
      progress.say(f'live: {path.stem}, {name}: {right:.1%} on validation')
    found, truth = _score(problem, best, dataset.TEST, labels, grid)
  recording = problem.recording[problem.rows(dataset.TEST)]
  keys = ('value', 'low', 'high', 'chance')
  by_count = attack_accuracy.by_windows(found, truth, truth, (1, count))
  return as_layers(best) | {
    'kind': kind,
    'found': {
      k: attack_accuracy.per_window(found, truth, recording)[k] for k in keys
    },
    'found_by_count': {
      n: {k: figures[k] for k in keys} for n, figures in by_count.items()
    },
  }


def _candidates(seed: int) -> Iterator[tuple[str, list[Any]]]:
  """What each is called, and its steps after the scaler."""
  for c in (0.1, 1.0, 10.0):
    yield (
      'logistic regression',
      [sklearn.linear_model.LogisticRegression(C=c, max_iter=300)],
    )
  for alpha in (0.1, 1.0):
    yield (
      'network of 128 hidden units',
      [
        sklearn.decomposition.PCA(_KEPT, whiten=True, svd_solver='full'),
        sklearn.neural_network.MLPClassifier(
          (128,), alpha=alpha, max_iter=100, random_state=seed
        ),
      ],
    )


def _score(problem: adversary.Problem, fitted, fold, labels, grid):
  """Log-probabilities `[draws, n, k]` of a fold, and its labels `[n]`."""
  scored = _rounded(problem.scored[fold], grid)
  found = fitted.predict_proba(scored.reshape(-1, scored.shape[-1]))
  log_probs = np.log(np.maximum(found, 1e-12))
  return log_probs.reshape(*scored.shape[:2], -1), labels[problem.rows(fold)]


def _rounded(released, grid):
  return released if grid is None else np.round(released / grid) * grid


def as_layers(fitted: sklearn.pipeline.Pipeline) -> dict[str, Any]:
  """A pipeline as plain lists; softmax of what they give are the shares.

  Args:
    fitted: of a `StandardScaler`, a whitening `PCA` or none, and a logistic
      regression or a network of ReLU.
  """
  scaler, *between, classifier = [step for _, step in fitted.steps]
  if isinstance(classifier, sklearn.neural_network.MLPClassifier):
    weights, biases = list(classifier.coefs_), list(classifier.intercepts_)
  else:
    weights, biases = [classifier.coef_.T], [classifier.intercept_]
  for pca in between:  # Linear, and so a part of the first layer.
    whitened = (pca.components_ / np.sqrt(pca.explained_variance_)[:, None]).T
    biases[0] = biases[0] - pca.mean_ @ whitened @ weights[0]
    weights[0] = whitened @ weights[0]
  if weights[-1].shape[1] == 1:  # Of two classes, the odds of the second.
    weights[-1] = np.pad(weights[-1], ((0, 0), (1, 0)))
    biases[-1] = np.pad(biases[-1], (1, 0))
  return {
    'mean': _plain(scaler.mean_),
    'scale': _plain(scaler.scale_),
    'layers': [
      {'weights': _plain(w), 'bias': _plain(b)}
      for w, b in zip(weights, biases, strict=True)
    ],
  }


def _plain(array):
  """Nested lists of numbers with the digits of a float32."""
  if array.ndim > 1:
    return [_plain(row) for row in array]
  return [float(f'{v:.9g}') for v in array]
