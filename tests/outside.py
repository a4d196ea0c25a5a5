"""An attacker of one's own: scikit-learn alone, on a file of `released/`."""

import pathlib

import numpy as np
from sklearn import ensemble, neighbors, pipeline, preprocessing

_COPIES = 4


def attackers() -> dict:
  """Ordinary attackers, with ordinary settings."""
  return {
    'extra trees': ensemble.ExtraTreesClassifier(
      200, min_samples_leaf=3, n_jobs=2, random_state=7
    ),
    'histogram boosting': ensemble.HistGradientBoostingClassifier(
      max_iter=60, random_state=7
    ),
    'k-NN': pipeline.make_pipeline(
      preprocessing.StandardScaler(), neighbors.KNeighborsClassifier(15)
    ),
  }


def best(path: pathlib.Path, attribute: str) -> dict[str, float]:
  """Test accuracy of each attacker, on fresh noise in training and in test."""
  stored = np.load(path, allow_pickle=False)
  rng = np.random.default_rng(7)
  clean, fold = stored['clean'], stored['fold']
  labels = stored[f'sensitive_{attribute}']

  def noisy(rows, count):
    x = clean[rows]
    if 'noise_cov' not in stored.files:
      return x, labels[rows]
    mean = np.zeros(x.shape[1])
    return np.concatenate(
      [
        x + rng.multivariate_normal(mean, stored['noise_cov'], len(x))
        for _ in range(count)
      ]
    ), np.tile(labels[rows], count)

  train, test = noisy(fold == 0, _COPIES), noisy(fold == 2, _COPIES)
  return {
    name: float(attacker.fit(*train).score(*test))
    for name, attacker in attackers().items()
  }
