"""What an adversary is given, what it gives back, and how features are seen.

An adversary is one file beside this one with
`attack(problem, config, seed) -> Iterator[Attack]`. It may use the training
fold as it likes and choose among its variants on validation; the test fold is
for the final figure alone. It never touches the edge: features are constants.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import sklearn.decomposition

from hybrid_jax import errors
from hybrid_jax.datasets import dataset, sources

VIEWS = ('standardised', 'whitened', 'within')
_LARGEST_VIEW = 64
_FLOOR = 1e-5


@dataclasses.dataclass(frozen=True)
class Problem:
  """Released vectors to attack.

  The attacker knows the law of the noise: it trains on fresh draws, and is
  scored on fresh draws that are the same for every attacker.

  Attributes:
    clean: `[n, d]`, what is released without its noise, before it is drawn.
    noise_scale: `[d, d]`, lower triangular, of the noise; `None` without any.
    primary: `[n]`, the primary labels.
    sensitive: name to `[n]`, the labels to find.
    recording: `[n]`.
    fold: `[n]`, see `datasets.dataset`.
    draws: how many fresh draws of the noise score an attacker.
    behind: the layers that what is released goes on to, for a number of
      outputs; `None` where the network is not known.
    uncensored: `[n, e]`, what the network without a defence would release.
    x: `[n, ...]`, the normalized inputs; `None` where they are not known.
    edge: `x [b, ...]` to what is released without noise `[b, d]`, jittable.
    drawn: fold to `[copies, n, d]`, what a device itself released; where they
      are there, attackers are scored on these and train on these.
  """

  clean: np.ndarray
  noise_scale: np.ndarray | None
  primary: np.ndarray
  sensitive: Mapping[str, np.ndarray]
  recording: np.ndarray
  fold: np.ndarray
  draws: int = 4
  behind: Callable[[int], 'Behind'] | None = None
  uncensored: np.ndarray | None = None
  x: np.ndarray | sources.Source | None = None
  edge: Callable[[jax.Array], jax.Array] | None = None
  drawn: Mapping[int, np.ndarray] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    if not np.isfinite(self.clean).all():
      raise errors.UserError('the released vectors hold NaN or infinity.')

  def rows(self, fold: int) -> np.ndarray:
    """`[n]` bool: the examples of a fold."""
    return self.fold == fold

  def copies(self, fold: int, count: int, seed: int) -> np.ndarray:
    """`[count, n, d]`: noisy copies of a fold; one copy where there is none.

    A device's own are no more than were drawn.
    """
    if fold in self.drawn:
      return self.drawn[fold][:count]
    clean = self.clean[self.rows(fold)]
    if self.noise_scale is None:
      return clean[None]
    rng = np.random.default_rng((seed, fold))
    noise = rng.standard_normal((count, *clean.shape)).astype(np.float32)
    return clean + noise @ self.noise_scale.T

  @functools.cached_property
  def scored(self) -> dict[int, np.ndarray]:
    """Fold to `[draws, n, d]`: what every attacker is scored on."""
    return {
      fold: self.copies(fold, self.draws, seed=1)
      for fold in (dataset.VALIDATION, dataset.TEST)
    }

  @functools.cached_property
  def views(self) -> dict[str, 'View']:
    """The ways in which an attacker rescales the vectors; see `fit_views`."""
    return fit_views(self)


@dataclasses.dataclass(frozen=True)
class Behind:
  """The network behind the cut, to be trained for the secret.

  Attributes:
    starts: name to `init(key) -> params`: where training may start.
    apply: `(params, released [b, d]) -> logits`.
  """

  starts: Mapping[str, Callable[[jax.Array], Any]]
  apply: Callable[[Any, jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class View:
  """An affine map of released vectors: `(r - mean) @ matrix`."""

  mean: np.ndarray
  matrix: np.ndarray

  def __call__(self, released: np.ndarray) -> np.ndarray:
    """`[..., d]` to `[..., d_view]`."""
    return ((released - self.mean) @ self.matrix).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Attack:
  """One trained attacker's log-probabilities for one sensitive label.

  Attributes:
    adversary: who, for a person to read: `'mlp 64, whitened, seed 2'`.
    attribute: which sensitive label.
    validation: `[draws, n, k]` on the validation fold.
    test: `[draws, n, k]` on the test fold.
  """

  adversary: str
  attribute: str
  validation: np.ndarray
  test: np.ndarray


def fit_views(problem: Problem) -> dict[str, View]:
  """Three affine views, each fitted on the training fold and the noise's law.

  `standardised`: each feature to unit variance. `whitened`: the covariance to
  the identity. `within`: the covariance within the primary classes to the
  identity, which undoes a collapse of each class to a point. Wide features are
  first projected on their leading principal components.
  """
  train = problem.rows(dataset.TRAIN)
  x = problem.clean[train].astype(np.float64)
  d = x.shape[1]
  noise = np.zeros((d, d))
  if problem.noise_scale is not None:
    scale = problem.noise_scale.astype(np.float64)
    noise = scale @ scale.T
  mean = x.mean(axis=0)
  std = np.sqrt(x.var(axis=0) + np.diag(noise))
  first = np.diag(1 / np.where(std > 1e-8 * std.max(), std, np.inf))
  if d > _LARGEST_VIEW:
    pca = sklearn.decomposition.PCA(
      min(_LARGEST_VIEW, len(x)), svd_solver='randomized', random_state=0
    ).fit(((x - mean) @ first).astype(np.float32))
    rms = np.sqrt(pca.explained_variance_.mean())
    first = first @ pca.components_.T.astype(np.float64) / rms
  z = (x - mean) @ first
  noise = first.T @ noise @ first
  centred = about_class_means(z, problem.primary[train])
  return {
    'standardised': View(mean, first),
    'whitened': View(mean, first @ whitening(z.T @ z / len(z) + noise)),
    'within': View(
      mean, first @ whitening(centred.T @ centred / len(z) + noise)
    ),
  }


def about_class_means(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """`x [n, d]` less the mean of its class."""
  out = x.copy()
  for label in np.unique(labels):
    members = labels == label
    out[members] -= out[members].mean(axis=0)
  return out


def whitening(covariance: np.ndarray, least: float = _FLOOR) -> np.ndarray:
  """The matrix `[d, d]` that turns a covariance into the identity.

  Variances below `least` of the largest count as that much.
  """
  values, vectors = np.linalg.eigh(covariance)
  floor = max(least * values[-1], 1e-12)
  return vectors / np.sqrt(np.maximum(values, floor))
