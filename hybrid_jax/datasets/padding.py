"""Common shapes of arrays, so that few programs are compiled.

JAX compiles a program anew for each shape of its arguments. Arrays whose sizes
depend on the data are padded with zeros to one of a few sizes, and the program
is given the number that counts.
"""

from collections.abc import Mapping

import numpy as np

TILE = 256  # every common number of rows is a multiple of it
_WIDTHS = (8, 16, 64)
_LEAST_CLASSES = 16  # few classes cost as little as two


def width(size: int) -> int:
  """Returns the common width for `size` values: 8, 16, 64, 128, 256, …"""
  return next((w for w in _WIDTHS if w >= size), _power_of_two(size))


def classes(count: int) -> int:
  """Returns the common number of columns for `count` classes, at least 16."""
  return width(max(count, _LEAST_CLASSES))


def rows(count: int) -> int:
  """Returns the common number of rows for `count` rows, at most 12.5 % more.

  It is a multiple of `TILE`, which may be more than that for few rows.
  """
  step = max(TILE, _power_of_two(count) // 8)
  return max(step, -(-count // step) * step)


def pad(x: np.ndarray, sizes: Mapping[int, int]) -> np.ndarray:
  """Appends zeros to axes of an array.

  Args:
    x: the array.
    sizes: axis to its new size. An axis that is longer keeps its size.
  """
  widths = [(0, 0)] * x.ndim
  for axis, size in sizes.items():
    widths[axis] = (0, max(0, size - x.shape[axis]))
  return np.pad(x, widths)


def blocks(x: np.ndarray, size: int) -> list[np.ndarray]:
  """Splits `x [n, ...]` into arrays `[size, ...]`; the last one is padded."""
  return [
    pad(x[start : start + size], {0: size}) for start in range(0, len(x), size)
  ]


def _power_of_two(size):
  # A number of NumPy has no `bit_length`.
  return 1 << max(int(size) - 1, 0).bit_length()
