"""The edge half of a bundle, as the client needs it."""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping

import numpy as np

from hybrid_jax.deploy.formats import bundle, device


@dataclasses.dataclass(frozen=True)
class EdgeHalf:
  """The edge half of a bundle.

  Attributes:
    release: maps a window to `[1, dim]`, with fresh noise in each call.
    outside: why a window is far outside of the training data; None if it is
      not.
    has_range: whether the bundle has the range of the training data.
    channels: the names of the channels, with units; empty if unknown.
    hertz: rows a second of a signal; None if unknown.
    stream: sensitive label to the number of windows of one person that keep
      the study's ceiling under its limit; see `measures.ceiling`.
    window_shape: the shape of a window without a batch: `[1, time, channels]`
      for signals, `[height, width, channels]` for pictures.
    dim: how many numbers are released.
    grid: the step of which they are multiples; None without noise.
    labels: the names of the classes.
    cloud_sha256: the SHA-256 of the cloud half that belongs to this edge.
  """

  release: Callable[[np.ndarray], np.ndarray]
  window_shape: tuple[int, ...]
  dim: int
  grid: float | None
  labels: tuple[str, ...]
  cloud_sha256: str
  outside: Callable[[np.ndarray], str | None] = lambda window: None
  has_range: bool = False
  channels: tuple[str, ...] = ()
  hertz: float | None = None
  stream: Mapping[str, int] = dataclasses.field(default_factory=dict)


def read(folder: str | os.PathLike) -> EdgeHalf:
  """Loads the edge half of a bundle; the cloud half's file may be missing.

  Raises:
    UserError: see `formats.bundle.read`.
  """
  contents = bundle.read(folder, ('edge',))
  edge = device.Edge(folder)
  return EdgeHalf(
    release=functools.partial(edge, allow_out_of_range=True),
    outside=edge.outside,
    has_range=bool(contents.manifest['edge']['inputs']['x'].get('range')),
    channels=tuple(edge.channels),
    hertz=contents.manifest['edge']['inputs']['x'].get('hertz'),
    stream={
      label: figures['budget']
      for label, figures in contents.manifest['figures']
      .get('stream', {})
      .items()
    },
    window_shape=contents.window_shape,
    dim=contents.dim,
    grid=contents.grid,
    labels=contents.labels,
    cloud_sha256=contents.manifest['cloud']['sha256'],
  )
