"""What an attack on the input is given, and what it gives back.

An attack is one file beside this one with
`reconstruct(problem, config, seed) -> (items, rebuilt)`: `items [m]`, which
rows of the test fold were attacked, in order, and `rebuilt [m, ...]`, their
inputs in the shape and units of `problem.x`. It learns on the training fold and
chooses on validation; of the test fold it sees the released vectors alone.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import numpy as np

from hybrid_jax import errors
from hybrid_jax.datasets import dataset

_FLOOR = 1e-3
_SEED = 1


@dataclasses.dataclass(frozen=True)
class Problem:
  """Released vectors whose inputs are to be rebuilt.

  The attacker knows the law of the noise, and `edge` with its weights.

  Attributes:
    x: `[n, ...]`, the inputs, normalized.
    clean: `[n, d]`, what is released without its noise.
    noise_scale: `[d, d]`, lower triangular, of the noise; `None` without any.
    fold: `[n]`, see `datasets.dataset`.
    primary: `[n]`, the primary labels.
    edge: inputs `[b, ...]` to clean released vectors `[b, d]`, to be jitted;
      `None` where the attacker has none. Given as `jax.tree_util.Partial` of
      one function and its weights, problems of one shape share a compilation.
  """

  x: np.ndarray
  clean: np.ndarray
  noise_scale: np.ndarray | None
  fold: np.ndarray
  primary: np.ndarray
  edge: Callable[[jax.Array], jax.Array] | None = None

  def __post_init__(self):
    for name in ('clean', 'fold', 'primary'):
      if len(getattr(self, name)) != len(self.x):
        raise errors.UserError(
          f'{name!r} has {len(getattr(self, name))} entries, and there are'
          f' {len(self.x)} inputs.'
        )
    for what, values in (
      ('inputs', self.x),
      ('released vectors', self.clean),
    ):
      if not np.isfinite(values).all():
        raise errors.UserError(f'the {what} hold NaN or infinity.')
    for fold, name in enumerate(dataset.FOLDS):
      if not self.rows(fold).any():
        raise errors.UserError(f'the {name} fold is empty.')

  def rows(self, fold: int) -> np.ndarray:
    """`[n]` bool: the examples of a fold."""
    return self.fold == fold

  @functools.cached_property
  def released(self) -> np.ndarray:
    """`[n_test, d]`: one fresh draw, the same for every attack."""
    return self._draw(dataset.TEST)

  @functools.cached_property
  def held(self) -> np.ndarray:
    """`[n_validation, d]`: one fresh draw to choose on."""
    return self._draw(dataset.VALIDATION)

  @functools.cached_property
  def center(self) -> np.ndarray:
    """`[d]`: the mean of the training fold's released vectors."""
    train = self.clean[self.rows(dataset.TRAIN)]
    return train.mean(axis=0, dtype=np.float64).astype(np.float32)

  @functools.cached_property
  def spread(self) -> np.ndarray:
    """`[d]`: their standard deviations, noise included, all positive.

    What never moves gets a thousandth of the widest, so as not to be blown up.
    """
    train = self.clean[self.rows(dataset.TRAIN)]
    variance = train.var(axis=0, dtype=np.float64)
    if self.noise_scale is not None:
      variance += np.square(self.noise_scale, dtype=np.float64).sum(axis=1)
    std = np.sqrt(variance)
    return np.maximum(std, _FLOOR * std.max() or 1.0).astype(np.float32)

  def _draw(self, fold):
    clean = self.clean[self.rows(fold)].astype(np.float32)
    if self.noise_scale is None:
      return clean
    rng = np.random.default_rng((_SEED, fold))
    noise = rng.standard_normal(clean.shape).astype(np.float32)
    return (clean + noise @ self.noise_scale.T).astype(np.float32)
