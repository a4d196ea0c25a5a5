"""Verification: do two streams of windows come from the same person?"""

from typing import Any

import numpy as np

from hybrid_jax.metrics import bootstrap

_SHRINKAGE = 0.05  # towards a multiple of the identity
_MOST = 16  # dimensions that are modelled


def trial_streams(
  person: np.ndarray, recording: np.ndarray, count: int, repeats: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Draws streams of windows, two kinds for each person.

  The recordings of a person are halved, so that two streams of different kinds
  share no recording. With a single recording its windows are halved, in order.

  Args:
    person: `[n]`.
    recording: `[n]`.
    count: windows in a stream. Of a half with fewer windows all are taken.
    repeats: streams of each person and kind.

  Returns:
    `[streams, count]` rows, padded with -1; the person and the kind (0 or 1) of
    each stream.
  """
  rng = np.random.default_rng((1, count))
  streams, people, kinds = [], [], []
  for p in np.unique(person):
    rows = np.flatnonzero(person == p)
    parts = [rows[recording[rows] == r] for r in np.unique(recording[rows])]
    if len(parts) == 1:
      parts = np.array_split(rows, 2)
    for kind in range(2):
      half = np.concatenate(parts[kind::2])
      for _ in range(repeats):
        drawn = rng.permutation(half)[:count]
        streams.append(
          np.pad(drawn, (0, count - len(drawn)), constant_values=-1)
        )
        people.append(p)
        kinds.append(kind)
  return np.array(streams), np.array(people), np.array(kinds)


def pool(values: np.ndarray, streams: np.ndarray, mean: bool) -> np.ndarray:
  """Returns the sum or mean `[draws, streams, d]` of each stream's windows.

  Args:
    values: `[draws, n, d]`.
    streams: `[streams, count]`, padded with -1.
    mean: whether to divide by the number of windows.
  """
  padded = np.concatenate([values, np.zeros_like(values[:, :1])], axis=1)
  total = padded[:, streams].sum(axis=2)
  return total / (streams >= 0).sum(axis=1)[:, None] if mean else total


class GaussianScorer:
  """Log-likelihood ratio of two Gaussian levels: people, and their streams.

  The two-covariance model of speaker verification; Brümmer and de Villiers,
  "The speaker partitioning problem", Odyssey 2010. A stream's mean is the
  person's place (covariance `B`) plus what varies between streams of a person
  (covariance `W`).
  """

  def __init__(self, means: np.ndarray, person: np.ndarray):
    """Fits the model on people who are not verified.

    Args:
      means: `[m, d]`, means of streams.
      person: `[m]`, two people or more.
    """
    self._centre = means.mean(axis=0)
    x = means - self._centre
    places = np.stack([x[person == p].mean(axis=0) for p in np.unique(person)])
    inner = x - places[np.unique(person, return_inverse=True)[1]]
    within = _shrink(inner.T @ inner / max(len(x) - len(places), 1))
    between = places.T @ places / len(places)
    # Both are diagonal in this basis: within is the identity.
    values, vectors = np.linalg.eigh(within)
    whiten = vectors / np.sqrt(values)
    spread, turn = np.linalg.eigh(whiten.T @ between @ whiten)
    order = np.argsort(spread)[::-1][:_MOST]
    self._matrix = whiten @ turn[:, order]
    self._between = np.maximum(spread[order], 0)

  def __call__(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Scores pairs: `[draws, s, d]` and `[draws, t, d]` to `[draws, s, t]`."""
    a, b = ((x - self._centre) @ self._matrix for x in (a, b))
    total, shared = self._between + 1, self._between
    determinant = total**2 - shared**2
    # Log N([a, b]; same) - log N([a, b]; different), for each dimension.
    square = total / determinant - 1 / total
    cross = 2 * shared / determinant
    quadratic = (
      (np.square(a) @ square)[:, :, None]
      + (np.square(b) @ square)[:, None]
      - np.einsum('rsd,rtd,d->rst', a, b, cross)
    )
    return -0.5 * (quadratic + np.log(determinant / total**2).sum())


def posterior_scores(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Scores pairs by the probability that an attacker names one person twice.

  Args:
    a: `[draws, s, k]`, log-probabilities of the people.
    b: `[draws, t, k]`.

  Returns:
    `[draws, s, t]`, log-probabilities.
  """
  a, b = (x - np.logaddexp.reduce(x, axis=-1, keepdims=True) for x in (a, b))
  return np.logaddexp.reduce(a[:, :, None] + b[:, None], axis=-1)


def by_person(
  scores: np.ndarray, person: np.ndarray, other: np.ndarray
) -> dict[str, np.ndarray]:
  """Computes ROC area and equal error rate for each person.

  A person's trials are all pairs with one of its streams.

  Args:
    scores: `[draws, s, t]`.
    person: `[s]`.
    other: `[t]`.

  Returns:
    `auc` and `eer`, `[people]`, in the order of the people.
  """
  same = person[:, None] == other
  areas, errors = [], []
  for p in np.unique(person):
    trials = (person == p)[:, None] | (other == p)
    truth = np.broadcast_to(same, scores.shape)[:, trials].ravel()
    area, error = roc(scores[:, trials].ravel(), truth)
    areas.append(area)
    errors.append(error)
  return {'auc': np.array(areas), 'eer': np.array(errors)}


def roc(scores: np.ndarray, same: np.ndarray) -> tuple[float, float]:
  """Returns the area under the ROC curve, and the equal error rate.

  Args:
    scores: `[n]`, higher for the same person.
    same: `[n]` bool, of both kinds.
  """
  import sklearn.metrics  # Imported here: it is slow.

  false_alarms, hits, _ = sklearn.metrics.roc_curve(same, scores)
  misses = 1 - hits
  # The curve is linear between its points; the rates cross on one segment.
  last = int(np.argmax(false_alarms >= misses))
  step = max(last - 1, 0)
  gap = (misses - false_alarms)[[step, last]]
  share = gap[0] / (gap[0] - gap[1]) if gap[0] != gap[1] else 0.0
  error = misses[step] + share * (misses[last] - misses[step])
  return float(sklearn.metrics.auc(false_alarms, hits)), float(error)


def summarise(figures: dict[str, np.ndarray]) -> dict[str, Any]:
  """Returns `auc` and `eer` as means over people with 95 % intervals.

  Args:
    figures: see `by_person`, of all people.
  """
  out = {}
  for name, values in figures.items():
    estimate = bootstrap.mean(values, np.arange(len(values)))
    out[name] = {
      'value': estimate.value,
      'low': estimate.low,
      'high': estimate.high,
    }
  return out


def _shrink(covariance):
  """Moves a covariance a little towards a multiple of the identity."""
  size = len(covariance)
  level = max(np.trace(covariance) / size, 1e-12)
  return (1 - _SHRINKAGE) * covariance + _SHRINKAGE * level * np.eye(size)
