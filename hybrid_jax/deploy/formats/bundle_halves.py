"""Both halves of a bundle in one process: `hybrid_jax.Bundle`."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid_jax import errors
from hybrid_jax.deploy.formats import bundle, device


class Bundle:
  """An exported network, cut in two halves that run.

  Needs NumPy and ai-edge-litert. Use it from one thread at a time.

  Attributes:
    manifest: the content of `manifest.json`; see docs/formats.md.
    split_point: the layer after which the network is cut.
    classes: the names of the primary classes.
    input_shape: the shape of one example, in the units of the sensor.
    dim: how many numbers are released for one example.

  Example:
    >>> bundle = hj.Bundle('runs/watch/bundle')  # doctest: +SKIP
    >>> bundle.cloud(bundle.edge(window))  # doctest: +SKIP
  """

  def __init__(self, folder: str | os.PathLike):
    """Loads both halves.

    Args:
      folder: the bundle, with `manifest.json` and both TFLite files.

    Raises:
      UserError: a file is missing or damaged, the bundle is of another format,
        or LiteRT is not installed or cannot run a file.
    """
    contents = bundle.read(folder)
    self.manifest: dict[str, Any] = contents.manifest
    self.split_point: str = contents.manifest['split_point']
    self.classes = contents.labels
    self.input_shape = contents.window_shape
    self.dim = contents.dim
    self._edge = device.Edge(folder)
    self._cloud = device.Half(folder, 'cloud')

  def edge(self, x: np.ndarray, allow_out_of_range: bool = False) -> np.ndarray:
    """Returns what the device releases, with fresh noise in each call.

    The noise comes from the operating system's generator, as on the device.
    Release an example only once: two releases, averaged, have half of the
    noise.

    Args:
      x: `[batch, *input_shape]`, or one example without the batch.
      allow_out_of_range: whether to release examples far outside of the
        training data, which the noise hides less.

    Returns:
      `[batch, dim]` float32, or `[dim]` for one example.

    Raises:
      UserError: `x` has another shape, holds NaN or infinity, or is far outside
        of the training data.
    """

    def release(example):
      reason = None if allow_out_of_range else self._edge.outside(example)
      if reason:
        raise errors.UserError(
          f'{reason} Give allow_out_of_range=True to release it anyway.'
        )
      return self._edge(example, allow_out_of_range=True)[0]

    return _map('x', x, self.input_shape, release)

  def cloud(self, released: np.ndarray) -> np.ndarray:
    """Returns the probability of each primary class.

    Args:
      released: `[batch, dim]`, or one vector `[dim]`.

    Returns:
      `[batch, classes]` float32, or `[classes]` for one vector.

    Raises:
      UserError: `released` has another shape, or holds NaN or infinity.
    """
    return _map('released', released, (self.dim,), self._probabilities)

  def predict(self, x: np.ndarray) -> np.ndarray:
    """Returns the name of the most probable class.

    Args:
      x: `[batch, *input_shape]`, or one example without the batch. Each example
        is released once.

    Returns:
      `[batch]` text, or `[]` for one example.

    Raises:
      UserError: `x` has another shape, or holds NaN or infinity.
    """
    return np.asarray(self.classes)[self.cloud(self.edge(x)).argmax(-1)]

  def _probabilities(self, vector):
    logits = self._cloud(released=vector[None])[0]
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def _map(
  name: str,
  values: np.ndarray,
  shape: tuple[int, ...],
  function: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
  """Applies a function to each example, or to a single one."""
  try:
    array = np.asarray(values, np.float32)
  except (TypeError, ValueError) as e:
    raise errors.UserError(f'{name!r} is no array of numbers: {e}.') from e
  single = array.shape == shape
  if single:
    array = array[None]
  if array.shape[1:] != shape or not len(array):
    raise errors.UserError(
      f'{name!r} has shape {array.shape}; it must be'
      f' [batch, {", ".join(map(str, shape))}], or {list(shape)} for one.'
    )
  finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
  if not finite.all():
    raise errors.UserError(
      f'{name!r} holds NaN or infinity, first in example'
      f' {int(np.argmin(finite))}.'
    )
  out = np.stack([function(row) for row in array])
  return out[0] if single else out
