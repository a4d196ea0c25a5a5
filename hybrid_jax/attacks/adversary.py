"""Problem, views and results shared by all adversaries and reconstructions.

An adversary is one file in this folder with
`attack(problem, config, seed) -> Iterator[Attack]`; it predicts the sensitive
labels. A reconstruction is one file with
`reconstruct(problem, config, seed) -> (items, rebuilt)`; it rebuilds the inputs
of the test fold. `items [m]` are the attacked rows of that fold, in order;
`rebuilt [m, ...]` are their inputs, in the shape and units of `problem.x`.

Both train on the training fold and choose among their variants on validation.
The chosen adversaries then learn again on both folds (`Problem.relearn`). The
test fold is for the final figure alone. Neither changes the edge: features are
constants.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from hybrid_jax import errors
from hybrid_jax.datasets import dataset, padding, sources

VIEWS = ('standardised', 'whitened', 'within')
_LARGEST_VIEW = 64
_MIN_VARIANCE = 1e-5  # of the largest variance
_MIN_STD = 1e-3  # of the largest standard deviation
_EVALUATION_SEED = 1


@dataclasses.dataclass(frozen=True)
class Problem:
  """Released vectors to attack, and what the attacker knows.

  The attacker knows the distribution of the noise. It trains on fresh draws of
  it, and is evaluated on fresh draws that are the same for every attacker.

  Attributes:
    clean: `[n, d]`, the released vectors without noise.
    noise_scale: `L [d, d]`, lower triangular: the noise is `L e` with `e`
      standard normal; `None` without noise.
    primary: `[n]`, the primary labels.
    sensitive: name to `[n]`, the labels to predict.
    recording: `[n]`, the recording of each example.
    fold: `[n]`, see `datasets.dataset.FOLDS`.
    draws: the number of noise draws that an attacker is evaluated on.
    cloud: number of outputs to the cloud half with that many outputs; `None`
      if the network is unknown.
    uncensored: `[n, e]`, the vectors that the network without a defence would
      release; `None` if unknown.
    x: `[n, ...]`, the normalised inputs; `None` if unknown.
    edge: `x [b, ...]` to released vectors without noise `[b, d]`, jittable;
      `None` if unknown. As a `jax.tree_util.Partial` of one function and its
      weights, problems of one shape share a compilation.
    device_releases: fold to `[copies, n, d]`, noisy vectors that a device
      released; attackers train and are evaluated on these where present.
    relearning: the attacks to learn again, on the training and the validation
      fold; `None` for all attacks, learnt on the training fold. See `relearn`.
    capacity: numbers of rows to which arrays of training and of evaluation
      draws are padded at least. Problems of one capacity share their programs.
  """

  clean: np.ndarray
  noise_scale: np.ndarray | None
  primary: np.ndarray
  sensitive: Mapping[str, np.ndarray]
  recording: np.ndarray
  fold: np.ndarray
  draws: int = 4
  cloud: Callable[[int], 'TrainableCloud'] | None = None
  uncensored: np.ndarray | None = None
  x: np.ndarray | sources.Source | None = None
  edge: Callable[[jax.Array], jax.Array] | None = None
  device_releases: Mapping[int, np.ndarray] = dataclasses.field(
    default_factory=dict
  )
  relearning: 'Sequence[Attack] | None' = None
  capacity: tuple[int, int] = (0, 0)

  def __post_init__(self):
    if not np.isfinite(self.clean).all():
      raise errors.UserError('the released vectors hold NaN or infinity.')
    arrays = {
      'primary': self.primary,
      'recording': self.recording,
      'fold': self.fold,
      **self.sensitive,
    }
    if self.x is not None:
      arrays['x'] = self.x
    for name, array in arrays.items():
      if len(array) != len(self.clean):
        raise errors.UserError(
          f'{name!r} has {len(array)} entries, but there are'
          f' {len(self.clean)} released vectors.'
        )

  def rows(self, fold: int) -> np.ndarray:
    """Returns a mask `[n]` of the examples of a fold.

    Those of `TRAIN` are what attackers learn from: the fold `dataset.ATTACK`
    where there is one, or else the training fold; and when they learn again,
    also validation.
    """
    if fold == dataset.TRAIN:
      return np.isin(self.fold, self._learning_folds)
    return self.fold == fold

  @property
  def _learning_folds(self):
    held_back = (self.fold == dataset.ATTACK).any()
    first = dataset.ATTACK if held_back else dataset.TRAIN
    return (first,) if self.relearning is None else (first, dataset.VALIDATION)

  def relearn(self, attacks: 'Sequence[Attack]') -> 'Problem':
    """Returns the problem of learning chosen attacks again, on all labels.

    An attacker that has chosen on validation has no more use for it but to
    learn from it. What attacks predict on validation then means nothing.

    Args:
      attacks: the chosen attacks; no others are wanted.
    """
    return dataclasses.replace(self, relearning=tuple(attacks))

  def chosen(self, name: str, attribute: str) -> 'Attack | None':
    """Returns the attack to learn again with this name and label, if any."""
    for attack in self.relearning or ():
      if (attack.adversary, attack.attribute) == (name, attribute):
        return attack
    return None

  def wants(self, name: str, attribute: str) -> bool:
    """Returns whether an attack is wanted: all are, or those to learn again.

    Args:
      name: as `Attack.adversary`.
      attribute: the sensitive label.
    """
    return self.relearning is None or self.chosen(name, attribute) is not None

  def wanted(self, names: Mapping[Any, str]) -> list[tuple[str, Any]]:
    """Returns the wanted attacks as pairs of a label and a variant.

    Args:
      names: each variant of an adversary to its `Attack.adversary`.
    """
    return [
      (attribute, variant)
      for attribute in self.sensitive
      for variant, name in names.items()
      if self.wants(name, attribute)
    ]

  def copies(self, fold: int, count: int, seed: int) -> np.ndarray:
    """Returns noisy copies of a fold: `[count, n, d]`.

    Without noise there is one copy. Of a device's releases there are at most
    as many copies as the device made.
    """
    if self.device_releases:
      return self._device_copies(fold)[:count]
    clean = self.clean[self.rows(fold)]
    if self.noise_scale is None:
      return clean[None]
    rng = np.random.default_rng((seed, fold))
    noise = rng.standard_normal((count, *clean.shape)).astype(np.float32)
    return clean + noise @ self.noise_scale.T

  def _device_copies(self, fold):
    folds = self._learning_folds if fold == dataset.TRAIN else (fold,)
    parts = [self.device_releases[f] for f in folds]
    copies = min(len(part) for part in parts)
    rows = np.concatenate([np.flatnonzero(self.fold == f) for f in folds])
    joined = np.concatenate([part[:copies] for part in parts], axis=1)
    return joined[:, np.argsort(rows)]

  @functools.cached_property
  def evaluation_draws(self) -> dict[int, np.ndarray]:
    """Validation and test fold to the draws `[draws, n, d]` for evaluation."""
    return {
      fold: self.copies(fold, self.draws, _EVALUATION_SEED)
      for fold in (dataset.VALIDATION, dataset.TEST)
    }

  def released(self, fold: int) -> np.ndarray:
    """Returns the first evaluation draw of a fold, `[n, d]` float32."""
    return self.copies(fold, 1, _EVALUATION_SEED)[0].astype(np.float32)

  @property
  def inputs(self) -> np.ndarray:
    """The inputs `x`, which a reconstruction needs in memory."""
    if not isinstance(self.x, np.ndarray):
      raise ValueError('the inputs of this problem are not in memory.')
    return self.x

  @functools.cached_property
  def mean(self) -> np.ndarray:
    """Mean `[d]` of the training fold's released vectors."""
    train = self.clean[self.rows(dataset.TRAIN)]
    return train.mean(axis=0, dtype=np.float64).astype(np.float32)

  @functools.cached_property
  def std(self) -> np.ndarray:
    """Standard deviations `[d]` of the training fold's vectors with noise.

    The variance is that of the clean vectors plus that of the noise. Each
    deviation is at least a thousandth of the largest, so that dividing by them
    does not blow up constant features; if all are zero, they are 1.
    """
    train = self.clean[self.rows(dataset.TRAIN)]
    variance = train.var(axis=0, dtype=np.float64)
    if self.noise_scale is not None:
      variance += np.square(self.noise_scale, dtype=np.float64).sum(axis=1)
    std = np.sqrt(variance)
    return np.maximum(std, _MIN_STD * std.max() or 1.0).astype(np.float32)

  def noise_argument(self) -> np.ndarray | None:
    """Returns the noise as an argument `[d, d]` of a program; see `add_noise`.

    Without noise it is zeros, so that narrow vectors share a program with noisy
    ones. It is `None` for wide vectors without noise, which are rarely noisy.
    """
    d = self.clean.shape[1]
    if self.noise_scale is None and d > _LARGEST_VIEW:
      return None
    if self.noise_scale is None:
      return np.zeros((d, d), np.float32)
    return np.asarray(self.noise_scale, np.float32)

  @property
  def train_capacity(self) -> int:
    """Number of rows to which training arrays are padded.

    Problems that differ only in noise, in the share of the training fold, or in
    whether attacks learn again, have one number and share their programs.
    """
    count = int((self.fold != dataset.TEST).sum())
    return padding.rows(max(count, self.capacity[0]))

  @property
  def evaluation_capacity(self) -> int:
    """Number of rows to which arrays of evaluation draws are padded."""
    counts = (
      max(self.draws, len(x)) * x.shape[1]
      for x in self.evaluation_draws.values()
    )
    return padding.rows(max(self.capacity[1], *counts))

  @functools.cached_property
  def views(self) -> dict[str, 'View']:
    """The rescalings of the released vectors; see `fit_views`."""
    return fit_views(self)

  def vectors(self, fold: int) -> np.ndarray:
    """Returns the vectors without noise of `TRAIN`, `[n, d]`.

    Of another fold it returns the evaluation draws, `[draws, n, d]`.
    """
    if fold == dataset.TRAIN:
      return self.clean[self.rows(fold)]
    return self.evaluation_draws[fold]

  def viewed(self, name: str, fold: int) -> np.ndarray:
    """Returns the `vectors` of a fold in a view, computed once."""
    if (name, fold) not in self._viewed:
      self._viewed[name, fold] = self.views[name](self.vectors(fold))
    return self._viewed[name, fold]

  @functools.cached_property
  def _viewed(self) -> dict[tuple[str, int], np.ndarray]:
    return {}


