"""What every release mechanism gives, and how mechanisms compose.

A mechanism is one file beside this one with
`fit(features, config, split_point) -> Mechanism`, fitted on flattened training
features as they reach it. Adding noise is apart from the rest: `transform` and
`inverse` are without noise, and `noise_scale` says what is added in the end.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from flax import struct

from hybrid_jax import errors, plugins


class Mechanism(struct.PyTreeNode):
  """One step between features and what is sent. The default does nothing."""

  def transform(self, features: jax.Array) -> jax.Array:
    """Features `[batch, d_in]` to `[batch, d_out]`, without noise."""
    return features

  def inverse(self, released: jax.Array) -> jax.Array:
    """What the cloud rebuilds: `[batch, d_out]` to `[batch, d_in]`."""
    return released

  def noise_scale(self) -> jax.Array | None:
    """Lower-triangular `[d_out, d_out]` L of noise `L e`, e standard normal."""
    return None


class Release(struct.PyTreeNode):
  """Mechanisms one after the other, from the features to what is sent."""

  mechanisms: tuple[Mechanism, ...]

  def transform(self, features: jax.Array) -> jax.Array:
    """Features `[batch, ...]`, flattened, to `[batch, d]`, without noise."""
    z = features.reshape(features.shape[0], -1)
    for mechanism in self.mechanisms:
      z = mechanism.transform(z)
    return z

  def inverse(self, released: jax.Array) -> jax.Array:
    """What the cloud rebuilds: `[batch, d]` to flattened features."""
    for mechanism in reversed(self.mechanisms):
      released = mechanism.inverse(released)
    return released

  def noise_scale(self) -> jax.Array | None:
    """Lower-triangular `[d, d]` of the noise added to what is sent, if any."""
    return self.mechanisms[-1].noise_scale() if self.mechanisms else None

  def add_noise(self, released: jax.Array, key: jax.Array) -> jax.Array:
    """Adds fresh noise to `[..., d]`; nothing where the release has none."""
    scale = self.noise_scale()
    if scale is None:
      return released
    noise = jax.random.normal(key, released.shape, released.dtype)
    return released + noise @ scale.T


def fit_release(
  names: Sequence[str],
  features: np.ndarray,
  config: ml_collections.ConfigDict,
  split_point: str,
  trained: Mapping[str, Mechanism] | None = None,
) -> Release:
  """Fits the named mechanisms in order, each on what the last one gives.

  Args:
    names: plug-ins of `hybrid_jax.release`; none for the features as they are.
    features: training features `[n, ...]`.
    config: each mechanism reads its own settings.
    split_point: where the features were taken.
    trained: mechanisms by name that need no fitting, since they were trained
      with the network.

  Raises:
    UserError: a mechanism is not known, refuses its settings, or comes after
      noise.
  """
  z = jnp.asarray(features).reshape(len(features), -1)
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
    z = mechanism.transform(z)
    fitted.append(mechanism)
  return Release(tuple(fitted))


def at_split_point(value: Any, split_point: str) -> Any:
  """Returns a setting's value at a split point.

  Args:
    value: one value for all split points, or a `ConfigDict` with one for each.
    split_point: its name.

  Raises:
    UserError: it is a dict without that split point.
  """
  if not isinstance(value, ml_collections.ConfigDict):
    return value
  errors.check_known('split point of a setting', split_point, value.keys())
  return value[split_point]
