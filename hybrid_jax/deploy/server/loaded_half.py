"""The cloud half of a bundle, checked against its manifest: LiteRT alone."""

import dataclasses
import hashlib
import json
import os
import pathlib
from typing import Any

import numpy as np

from hybrid_jax import errors
from hybrid_jax.deploy.formats import protocol

# What is told of the bundle beside its inputs and outputs.
_FACTS = ('labels', 'split_point', 'embedding', 'grid', 'sigma')


class CloudHalf:
  """Released vectors to logits.

  Attributes:
    given: the input, one released vector.
    wanted: the output, its logits.
    facts: what the manifest says of them, and the file's SHA-256.
    sizes: the batches that the file runs, ascending, 1 first. A larger one is
      there only if it gave each row the very bits that the row gets alone.
  """

  def __init__(self, folder: str | os.PathLike, max_batch: int = 1):
    """Loads the cloud half of the bundle in `folder`.

    Args:
      folder: with `manifest.json` and the cloud's file.
      max_batch: the most vectors that may run at once.

    Raises:
      UserError: a file is not there, is damaged, or is not what the manifest
        describes, or LiteRT is not installed.
    """
    folder = pathlib.Path(folder)
    manifest = _manifest(folder)
    path = folder / str(manifest['cloud'].get('file', 'cloud.tflite'))
    if path.parent != folder:
      raise errors.UserError(
        f'the manifest names {path}, which is outside of {folder}.'
      )
    data = _read(path)
    self.facts = {k: manifest[k] for k in _FACTS if manifest.get(k) is not None}
    grid = self.facts.get('grid')
    if grid is not None and not (isinstance(grid, int | float) and grid > 0):
      raise errors.UserError(
        f'{folder / "manifest.json"} has the grid {grid!r}; it must be more'
        ' than 0.'
      )
    self.facts['sha256'] = _check_hash(path, data, manifest['cloud'])
    self._runners = {1: _Runner(path, data, 1)}
    self.given, self.wanted = self._runners[1].given, self._runners[1].wanted
    _check_tensor(path, manifest['cloud'], 'inputs', self.given)
    _check_tensor(path, manifest['cloud'], 'outputs', self.wanted)
    _check_labels(folder, manifest, self.wanted)
    self.given = dataclasses.replace(self.given, grid=grid)
    self.facts['wire_datatypes'] = list(self.given.datatypes)
    self._add_batches(path, data, max_batch)
    self.sizes = sorted(self._runners)

  def __call__(self, vectors: np.ndarray) -> np.ndarray:
    """Float32 `[n, ...]`, `n` at most `sizes[-1]`, to logits `[n, classes]`."""
    size = next(s for s in self.sizes if s >= len(vectors))
    padded = np.zeros((size, *vectors.shape[1:]), np.float32)
    padded[: len(vectors)] = vectors
    return self._runners[size](padded)[: len(vectors)]

  def on_grid(self, vector: np.ndarray) -> bool:
    """Whether a vector is rounded as the edge half does; true without a grid.

    What is not on the grid was not made by the bundle's edge, and may have left
    the device without noise. What is on it need not have been.
    """
    grid = self.facts.get('grid')
    if grid is None:
      return True
    steps = vector.astype(np.float64) / grid
    whole = np.round(steps)
    # Of float32, and of decimals in JSON.
    slack = 1e-3 + np.abs(whole) * 2.0**-22
    return bool((np.abs(steps - whole) <= slack).all())

  def _add_batches(self, path, data, max_batch):
    """Adds the powers of two up to `max_batch` that run, and run exactly."""
    rng = np.random.default_rng(0)
    size = 2
    while size <= max_batch:
      x = rng.standard_normal((size, *self.given.shape[1:]), np.float32)
      try:
        runner = _Runner(path, data, size)
        together = runner(x)
      except (errors.UserError, RuntimeError, ValueError):
        return  # A file that cuts or reshapes by constants cannot grow.
      alone = np.concatenate([self._runners[1](row[None]) for row in x])
      if not np.array_equal(together, alone):
        return
      self._runners[size] = runner
      size *= 2


