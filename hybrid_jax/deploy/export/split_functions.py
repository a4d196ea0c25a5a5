"""The two halves as pure functions of one example, as they are deployed."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from hybrid_jax import errors
from hybrid_jax.datasets import normalization
from hybrid_jax.models import split_model
from hybrid_jax.release import mechanisms
from hybrid_jax.study import context
from hybrid_jax.study.stages import release

GRID_STEPS_PER_SIGMA = 16


@dataclasses.dataclass(frozen=True)
class Halves:
  """A trained network, cut and released.

  Attributes:
    model: the network.
    params: its parameters.
    split_point: where it is cut.
    normalizer: from sensor units to the network's input.
    release: what happens to the features before they leave.
    example_shape: one example's shape, without its batch.
    feature_shape: the features' shape at the cut, without its batch.
  """

  model: split_model.SplitModel
  params: Mapping[str, Any]
  split_point: str
  normalizer: normalization.Normalizer
  release: mechanisms.Release
  example_shape: tuple[int, ...]
  feature_shape: tuple[int, ...]

  @property
  def dim(self) -> int:
    """How many numbers are released."""
    zeros = jnp.zeros((1, *self.feature_shape))
    return jax.eval_shape(self.release.transform, zeros).shape[1]

  @property
  def grid(self) -> float | None:
    """The step to which what is released is rounded; `None` without noise.

    A sixteenth of the noise's sigma: coarse enough that the low bits of a float
    carry nothing, fine enough to cost no utility.
    """
    scale = self.release.noise_scale()
    if scale is None:
      return None
    sigma = jnp.sqrt(jnp.mean(jnp.sum(scale * scale, axis=1)))
    return float(sigma) / GRID_STEPS_PER_SIGMA

  def edge(self, rounded: bool = True) -> Callable[..., jax.Array]:
    """`x [1, ...]` in sensor units, and `noise [d]`, to `released [1, d]`.

    The function takes no `noise` where the release has none. Its parameters
    are the edge's alone.

    Args:
      rounded: to the grid, as it is deployed; `False` for the value before.
    """
    clean, noised = self.clean(), self.noised(rounded)
    if self.release.noise_scale() is None:
      return clean
    return lambda x, noise: noised(clean(x), noise)

  def clean(self) -> Callable[[jax.Array], jax.Array]:
    """`x [1, ...]` in sensor units to `[1, d]`, before any noise."""
    normalized, network = self.normalized(), self.network()

    def run(x):
      return network(normalized(x))

    return run

  def normalized(self) -> Callable[[jax.Array], jax.Array]:
    """`x [1, ...]` in sensor units to the network's input."""
    mean, std = self.normalizer.mean, self.normalizer.std
    return lambda x: (x - mean) / std

  def network(self) -> Callable[[jax.Array], jax.Array]:
    """The network's input `[1, ...]` to `[1, d]`, before any noise."""
    params, _ = split_model.split_params(
      self.model, self.params, self.split_point
    )

    def run(normalized):
      features = self.model.apply(
        {'params': params}, normalized, self.split_point, method='edge'
      )
      return self.release.transform(features)

    return run

  def noised(self, rounded: bool = True) -> Callable[..., jax.Array]:
    """`clean [1, d]` and `noise [d]`, standard normal, to `released [1, d]`.

    Args:
      rounded: to the grid, as it is deployed; `False` for the value before.
    """
    scale, grid = self.release.noise_scale(), self.grid

    def run(clean, noise):
      released = clean + noise[None] @ scale.T
      if not rounded:
        return released
      # A product with the inverse is the same everywhere; a quotient need not.
      return jnp.round(released * (1 / grid)) * grid

    return run

  def cloud(self) -> Callable[[jax.Array], jax.Array]:
    """`released [1, d]` to primary `logits [1, classes]`."""
    _, params = split_model.split_params(
      self.model, self.params, self.split_point
    )

    def run(released):
      features = self.release.inverse(released).reshape(
        released.shape[0], *self.feature_shape
      )
      return self.model.apply(
        {'params': params}, features, self.split_point, method='cloud'
      )

    return run

  def edge_inputs(self) -> dict[str, tuple[int, ...]]:
    """The name and shape of each input of the edge."""
    inputs: dict[str, tuple[int, ...]] = {'x': (1, *self.example_shape)}
    if self.release.noise_scale() is not None:
      inputs['noise'] = (self.dim,)
    return inputs


def make(study: context.Study, split_point: str, embedding: str) -> Halves:
  """The study's network cut at `split_point`, released as `embedding`.

  Raises:
    UserError: the study has no such row; it lists those that it has.
  """
  errors.check_known('split point', split_point, study.split_points)
  errors.check_known(
    f'embedding at {split_point!r}',
    embedding,
    [n for n in study.embeddings if split_point in study.split_points_of(n)],
  )
  weights = study.config.release.embeddings[embedding].weights
  features = study.features(weights, split_point)
  return Halves(
    model=study.model,
    params=study.params(weights, split_point),
    split_point=split_point,
    normalizer=study.normalizer,
    release=release.fitted(study, split_point, embedding, features),
    example_shape=study.x.shape[1:],
    feature_shape=features.shape[1:],
  )
