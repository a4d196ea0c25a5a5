"""Converts kernels to the order of axes `[height, width, in, out]`."""

import pathlib
from collections.abc import Mapping

import numpy as np

from hybrid_jax import errors
from hybrid_jax.models.pretrained import names, readers

HWIO, OIHW = 'HWIO', 'OIHW'


def detect(
  entries: Mapping[str, Mapping[str, names.Entry]],
  source: str,
  path: pathlib.Path,
) -> str:
  """Returns the order of axes of a file's kernels: `HWIO` or `OIHW`.

  Keras uses HWIO and PyTorch uses OIHW. NumPy files may use either; the 3x3
  windows of the convolutions show which.

  Args:
    entries: the arrays of the file by layer; see `names.find`.
    source: the program that wrote the file; see `readers.source`.
    path: the file, for messages.

  Raises:
    UserError: the shapes fit neither order, or both.
  """
  if source != readers.NUMPY:
    return HWIO if source == readers.KERAS else OIHW
  shapes = [
    entries[name]['kernel'].array.shape
    for name in names.CONVS
    if 'kernel' in entries.get(name, {})
  ]
  is_hwio = all(s[:2] == (3, 3) for s in shapes)
  is_oihw = all(s[2:] == (3, 3) for s in shapes)
  if is_hwio and not is_oihw:
    return HWIO
  if is_oihw and not is_hwio:
    return OIHW
  raise errors.UserError(
    f'{path} must have convolutions of [3, 3, in, out] or of [out, in, 3, 3];'
    f' their shapes are {", ".join(map(str, shapes)) or "missing"}.'
  )


def kernel(
  entry: names.Entry, layer: str, layout: str, channels: int
) -> np.ndarray:
  """Converts a kernel to this program's order of axes.

  Args:
    entry: the kernel in the file.
    layer: the name of its layer.
    layout: the file's order of axes, `HWIO` or `OIHW`.
    channels: the channels of the array that fc6 flattens (those of conv5_3).

  Returns:
    `[height, width, in, out]` for a convolution, `[in, out]` for a dense layer,
    whose input is flattened in the order height, width, channel. An array of
    another rank is returned unchanged.
  """
  array = entry.array
  if layer in names.CONVS:
    if layout == OIHW and array.ndim == 4:
      return array.transpose(2, 3, 1, 0)
    return array
  # A dense layer may be stored as a convolution over the whole picture.
  if array.ndim == 4:
    if layout == OIHW:
      array = array.transpose(2, 3, 1, 0)
    return array.reshape(-1, array.shape[-1])
  if layout == HWIO or array.ndim != 2:
    return array
  if layer == 'fc6' and array.shape[1] % channels == 0:
    # The file's input is flattened in the order channel, height, width.
    out = len(array)
    pictures = array.reshape(out, channels, -1)
    return pictures.transpose(2, 1, 0).reshape(-1, out)
  return array.T