class _Runner:
  """The file with its batch set to `size`. Not for two threads at once."""

  def __init__(self, path, data, size):
    try:
      from ai_edge_litert import interpreter as litert  # Only where it runs.
    except ImportError as e:
      raise errors.UserError(
        "serving needs LiteRT: pip install 'hybrid-jax[serve]'."
      ) from e
    try:
      self._interpreter = litert.Interpreter(model_content=data, num_threads=1)
      signatures = self._interpreter.get_signature_list()
      (names,) = signatures.values()
      (given,) = names['inputs']
      (wanted,) = names['outputs']
      (source,) = self._interpreter.get_input_details()
      if size > 1:
        shape = [size, *map(int, source['shape'][1:])]
        self._interpreter.resize_tensor_input(source['index'], shape)
      self._interpreter.allocate_tensors()
      (sink,) = self._interpreter.get_output_details()
    except (ValueError, RuntimeError) as e:
      raise errors.UserError(
        f'{path} is no TFLite file of one input and one output: {e}'
      ) from e
    for name, tensor in ((given, source), (wanted, sink)):
      if tensor['dtype'] is not np.float32:
        kind = np.dtype(tensor['dtype']).name
        raise errors.UserError(f'{name!r} of {path} is {kind}, not float32.')
    self._source, self._sink = source['index'], sink['index']
    self.given = protocol.Tensor(given, tuple(map(int, source['shape'])))
    self.wanted = protocol.Tensor(wanted, tuple(map(int, sink['shape'])))

  def __call__(self, x):
    self._interpreter.set_tensor(self._source, x)
    self._interpreter.invoke()
    return self._interpreter.get_tensor(self._sink)


def _manifest(folder):
  path = folder / 'manifest.json'
  text = _read(path)
  try:
    manifest = json.loads(text, parse_constant=_no_constant)
  except ValueError as e:
    raise errors.UserError(f'{path} is damaged: {e}.') from e
  if not isinstance(manifest, dict) or not isinstance(
    manifest.get('cloud'), dict
  ):
    raise errors.UserError(f'{path} describes no cloud half.')
  return manifest


def _no_constant(name):
  raise ValueError(f'{name} is not JSON')


def _read(path: pathlib.Path) -> bytes:
  try:
    return path.read_bytes()
  except OSError as e:
    raise errors.UserError(
      f'could not read {path}: {e.strerror}. A bundle has manifest.json and'
      ' cloud.tflite; the export stage writes it.'
    ) from e


def _check_hash(path, data, described: dict[str, Any]) -> str:
  found = hashlib.sha256(data).hexdigest()
  stated = described.get('sha256', found)
  if found != stated:
    raise errors.UserError(
      f'{path} has sha256 {found}; the manifest says {stated}.'
    )
  return found


def _check_tensor(path, described, key, tensor: protocol.Tensor) -> None:
  """Refuses a file whose input or output is not what the manifest says."""
  found = {tensor.name: {'shape': list(tensor.shape), 'dtype': 'float32'}}
  try:
    stated = {
      name: {'shape': list(spec['shape']), 'dtype': spec['dtype']}
      for name, spec in described.get(key, found).items()
    }
  except (AttributeError, KeyError, TypeError) as e:
    raise errors.UserError(
      f'{path.parent / "manifest.json"}: cloud.{key} is no list of tensors.'
    ) from e
  if stated != found:
    raise errors.UserError(
      f'{path} has {key} {found}; the manifest says {stated}.'
    )


def _check_labels(folder, manifest, wanted: protocol.Tensor) -> None:
  labels = manifest.get('labels')
  if isinstance(labels, list) and len(labels) != wanted.shape[-1]:
    raise errors.UserError(
      f'{folder / "manifest.json"} has {len(labels)} labels, and'
      f' {wanted.name!r} has {wanted.shape[-1]} numbers.'
    )
