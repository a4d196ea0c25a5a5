"""Compares the exported files with the trained network."""

from collections.abc import Callable

import jax
import numpy as np

from hybrid_jax import errors
from hybrid_jax.deploy.export import convert_halves, split_functions, tflite

TOLERANCE = 1e-4


def check(
  split: split_functions.SplitFunctions,
  edge_file: bytes,
  unrounded_edge_file: bytes,
  cloud_file: bytes,
  windows: np.ndarray,
  seed: int,
  exact: bool = True,
) -> dict[str, float]:
  """Compares both files with JAX on real windows, with noise and grid.

  Args:
    split: the split network in JAX.
    edge_file: `edge.tflite`.
    unrounded_edge_file: the same file without the rounding to the grid.
    cloud_file: `cloud.tflite`.
    windows: examples `[n, ...]` in sensor units.
    seed: of the noise, which is the same for the file and JAX.
    exact: raises an error if the files differ from JAX by more than float32
      rounding.

  Returns:
    `edge_error`: the largest difference before the rounding, relative to the
      rms of the released vectors.
    `edge_rms_error`: the rms of that difference, likewise relative.
    `cloud_error`: the largest difference of the logits, relative to their rms.
    `agreement`: the share of windows for which both files and JAX give the
      same label.
    `windows`: how many windows were compared.
    `ties`: how many of the `numbers` released numbers were rounded to another
      step than in JAX.

  Raises:
    UserError: `exact` is set, and an error is above `TOLERANCE` or a number was
      rounded to another step although it was no tie.
  """
  noise = np.random.default_rng(seed).standard_normal(
    (len(windows), split.dim), dtype=np.float32
  )
  inputs = [
    {'x': x[None], 'noise': e} if split.has_noise else {'x': x[None]}
    for x, e in zip(windows, noise, strict=True)
  ]
  specs = convert_halves.input_specs(split, edge_file)
  unrounded = _run_jax(split.edge(rounded=False), inputs)
  file_unrounded = _run_file(unrounded_edge_file, inputs, specs)
  released = _run_jax(split.edge(), inputs)
  file_released = _run_file(edge_file, inputs, specs)
  # The cloud is compared on the vectors that the edge file released.
  cloud_inputs = [{'released': r} for r in file_released]
  logits = _run_jax(split.cloud(), cloud_inputs)
  file_logits = _run_file(cloud_file, cloud_inputs)
  trained_logits = _run_jax(split.cloud(), [{'released': r} for r in released])

  edge_error = float(np.abs(unrounded - file_unrounded).max() / _rms(unrounded))
  cloud_error = float(np.abs(logits - file_logits).max() / _rms(logits))
  if exact and max(edge_error, cloud_error) > TOLERANCE:
    raise errors.UserError(
      f'the exported files differ from the network: edge {edge_error:.2g},'
      f' cloud {cloud_error:.2g}, where {TOLERANCE:g} is allowed.'
    )
  return {
    'edge_error': edge_error,
    'edge_rms_error': float(_rms(unrounded - file_unrounded) / _rms(unrounded)),
    'cloud_error': cloud_error,
    'agreement': float(
      np.mean(trained_logits.argmax(axis=-1) == file_logits.argmax(axis=-1))
    ),
    'windows': len(windows),
    'ties': _ties(split.grid, unrounded, released, file_released, exact),
    'numbers': int(released.size),
  }


def _rms(x):
  return np.sqrt(np.mean(np.square(x)))


def _ties(grid, unrounded, released, file_released, exact):
  """Counts the numbers that file and JAX round to different steps."""
  if grid is None:
    return 0
  steps = np.round((file_released - released) / grid)
  differs = steps != 0
  from_tie = np.abs(unrounded / grid - np.floor(unrounded / grid) - 0.5)
  allowed = TOLERANCE * np.abs(unrounded / grid).max()
  if exact and (
    (np.abs(steps[differs]) > 1).any() or (from_tie[differs] > allowed).any()
  ):
    raise errors.UserError(
      'the exported edge rounds numbers to another step of the grid than the'
      ' network does, though they are no ties.'
    )
  return int(differs.sum())


def _run_jax(function: Callable, inputs) -> np.ndarray:
  run = jax.jit(function)
  return np.stack([np.asarray(run(*arrays.values())) for arrays in inputs])


def _run_file(data: bytes, inputs, specs=None) -> np.ndarray:
  model = tflite.load(data, specs)
  return np.stack([model(**arrays) for arrays in inputs])