def _identity(released):
  return released


@dataclasses.dataclass(frozen=True)
class TrainableCloud:
  """Network from released vectors to logits, to be trained by an attacker.

  Attributes:
    fresh: `key -> params`, new parameters.
    apply: `(params, features [b, e]) -> logits`. As a `jax.tree_util.Partial`
      of one function, problems of one shape share a compilation.
    inverse: `released [b, d] -> features [b, e]`, what the cloud computes
      first; also best a `Partial`. By default they are the released vectors.
    trained: `key -> params`, the cloud's own parameters with a new head; `None`
      where it has none of its own.
  """

  fresh: Callable[[jax.Array], Any]
  apply: Callable[[Any, jax.Array], jax.Array]
  inverse: Callable[[jax.Array], jax.Array] = _identity
  trained: Callable[[jax.Array], Any] | None = None


@dataclasses.dataclass(frozen=True)
class View:
  """Affine map of released vectors: `(r - mean) @ matrix`."""

  mean: np.ndarray
  matrix: np.ndarray

  def __call__(self, released: np.ndarray) -> np.ndarray:
    """Maps `[..., d]` to `[..., d_view]`, float32.

    Wide vectors are mapped in single precision, which is many times as fast.
    """
    dtype = np.float64 if len(self.mean) <= _LARGEST_VIEW else np.float32
    centred = released - self.mean.astype(dtype)
    return (centred @ self.matrix.astype(dtype)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Attack:
  """Log-probabilities of one trained attacker for one sensitive label.

  Attributes:
    adversary: name for reports, such as `'mlp 64, whitened, trial 2'`.
    attribute: the sensitive label.
    validation: `[draws, n, k]` on the validation fold.
    test: `[draws, n, k]` on the test fold.
    columns: `[k]`, the class of each column. By default each column is a class.
      Otherwise the columns are the components of a mixture: log-probabilities
      of several windows are added by component, and then the probabilities of
      the components of a class.
    chunks: how long it was trained until it was best on validation, in the
      trainer's unit; 0 if nothing was chosen.
    kind: name of the adversary that made it; set by `measures.leakage`.
    members: of a committee.
    temperature: divides its log-probabilities in a committee.
    log_prior: `[k]`, the logarithm of each class's share of the windows that it
      learnt from; set by `measures.leakage`. `None` if the log-probabilities
      have no such factor, as those of a mixture's components.
  """

  adversary: str
  attribute: str
  validation: np.ndarray
  test: np.ndarray
  columns: np.ndarray | None = None
  chunks: int = 0
  kind: str = ''
  members: 'tuple[Attack, ...]' = ()
  temperature: float = 1.0
  log_prior: np.ndarray | None = None

  def likelihoods(self, fold: str) -> np.ndarray:
    """Returns log-likelihoods `[draws, n, k]`, to add up over several windows.

    A sum of log-probabilities would have the share of a class once for each
    window, so that common classes would win.

    Args:
      fold: `'validation'` or `'test'`.
    """
    log_probs = getattr(self, fold)
    return log_probs if self.log_prior is None else log_probs - self.log_prior


def add_noise(
  x: jax.Array,
  noise: jax.Array | None,
  has_noise: jax.Array,
  key: jax.Array,
) -> jax.Array:
  """Adds fresh noise to `x [b, d]`; whether there is any is an argument.

  Args:
    x: the vectors.
    noise: `[d, d]`; the noise is `noise @ e` with `e` standard normal. `None`
      is no noise.
    has_noise: whether there is noise; without it none is drawn.
    key: random key.
  """
  if noise is None:
    return x
  return jax.lax.cond(
    has_noise,
    lambda x: x + jax.random.normal(key, x.shape) @ noise.T,
    lambda x: x,
    x,
  )


def fit_views(problem: Problem) -> dict[str, View]:
  """Fits three affine views on the training fold and the noise's covariance.

  `standardised` gives each feature unit variance. `whitened` turns the
  covariance into the identity. `within` turns the covariance within the primary
  classes into the identity, which undoes the collapse of a class to a point.
  Features wider than 64 are first projected on their leading principal
  components.
  """
  import sklearn.decomposition  # Imported here: it is slow.

  train = problem.rows(dataset.TRAIN)
  x = problem.clean[train]
  d = x.shape[1]
  mean = x.mean(axis=0, dtype=np.float64)
  variance = x.var(axis=0, dtype=np.float64)
  if problem.noise_scale is not None:
    scale = problem.noise_scale.astype(np.float64)
    variance += np.square(scale).sum(axis=1)
  std = np.sqrt(variance)
  rescale = 1 / np.where(std > 1e-8 * std.max(), std, np.inf)
  if d > _LARGEST_VIEW:
    z = (x - mean.astype(np.float32)) * rescale.astype(np.float32)
    pca = sklearn.decomposition.PCA(
      min(_LARGEST_VIEW, len(x)), svd_solver='randomized', random_state=0
    ).fit(z)
    rms = np.sqrt(pca.explained_variance_.mean())
    components = pca.components_.T.astype(np.float64) / rms
    first = rescale[:, None] * components
    z = (z @ components.astype(np.float32)).astype(np.float64)
  else:
    first = np.diag(rescale)
    z = (x - mean) * rescale
  noise = 0.0
  if problem.noise_scale is not None:
    root = first.T @ scale
    noise = root @ root.T
  centred = centre_by_class(z, problem.primary[train])
  return {
    'standardised': View(mean, first),
    'whitened': View(mean, first @ whitening(z.T @ z / len(z) + noise)),
    'within': View(
      mean, first @ whitening(centred.T @ centred / len(z) + noise)
    ),
  }


def centre_by_class(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """Subtracts the mean of its class from each row of `x [n, d]`."""
  out = x.copy()
  for label in np.unique(labels):
    rows = labels == label
    out[rows] -= out[rows].mean(axis=0)
  return out


def whitening(
  covariance: np.ndarray, min_variance: float = _MIN_VARIANCE
) -> np.ndarray:
  """Returns the matrix `[d, d]` that turns a covariance into the identity.

  Variances below `min_variance` times the largest are raised to that value.
  """
  values, vectors = np.linalg.eigh(covariance)
  floor = max(min_variance * values[-1], 1e-12)
  return vectors / np.sqrt(np.maximum(values, floor))


def evenly_spaced(n: int, most: int | None) -> np.ndarray:
  """Returns at most `most` evenly spaced indices of `range(n)`.

  `0` or `None` gives all of them.
  """
  return np.linspace(0, n - 1, min(most or n, n)).round().astype(int)
