"""Image files to pixels, by Pillow."""

import pathlib
import types

import numpy as np

from hybrid_jax import errors


def open_image(path: pathlib.Path, mode: str) -> np.ndarray:
  """An image file's pixels, uint8: `[h, w]` for mode L, `[h, w, 3]` for RGB.

  Raises:
    UserError: Pillow is not installed, or the file is no whole image.
  """
  pillow = library()
  try:
    with pillow.open(path) as image:
      return np.asarray(image.convert(mode))
  except (OSError, SyntaxError, ValueError) as e:
    size = path.stat().st_size if path.is_file() else None
    found = 'is not there' if size is None else f'has {size} bytes'
    raise errors.UserError(
      f'{path} cannot be read as an image: it {found}.'
    ) from e


def resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """`pixels [h, w]` or `[h, w, 3]`, uint8, at `size`, height and width.

  Raises:
    UserError: Pillow is not installed.
  """
  if pixels.shape[:2] == size:
    return pixels
  image = library().fromarray(pixels)
  return np.asarray(image.resize(size[::-1]))


def library() -> types.ModuleType:
  """Pillow's `Image`, imported where it is needed.

  Raises:
    UserError: it is not installed.
  """
  try:
    from PIL import Image  # Not all studies have images.
  except ImportError as e:
    raise errors.UserError(
      "images are read by Pillow, which is not installed: pip install 'pillow'."
    ) from e
  return Image
