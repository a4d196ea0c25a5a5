"""From the axes of other programs to `[height, width, in, out]`."""

import pathlib
from collections.abc import Mapping

import numpy as np

from hybrid_jax import errors
from hybrid_jax.models.pretrained import names, readers

HWIO, OIHW = 'HWIO', 'OIHW'


def detect(
  found: Mapping[str, Mapping[str, names.Entry]],
  source: str,
  path: pathlib.Path,
) -> str:
  """How a file orders a kernel's axes: `HWIO` or `OIHW`.

  Keras and PyTorch have one order each. NumPy files come in both, and the 3x3
  windows of the convolutions tell which.

  Raises:
    UserError: the shapes do not tell.
  """
  if source != readers.NUMPY:
    return HWIO if source == readers.KERAS else OIHW
  shapes = [
    found[name]['kernel'].array.shape
    for name in names.CONVS
    if 'kernel' in found.get(name, {})
  ]
  first = [s[:2] == (3, 3) for s in shapes]
  last = [s[2:] == (3, 3) for s in shapes]
  if all(first) and not all(last):
    return HWIO
  if all(last) and not all(first):
    return OIHW
  raise errors.UserError(
    f'{path} must have convolutions of [3, 3, in, out] or of [out, in, 3, 3];'
    f' their shapes are {", ".join(map(str, shapes)) or "missing"}.'
  )


def kernel(
  entry: names.Entry, layer: str, layout: str, channels: int
) -> np.ndarray:
  """A kernel as this program has it.

  Args:
    entry: as found.
    layer: whose it is.
    layout: `HWIO` or `OIHW`.
    channels: of the picture that fc6 flattens; the width of conv5_3.

  Returns:
    `[height, width, in, out]` of a convolution, `[in, out]` of a dense layer,
    whose input is flattened in the order height, width, channel. An array of
    another rank is returned as it is.
  """
  array = entry.array
  if layer in names.CONVS:
    if layout == OIHW and array.ndim == 4:
      return array.transpose(2, 3, 1, 0)
    return array
  # A dense layer may be written as a convolution of the whole picture.
  if array.ndim == 4:
    if layout == OIHW:
      array = array.transpose(2, 3, 1, 0)
    return array.reshape(-1, array.shape[-1])
  if layout == HWIO or array.ndim != 2:
    return array
  if layer == 'fc6' and array.shape[1] % channels == 0:
    # Its input was flattened in the order channel, height, width.
    out = len(array)
    pictures = array.reshape(out, channels, -1)
    return pictures.transpose(2, 1, 0).reshape(-1, out)
  return array.T
