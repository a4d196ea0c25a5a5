"""The cloud half of a bundle, ready to answer. Needs only NumPy and LiteRT."""

import os

import numpy as np

from hybrid_jax.deploy.formats import bundle, device, protocol

# Fields of the manifest that are parameters in the model's metadata.
_FIELDS = ('labels', 'split_point', 'embedding', 'grid', 'sigma')


class CloudHalf:
  """Maps released vectors to logits.

  Attributes:
    input: the input tensor, one released vector.
    output: the output tensor, its logits.
    metadata: fields of the manifest, and the file's SHA-256.
    sizes: the batch sizes that can run, ascending, from 1. A larger one is only
      used if it gives each row the same bits as batch 1.
  """

  def __init__(self, folder: str | os.PathLike, max_batch: int = 1):
    """Loads the cloud half of the bundle in `folder`.

    Args:
      folder: the bundle; the file of the edge half may be missing.
      max_batch: the largest batch size to use.

    Raises:
      UserError: see `bundle.read`.
    """
    contents = bundle.read(folder, ('cloud',))
    data, manifest = contents.files['cloud'], contents.manifest
    self.metadata = {
      k: manifest[k] for k in _FIELDS if manifest.get(k) is not None
    }
    self.metadata['sha256'] = manifest['cloud']['sha256']
    shape = (1, contents.dim)
    self.input = protocol.Tensor('released', shape, contents.grid)
    self.output = protocol.Tensor('logits', (1, len(contents.labels)))
    self.metadata['wire_datatypes'] = list(self.input.datatypes)
    self._models = {1: device.Model(data)}
    self._add_batches(data, max_batch)
    self.sizes = sorted(self._models)

  def __call__(self, vectors: np.ndarray) -> np.ndarray:
    """Maps float32 `[n, d]`, `n` at most `sizes[-1]`, to `[n, classes]`."""
    size = next(s for s in self.sizes if s >= len(vectors))
    padded = np.zeros((size, *vectors.shape[1:]), np.float32)
    padded[: len(vectors)] = vectors
    return self._models[size](released=padded)[: len(vectors)]

  def on_grid(self, vector: np.ndarray) -> bool:
    """Whether a vector is rounded as on the edge; true without a grid.

    A vector that is not on the grid is not from the bundle's edge, and may have
    left the device without noise. A vector on the grid may also be from
    elsewhere.
    """
    grid = self.metadata.get('grid')
    if grid is None:
      return True
    steps = vector.astype(np.float64) / grid
    nearest = np.round(steps)
    # For the rounding of float32, and of decimals in JSON.
    tolerance = 1e-3 + np.abs(nearest) * 2.0**-22
    return bool((np.abs(steps - nearest) <= tolerance).all())

  def _add_batches(self, data, max_batch):
    """Adds the powers of two up to `max_batch` that give the same bits."""
    rng = np.random.default_rng(0)
    size = 2
    while size <= max_batch:
      x = rng.standard_normal((size, *self.input.shape[1:]), np.float32)
      try:
        model = device.Model(data, batch=size)
        together = model(released=x)
      except (RuntimeError, ValueError):
        return  # Constants in the file, such as a shape, fix the batch at 1.
      alone = [self._models[1](released=row[None]) for row in x]
      if not np.array_equal(together, np.concatenate(alone)):
        return
      self._models[size] = model
      size *= 2
