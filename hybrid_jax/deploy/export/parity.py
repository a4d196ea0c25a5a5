"""Whether the files compute what the trained network does."""

from collections.abc import Callable

import jax
import numpy as np

from hybrid_jax import errors
from hybrid_jax.deploy.export import half_files, split_functions, tflite

TOLERANCE = 1e-4


def check(
  cut: split_functions.Halves,
  edge_file: bytes,
  unrounded_file: bytes,
  cloud_file: bytes,
  windows: np.ndarray,
  seed: int,
  exact: bool = True,
) -> dict[str, float]:
  """Compares both files with JAX on real windows, noise and grid included.

  Args:
    cut: the halves in JAX.
    edge_file: `edge.tflite`, to which noise is given.
    unrounded_file: the same before the grid.
    cloud_file: `cloud.tflite`.
    windows: `[n, ...]` in sensor units.
    seed: of the noise, which both get the same.
    exact: the files compute in float32, and must be equal; `False` only tells.

  Returns:
    `edge_error`, the largest difference before the grid, relative to the
    released vectors' rms; `edge_rms_error`, the rms of it, likewise;
    `cloud_error`, the largest of the logits, relative to theirs; `agreement`,
    the share of windows, of `windows`, for which both halves as files and both
    in JAX give the same label; `ties`, how many released numbers fell to
    another step of the grid, and `numbers`, of how many.

  Raises:
    UserError: where it must be exact, an error is above `TOLERANCE`, or a
      number differs after the grid that was no tie before it.
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
  kinds = half_files.input_kinds(cut, edge_file)
  before_file = _in_file(unrounded_file, arguments, kinds)
  after = _in_jax(cut.edge(), arguments)
  after_file = _in_file(edge_file, arguments, kinds)
  # The cloud is compared on the very vectors that the file released.
  released = [{'released': r} for r in after_file]
  logits = _in_jax(cut.cloud(), released)
  logits_file = _in_file(cloud_file, released)
  trained = _in_jax(cut.cloud(), [{'released': r} for r in after])

  edge_error, cloud_error = (
    float(np.abs(a - b).max() / _rms(a))
    for a, b in ((before, before_file), (logits, logits_file))
  )
  if exact and max(edge_error, cloud_error) > TOLERANCE:
    raise errors.UserError(
      f'the exported files differ from the network: edge {edge_error:.2g},'
      f' cloud {cloud_error:.2g}, where {TOLERANCE:g} is allowed.'
    )
  return {
    'edge_error': edge_error,
    'edge_rms_error': float(_rms(before - before_file) / _rms(before)),
    'cloud_error': cloud_error,
    'agreement': float(
      np.mean(trained.argmax(axis=-1) == logits_file.argmax(axis=-1))
    ),
    'windows': len(windows),
    'ties': _ties(cut.grid, before, after, after_file, exact),
    'numbers': int(after.size),
  }


def _rms(x):
  return np.sqrt(np.mean(np.square(x)))


def _ties(grid, before, after, after_file, exact):
  if grid is None:
    return 0
  steps = np.round((after_file - after) / grid)
  differs = steps != 0
  fraction = np.abs(before / grid - np.floor(before / grid) - 0.5)
  if exact and (
    (np.abs(steps[differs]) > 1).any()
    or (fraction[differs] > TOLERANCE * np.abs(before / grid).max()).any()
  ):
    raise errors.UserError(
      'the exported edge rounds numbers to another step of the grid than the'
      ' network does, though they are no ties.'
    )
  return int(differs.sum())


def _in_jax(function: Callable, arguments) -> np.ndarray:
  run = jax.jit(function)
  return np.stack([np.asarray(run(*a.values())) for a in arguments])


def _in_file(data: bytes, arguments, kinds=None) -> np.ndarray:
  run = tflite.runner(data, kinds)
  return np.stack([run(**a) for a in arguments])
