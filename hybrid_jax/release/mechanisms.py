"""Base class for release mechanisms, and their composition.

A mechanism is one module in this folder with
`fit(features, config, split_point) -> Mechanism`. It is fitted on the training
features, flattened and transformed by the mechanisms before it. `transform` and
`inverse` are free of noise; `noise_scale` describes the noise that is added
last.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
from flax import struct

from hybrid_jax import errors, plugins
from hybrid_jax.models import split_model

Array = jax.Array | np.ndarray


class Mechanism(struct.PyTreeNode):
  """Base class for release mechanisms; it leaves the features unchanged."""

  def transform(self, features: jax.Array) -> jax.Array:
    """Maps features `[batch, d_in]` to `[batch, d_out]`, without noise."""
    return features

  def inverse(self, released: jax.Array) -> jax.Array:
    """Maps `[batch, d_out]` to the features `[batch, d_in]` for the cloud."""
    return released

  def noise_scale(self) -> Array | None:
    """Returns L `[d_out, d_out]`, lower triangular, or `None` without noise.

    The noise is `L e`, where e is standard normal.
    """
    return None


class Release(struct.PyTreeNode):
  """A sequence of mechanisms, from the features to the released vector."""

  mechanisms: tuple[Mechanism, ...]

  def transform(self, features: jax.Array) -> jax.Array:
    """Flattens features `[batch, ...]` and maps them to `[batch, d]`.

    No noise is added.
    """
    z = features.reshape(features.shape[0], -1)
    for mechanism in self.mechanisms:
      z = mechanism.transform(z)
    return z

  def inverse(self, released: jax.Array) -> jax.Array:
    """Maps `[batch, d]` to flattened features for the cloud."""
    for mechanism in reversed(self.mechanisms):
      released = mechanism.inverse(released)
    return released

  def encoder(self) -> 'Release':
    """Returns only the mechanisms that change the vector before the noise.

    So releases with noise and without it have one structure, and programs that
    encode are shared.
    """
    return self._with_own('transform')

  def decoder(self) -> 'Release':
    """Returns only the mechanisms that the cloud inverts; see `encoder`."""
    return self._with_own('inverse')

  def _with_own(self, method):
    default = getattr(Mechanism, method)
    return Release(
      tuple(m for m in self.mechanisms if getattr(type(m), method) != default)
    )

  def transform_all(self, features: Array) -> np.ndarray:
    """Maps all examples `[n, ...]` to `[n, d]`, in blocks of one shape.

    No noise is added.
    """
    flat = np.asarray(features).reshape(len(features), -1)
    encoder = self.encoder()
    if not encoder.mechanisms:
      return flat
    return split_model.in_blocks(_transform, encoder, flat)

  def noise_scale(self) -> Array | None:
    """Returns L `[d, d]` of the noise `L e`, or `None`; see `Mechanism`."""
    return self.mechanisms[-1].noise_scale() if self.mechanisms else None

  def add_noise(self, released: jax.Array, key: jax.Array) -> jax.Array:
    """Adds fresh noise to `released [..., d]`, if the release has noise."""
    scale = self.noise_scale()
    if scale is None:
      return released
    noise = jax.random.normal(key, released.shape, released.dtype)
    return released + noise @ scale.T


@jax.jit
def _transform(release, features):
  return release.transform(features)


def fit_release(
  names: Sequence[str],
  features: np.ndarray,
  config: ml_collections.ConfigDict,
  split_point: str,
  trained: Mapping[str, Mechanism] | None = None,
) -> Release:
  """Fits mechanisms in order, each on the output of the one before it.

  Args:
    names: plug-ins of `hybrid_jax.release`; empty leaves the features
      unchanged.
    features: training features `[n, ...]`.
    config: the settings of all mechanisms.
    split_point: the split point of the features.
    trained: mechanisms by name that were trained with the network, and are not
      fitted.

  Raises:
    UserError: a mechanism is unknown, has invalid settings, or comes after
      noise.
  """
  z = np.asarray(features).reshape(len(features), -1)
  fitted = []
  for name in names:
    if fitted and fitted[-1].noise_scale() is not None:
      raise errors.UserError(
        f'{name!r} comes after the mechanism that adds noise; noise must be the'
        f' last of {", ".join(names)}.'
      )
    mechanism = (trained or {}).get(name) or plugins.load(
      'release mechanism', name
    ).fit(z, config, split_point)
    z = Release((mechanism,)).transform_all(z)
    fitted.append(mechanism)
  return Release(tuple(fitted))


def at_split_point(value: Any, split_point: str) -> Any:
  """Returns the value of a setting at a split point.

  Args:
    value: one value for all split points, or a `ConfigDict` with one value for
      each split point.
    split_point: the name of the split point.

  Raises:
    UserError: the `ConfigDict` has no value for the split point.
  """
  if not isinstance(value, ml_collections.ConfigDict):
    return value
  errors.check_known('split point of a setting', split_point, value.keys())
  return value[split_point]
