"""The attack problem of the PyTorch study, and its affine views."""

import dataclasses
import functools

import numpy as np
import sklearn.decomposition

TRAIN, VALIDATION, TEST = 0, 1, 2
_LARGEST_VIEW = 64


@dataclasses.dataclass(frozen=True)
class Problem:
  """Released vectors to attack: `clean [n, d]`, and labels `[n]` by name.

  `sigma` is the standard deviation of the noise, 0 for none. `draws` is the
  number of fresh draws of noise that score an attacker.
  """

  clean: np.ndarray
  sigma: float
  primary: np.ndarray
  sensitive: dict[str, np.ndarray]
  recording: np.ndarray
  fold: np.ndarray
  draws: int

  def rows(self, fold: int) -> np.ndarray:
    """Returns a mask of the examples of a fold, `[n]` bool."""
    return self.fold == fold

  def copies(self, fold: int, count: int, seed: int) -> np.ndarray:
    """Returns noisy copies of a fold, `[count, n, d]`; one without noise."""
    clean = self.clean[self.rows(fold)]
    if not self.sigma:
      return clean[None]
    rng = np.random.default_rng((seed, fold))
    noise = rng.standard_normal((count, *clean.shape)).astype(np.float32)
    return clean + np.float32(self.sigma) * noise

  @functools.cached_property
  def scored(self) -> dict[int, np.ndarray]:
    """The noisy vectors that score attackers, `[draws, n, d]` by fold."""
    return {f: self.copies(f, self.draws, 1) for f in (VALIDATION, TEST)}

  @functools.cached_property
  def views(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The affine views of the vectors: `mean` and `matrix` by name."""
    x = self.clean[self.rows(TRAIN)].astype(np.float64)
    mean = x.mean(0)
    std = np.sqrt(x.var(0) + self.sigma**2)
    first = np.diag(1 / np.where(std > 1e-8 * std.max(), std, np.inf))
    if len(std) > _LARGEST_VIEW:
      pca = sklearn.decomposition.PCA(
        _LARGEST_VIEW, svd_solver='randomized', random_state=0
      ).fit(((x - mean) @ first).astype(np.float32))
      rms = np.sqrt(pca.explained_variance_.mean())
      first = first @ pca.components_.T.astype(np.float64) / rms
    z, noise = (x - mean) @ first, self.sigma**2 * first.T @ first
    within = about_class_means(z, self.primary[self.rows(TRAIN)])
    return {
      'standardised': (mean, first),
      'whitened': (mean, first @ whitening(z.T @ z / len(z) + noise)),
      'within': (
        mean,
        first @ whitening(within.T @ within / len(z) + noise),
      ),
    }

  def see(self, view: str, x: np.ndarray) -> np.ndarray:
    """Returns `x [..., d]` in one of `views`."""
    mean, matrix = self.views[view]
    return ((x - mean) @ matrix).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Attack:
  """Log-probabilities `[draws, n, k]` of one attacker on one label."""

  adversary: str
  attribute: str
  validation: np.ndarray
  test: np.ndarray


def about_class_means(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """Returns `x [n, d]` minus the mean of its class."""
  out = x.copy()
  for label in np.unique(labels):
    out[labels == label] -= out[labels == label].mean(0)
  return out


def whitening(covariance: np.ndarray, least: float = 1e-5) -> np.ndarray:
  """Returns the matrix that turns a covariance into the identity."""
  values, vectors = np.linalg.eigh(covariance)
  return vectors / np.sqrt(np.maximum(values, max(least * values[-1], 1e-12)))
