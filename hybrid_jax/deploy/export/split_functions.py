"""The edge half and the cloud half as pure JAX functions, as deployed."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hybrid_jax.datasets import normalization
from hybrid_jax.models import split_model
from hybrid_jax.release import mechanisms

GRID_STEPS_PER_SIGMA = 16


@dataclasses.dataclass(frozen=True)
class SplitFunctions:
  """A trained network at one split point, with its release mechanisms.

  The edge is: normalise, run the first layers, transform (for example PCA), add
  noise, round to a grid. The cloud is the rest. Below, `d` is `dim`.

  Attributes:
    model: the network.
    params: its parameters.
    split_point: the split point.
    normalizer: maps sensor units to the network's input.
    release: the mechanisms between the features and the cloud.
    example_shape: the shape of one example, without a batch.
    feature_shape: the shape of its features, without a batch.
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
    """How many numbers are released for one example."""
    features = jax.ShapeDtypeStruct((1, *self.feature_shape), jnp.float32)
    return jax.eval_shape(self.release.transform, features).shape[1]

  @property
  def has_noise(self) -> bool:
    """Whether the release adds noise."""
    return self.release.noise_scale() is not None

  @property
  def grid(self) -> float | None:
    """The step to which released numbers are rounded; None without noise.

    It is a sixteenth of the noise's standard deviation: coarse enough that the
    low bits of a float carry nothing, and fine enough to cost no utility.
    """
    scale = self.release.noise_scale()
    if scale is None:
      return None
    sigma = np.sqrt(np.mean(np.sum(np.square(scale), axis=1)))
    return float(sigma) / GRID_STEPS_PER_SIGMA

  def edge_inputs(self) -> dict[str, tuple[int, ...]]:
    """Returns the name and shape of each input of the edge."""
    inputs: dict[str, tuple[int, ...]] = {'x': (1, *self.example_shape)}
    if self.has_noise:
      inputs['noise'] = (self.dim,)
    return inputs

  def edge(self, rounded: bool = True) -> Callable[..., jax.Array]:
    """Returns the edge: `x [1, ...]`, `noise [d]` to `released [1, d]`.

    `x` is in sensor units. Without noise in the release, the function has no
    argument `noise`. The function contains the edge's parameters only.

    Args:
      rounded: whether to round to the grid, as deployed.
    """
    edge_without_noise = self.edge_without_noise()
    if not self.has_noise:
      return edge_without_noise
    add_noise = self.add_noise(rounded)
    return lambda x, noise: add_noise(edge_without_noise(x), noise)

  def edge_without_noise(self) -> Callable[[jax.Array], jax.Array]:
    """Returns `x [1, ...]` in sensor units to `clean [1, d]`."""
    normalize, edge_layers = self.normalize(), self.edge_layers()
    return lambda x: edge_layers(normalize(x))

  def normalize(self) -> Callable[[jax.Array], jax.Array]:
    """Returns `x [1, ...]` in sensor units to the network's input."""
    mean, std = self.normalizer.mean, self.normalizer.std
    return lambda x: (x - mean) / std

  def edge_layers(self) -> Callable[[jax.Array], jax.Array]:
    """Returns the network's input `[1, ...]` to `clean [1, d]`."""
    params, _ = split_model.split_params(
      self.model, self.params, self.split_point
    )

    def edge_layers(x):
      features = self.model.apply(
        {'params': params}, x, self.split_point, method='edge'
      )
      return self.release.transform(features)

    return edge_layers

  def add_noise(self, rounded: bool = True) -> Callable[..., jax.Array]:
    """Returns `clean [1, d]`, standard normal `noise [d]` to `released [1, d]`.

    Args:
      rounded: whether to round to the grid, as deployed.
    """
    scale, grid = self.release.noise_scale(), self.grid

    def add_noise(clean, noise):
      released = clean + noise[None] @ scale.T
      if not rounded:
        return released
      # Multiplying by the inverse gives the same bits on every device; a
      # division need not.
      return jnp.round(released * (1 / grid)) * grid

    return add_noise

  def cloud(self) -> Callable[[jax.Array], jax.Array]:
    """Returns the cloud: `released [n, d]` to `logits [n, classes]`."""
    _, params = split_model.split_params(
      self.model, self.params, self.split_point
    )

    def cloud(released):
      features = self.release.inverse(released).reshape(
        released.shape[0], *self.feature_shape
      )
      return self.model.apply(
        {'params': params}, features, self.split_point, method='cloud'
      )

    return cloud
