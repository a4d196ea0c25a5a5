"""Reads and resizes images with Pillow."""

import pathlib
import types
from collections.abc import Sequence

import numpy as np

from hybrid_jax import errors

# Formats that Pillow opens, and that are documents or films.
_NO_PICTURES = ('.eps', '.mpeg', '.mpg', '.pdf', '.ps')


def read(path: pathlib.Path, mode: str) -> np.ndarray:
  """Reads an image file, upright as its EXIF orientation says.

  Args:
    path: the file.
    mode: Pillow's mode, `'L'` for grey or `'RGB'`.

  Returns:
    uint8, `[h, w]` for grey images and `[h, w, 3]` for colour.

  Raises:
    UserError: Pillow is not installed, the file is not a complete image, or it
      has more than 8 bits a channel, which Pillow would cut off.
  """
  pillow()
  from PIL import ImageOps

  try:
    with pillow().open(path) as image:
      stored, upright = image.mode, ImageOps.exif_transpose(image)
      pixels = np.asarray(upright.convert(mode))
  except (OSError, SyntaxError, ValueError) as e:
    size = path.stat().st_size if path.is_file() else None
    state = 'does not exist' if size is None else f'has {size} bytes'
    raise errors.UserError(
      f'{path} cannot be read as an image: it {state}.'
    ) from e
  if stored.startswith(('I', 'F')):  # I;16, I and F of Pillow.
    raise errors.UserError(
      f'{path} has more than 8 bits a channel (mode {stored} of Pillow);'
      ' save it with 8.'
    )
  return pixels


def suffixes() -> tuple[str, ...]:
  """Returns the suffixes of all image formats that Pillow reads: `('.png', …)`.

  Raises:
    UserError: Pillow is not installed.
  """
  image = pillow()
  return tuple(
    sorted(
      suffix
      for suffix, kind in image.registered_extensions().items()
      if kind in image.OPEN and suffix not in _NO_PICTURES
    )
  )


def resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """Resizes an image.

  Args:
    pixels: `[h, w]` or `[h, w, 3]`, uint8.
    size: height and width.

  Raises:
    UserError: Pillow is not installed.
  """
  if pixels.shape[:2] == size:
    return pixels
  image = pillow().fromarray(pixels)
  return np.asarray(image.resize(size[::-1]))


def channel_names(count: int) -> Sequence[str]:
  """Returns the channels of an image with values from 0 to 1."""
  known = {1: ['grey'], 3: ['red', 'green', 'blue']}
  names = known.get(count, [f'channel {i}' for i in range(count)])
  return [f'{name} (0 to 1)' for name in names]


def pillow() -> types.ModuleType:
  """Imports Pillow's `Image` when it is needed; not all studies have images.

  Raises:
    UserError: it is not installed.
  """
  try:
    from PIL import Image
  except ImportError as e:
    raise errors.UserError(
      "images are read by Pillow, which is not installed: pip install 'pillow'."
    ) from e
  return Image
