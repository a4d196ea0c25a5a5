"""The edge half of a bundle, checked before anything is released."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np

from hybrid_jax.deploy.device import failures
from hybrid_jax.deploy.export import device

_FORMATS = (1, 2)


@dataclasses.dataclass(frozen=True)
class Bundle:
  """What the client needs of a bundle.

  Attributes:
    edge: a window to `[1, dim]`, with fresh noise in each call.
    window_shape: of a window, without a batch: `[1, time, channels]` for
      signals, `[height, width, channels]` for pictures.
    dim: how many numbers are released.
    grid: of which they are multiples; None without noise.
    labels: the names of the classes.
    cloud_sha256: of the cloud half that belongs to this edge.
  """

  edge: Callable[[np.ndarray], np.ndarray]
  window_shape: tuple[int, ...]
  dim: int
  grid: float | None
  labels: tuple[str, ...]
  cloud_sha256: str


def read(folder: str | os.PathLike) -> Bundle:
  """Loads the edge half; the cloud's file need not be on the device.

  Raises:
    BadBundle: a file is missing or damaged, the halves do not belong together,
      or the installed LiteRT cannot run the edge.
  """
  folder = pathlib.Path(folder)
  manifest = _manifest(folder)
  try:
    found = _checked(manifest)
  except (AttributeError, KeyError, TypeError, ValueError, IndexError) as e:
    raise failures.BadBundle(
      f'{folder / "manifest.json"} does not describe a bundle:'
      f' {type(e).__name__} {e}.'
    ) from e
  return dataclasses.replace(found, edge=_edge(folder, manifest, found))


def _manifest(folder):
  path = folder / 'manifest.json'
  try:
    manifest = json.loads(path.read_text(encoding='utf-8'))
  except OSError as e:
    raise failures.BadBundle(f'could not read {path}: {e.strerror}.') from e
  except ValueError as e:
    raise failures.BadBundle(f'{path} is damaged: {e}.') from e
  if not isinstance(manifest, dict) or manifest.get('format') not in _FORMATS:
    raise failures.BadBundle(
      f'{path} is no manifest of format'
      f' {" or ".join(str(f) for f in _FORMATS)}.'
    )
  return manifest


def _checked(manifest: dict[str, Any]) -> Bundle:
  """The facts, with a placeholder for the edge; ValueError where they clash."""
  if manifest.get('noise', 'input') != 'input':
    raise ValueError('its noise is drawn inside, which is not private')
  edge, cloud = manifest['edge'], manifest['cloud']
  for half, other in ((edge, cloud), (cloud, edge)):
    if half.get('paired_with', other['sha256']) != other['sha256']:
      raise ValueError('the edge and the cloud half are not of one pair')
  batch, *window = edge['inputs']['x']['shape']
  released = list(edge['outputs']['released']['shape'])
  taken = list(cloud['inputs']['released']['shape'])
  if batch != 1 or len(released) != 2 or released[0] != 1:
    raise ValueError('the edge does not take one window to one vector')
  if released != taken:
    raise ValueError(f'the edge releases {released}; the cloud takes {taken}')
  if 'noise' in edge['inputs'] and edge['inputs']['noise']['shape'] != [
    released[1]
  ]:
    raise ValueError('the noise has another shape than what it is added to')
  labels = tuple(manifest['labels'])
  if list(cloud['outputs']['logits']['shape']) != [1, len(labels)]:
    raise ValueError(f'there are {len(labels)} labels, and not as many logits')
  grid = (manifest.get('wire') or manifest).get('grid')
  if grid is not None and not 0 < float(grid) < float('inf'):
    raise ValueError(f'the grid is {grid}')
  return Bundle(
    edge=lambda window: window,
    window_shape=tuple(int(n) for n in window),
    dim=int(released[1]),
    grid=grid,
    labels=labels,
    cloud_sha256=str(cloud['sha256']),
  )


def _edge(folder, manifest, found: Bundle):
  spec = manifest['edge']
  try:
    edge = device.Edge(folder)
    trial = np.shape(edge(np.zeros(found.window_shape, np.float32)))
  except ImportError as e:
    raise failures.BadBundle(
      'the client needs LiteRT: pip install ai-edge-litert.'
    ) from e
  except OSError as e:
    raise failures.BadBundle(
      f'could not read {folder / str(spec.get("file"))}: {e.strerror}.'
    ) from e
  except (ValueError, RuntimeError) as e:
    if 'sha256' in str(e):  # The file is another: the runtime is not to blame.
      raise failures.BadBundle(f'{e}.') from e
    # The runtime tells by itself which version of an operation it lacks.
    tested = (manifest.get('tested_with') or {}).get('ai_edge_litert', '?')
    raise failures.BadBundle(
      f'LiteRT {_installed()} does not run the edge of {folder}, which was'
      f' tested with {tested}: {e}'
    ) from e
  if trial != (1, found.dim):
    raise failures.BadBundle(
      f'{folder / spec["file"]} releases {trial}, not (1, {found.dim}).'
    )
  return edge


def _installed():
  try:
    return metadata.version('ai-edge-litert')
  except metadata.PackageNotFoundError:
    return '?'
