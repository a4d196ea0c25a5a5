"""Reads bundles: the two halves of a network and their manifest."""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Collection
from importlib import metadata
from typing import Any

from hybrid_jax import errors
from hybrid_jax.deploy.formats import device

FORMAT = 3
_FORMATS = (2, FORMAT)  # 2 has no channels, rate and range.
HALVES = ('edge', 'cloud')


@dataclasses.dataclass(frozen=True)
class Contents:
  """The contents of a bundle, which `read` has checked.

  Attributes:
    folder: the folder of the bundle.
    manifest: the content of `manifest.json`.
    files: `'edge'` and `'cloud'` to the bytes of their TFLite files; only the
      halves that `read` was asked for.
  """

  folder: pathlib.Path
  manifest: dict[str, Any]
  files: dict[str, bytes]

  @property
  def labels(self) -> tuple[str, ...]:
    """The names of the classes."""
    return tuple(self.manifest['labels'])

  @property
  def grid(self) -> float | None:
    """The step to which released numbers are rounded; None without noise."""
    return self.manifest.get('grid')

  @property
  def window_shape(self) -> tuple[int, ...]:
    """The shape of one example, without the batch."""
    return tuple(self.manifest['edge']['inputs']['x']['shape'][1:])

  @property
  def dim(self) -> int:
    """How many numbers are released for one example."""
    return self.manifest['cloud']['inputs']['released']['shape'][1]


def read(
  folder: str | os.PathLike, halves: Collection[str] = HALVES
) -> Contents:
  """Reads a bundle and checks it.

  Args:
    folder: the bundle, with `manifest.json`.
    halves: which halves to read: the file of another half may be missing.

  Raises:
    UserError: the manifest is missing or contradicts itself; a file is missing
      or is not the one in the manifest; LiteRT is not installed or cannot run
      a file.
  """
  folder = pathlib.Path(folder)
  path = folder / 'manifest.json'
  try:
    manifest = json.loads(
      _read_bytes(path).decode(), parse_constant=_refuse_constant
    )
  except ValueError as e:
    if isinstance(e, errors.UserError):
      raise
    raise errors.UserError(f'{path} is damaged: {e}.') from e
  try:
    problem = _problem(manifest)
  except (AttributeError, IndexError, KeyError, TypeError, ValueError) as e:
    problem = f'it does not describe a bundle ({type(e).__name__}: {e})'
  if problem:
    raise errors.UserError(f'{path}: {problem}.')
  files = {name: _read_half(folder, manifest, name) for name in halves}
  return Contents(folder, manifest, files)


def _problem(manifest: Any) -> str | None:
  """Returns what contradicts itself in a manifest; None if nothing does."""
  if not isinstance(manifest, dict) or manifest.get('format') not in _FORMATS:
    version = manifest.get('format') if isinstance(manifest, dict) else None
    known = ' and '.join(map(str, _FORMATS))
    newer = isinstance(version, int) and version > max(_FORMATS)
    what_to_do = '; update hybrid-jax' if newer else '; export it again'
    return (
      f'it has the format {version!r}; this version reads {known}{what_to_do}'
    )
  for name in HALVES:
    if not isinstance(manifest.get(name), dict):
      return f'it describes no {name} half'
  edge, cloud = (manifest[name] for name in HALVES)
  for half, other in ((edge, cloud), (cloud, edge)):
    if half['paired_with'] != other['sha256']:
      return (
        f'the halves are of two bundles: {half["file"]} was exported with a'
        f' file of sha256 {half["paired_with"]}, but {other["file"]} has'
        f' {other["sha256"]}'
      )
  inputs, outputs = _shapes(edge['inputs']), _shapes(edge['outputs'])
  released = outputs['released']
  accepted = _shapes(cloud['inputs'])['released']
  logits = _shapes(cloud['outputs'])['logits']['shape']
  if released != accepted:
    return f'the edge releases {released}, but the cloud accepts {accepted}'
  batch, dim = released['shape']
  if batch != 1 or inputs['x']['shape'][0] != 1:
    return 'the edge does not map one window to one vector'
  noise = inputs.get('noise')
  if noise and noise['shape'] != [dim]:
    return f'the noise has the shape {noise["shape"]}, not {[dim]}'
  classes = len(manifest['labels'])
  if logits != [1, classes]:
    return f'the logits have the shape {logits} for {classes} labels'
  width = inputs['x']['shape'][-1]
  spread = edge['inputs']['x'].get('range') or {}
  for name in ('mean', 'std', 'limit'):
    if spread and len(spread[name]) != width:
      return f'the range has {len(spread[name])} numbers for {width} channels'
  if len(edge['inputs']['x'].get('channels') or []) not in (0, width):
    return f'it does not name {width} channels'
  grid = manifest.get('grid')
  if grid is not None and not 0 < float(grid) < float('inf'):
    return f'the grid is {grid}; it must be more than 0'
  if grid is not None and not noise:
    return 'it has a grid, but the edge has no input for noise'
  return None


def _read_half(folder, manifest, name):
  spec = manifest[name]
  path = folder / str(spec.get('file'))
  if path.parent != folder:
    raise errors.UserError(f'{path} is outside of {folder}.')
  data = _read_bytes(path)
  sha256 = hashlib.sha256(data).hexdigest()
  if sha256 != spec['sha256']:
    raise errors.UserError(
      f'{path} has sha256 {sha256}; the manifest says {spec["sha256"]}.'
    )
  model = _load(path, data, manifest, name)
  for key, tensors in (('inputs', model.inputs), ('outputs', model.outputs)):
    in_file, in_manifest = _shapes(tensors), _shapes(spec[key])
    if in_file != in_manifest:
      raise errors.UserError(
        f'{path} has {key} {in_file}; the manifest says {in_manifest}.'
      )
  return data


def _load(path, data, manifest, name):
  try:
    return device.Model(data)
  except ImportError as e:
    raise errors.UserError(
      'running a bundle needs LiteRT: pip install ai-edge-litert.'
    ) from e
  except (ValueError, RuntimeError) as e:
    # The least version in the file is one of TensorFlow, which LiteRT's own
    # versions do not continue. So only loading shows whether the file runs.
    least = manifest[name].get('least_litert_version', 'unknown')
    tested = manifest.get('tested_with', {}).get('ai_edge_litert', 'unknown')
    raise errors.UserError(
      f'ai-edge-litert {metadata.version("ai-edge-litert")} cannot run {path}:'
      f' {str(e).splitlines()[0]} The file needs TensorFlow Lite {least} or'
      f' newer and was tested with ai-edge-litert {tested}.'
    ) from e


def _shapes(tensors):
  """Returns the shapes and types of tensors, without units and scales."""
  return {
    name: {key: spec[key] for key in ('shape', 'dtype')}
    for name, spec in tensors.items()
  }


def _read_bytes(path: pathlib.Path) -> bytes:
  try:
    return path.read_bytes()
  except OSError as e:
    raise errors.UserError(
      f'could not read {path}: {e.strerror}. The export stage of a study writes'
      ' a bundle, with manifest.json and the TFLite files.'
    ) from e


def _refuse_constant(name):
  raise ValueError(f'{name} is not JSON')
