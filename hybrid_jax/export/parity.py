"""Whether the files compute what the trained network does."""

from collections.abc import Callable

import jax
import numpy as np

from hybrid_jax import errors
from hybrid_jax.export import halves, tflite

TOLERANCE = 1e-4


def check(
  cut: halves.Halves,
  edge_file: bytes,
  cloud_file: bytes,
  windows: np.ndarray,
  seed: int,
) -> dict[str, float]:
  """Compares both files with JAX on real windows, noise and grid included.

  Args:
    cut: the halves in JAX.
    edge_file: `edge.tflite`.
    cloud_file: `cloud.tflite`.
    windows: `[n, ...]` in sensor units.
    seed: of the noise, which both get the same.

  Returns:
    `edge_error`, the largest difference before the grid, relative to the
    released vectors' rms; `cloud_error`, that of the logits, likewise; `ties`,
    how many released numbers fell to the next step of the grid, and `numbers`,
    of how many.

  Raises:
    UserError: an error is above `TOLERANCE`, or a number differs after the
      grid that was no tie before it.
  """
  noise = np.random.default_rng(seed).standard_normal(
    (len(windows), cut.dim), dtype=np.float32
  )
  arguments = [
    {'x': x[None], 'noise': e}
    if 'noise' in cut.edge_inputs()
    else {'x': x[None]}
    for x, e in zip(windows, noise, strict=True)
  ]
  before = _in_jax(cut.edge(rounded=False), arguments)
  unrounded = tflite.convert(
    cut.edge(rounded=False), cut.edge_inputs(), 'released'
  )
  before_file = _in_file(unrounded, arguments)
  after, after_file = (
    _in_jax(cut.edge(), arguments),
    _in_file(edge_file, arguments),
  )
  # The cloud is compared on the very vectors that the file released.
  released = [{'released': r} for r in after_file]
  logits = _in_jax(cut.cloud(), released)
  logits_file = _in_file(cloud_file, released)

  edge_error, cloud_error = (
    float(np.abs(a - b).max() / np.sqrt(np.mean(np.square(a))))
    for a, b in ((before, before_file), (logits, logits_file))
  )
  ties = _ties(cut.grid, before, after, after_file)
  if max(edge_error, cloud_error) > TOLERANCE:
    raise errors.UserError(
      f'the exported files differ from the network: edge {edge_error:.2g},'
      f' cloud {cloud_error:.2g}, where {TOLERANCE:g} is allowed.'
    )
  return {
    'edge_error': edge_error,
    'cloud_error': cloud_error,
    'ties': ties,
    'numbers': int(after.size),
  }


def _ties(grid, before, after, after_file):
  if grid is None:
    return 0
  steps = np.round((after_file - after) / grid)
  differs = steps != 0
  fraction = np.abs(before / grid - np.floor(before / grid) - 0.5)
  if (np.abs(steps[differs]) > 1).any() or (
    fraction[differs] > TOLERANCE * np.abs(before / grid).max()
  ).any():
    raise errors.UserError(
      'the exported edge rounds numbers to another step of the grid than the'
      ' network does, though they are no ties.'
    )
  return int(differs.sum())


def _in_jax(function: Callable, arguments) -> np.ndarray:
  run = jax.jit(function)
  return np.stack([np.asarray(run(*a.values())) for a in arguments])


def _in_file(data: bytes, arguments) -> np.ndarray:
  run = tflite.runner(data)
  return np.stack([run(**a) for a in arguments])
