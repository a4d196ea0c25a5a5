"""Reads sensor rows from CSV text, with its columns in the bundle's order."""

import csv
import math
from collections.abc import Iterable, Iterator, Sequence

from hybrid_jax import errors
from hybrid_jax.deploy.formats import device

_MISSING = ('', 'na', 'n/a', 'none', 'null', '-')


def read(
  lines: Iterable[str], channels: Sequence[str] = ()
) -> Iterator[list[float]]:
  """Yields the rows in the order of the channels.

  A first line without any number is the header. Its names and units must be
  those of the channels, in any order; other columns are passed over. Without a
  header, or without channels, the columns stay as they are.

  Args:
    lines: of the file; a byte order mark is passed over.
    channels: of the bundle, with units; empty if they are unknown.

  Raises:
    UserError: the header does not fit, or a value is no finite number; the
      message names the line.
  """
  order, is_first = None, True
  width = 0
  for number, cells in enumerate(csv.reader(_without_mark(lines)), 1):
    if not any(cell.strip() for cell in cells) and len(cells) < 2:
      continue
    if is_first and _is_header(cells):
      order, width = _order(cells, channels), len(cells)
    else:
      yield _numbers(number, cells, order, width)
    is_first = False


def _without_mark(lines):
  for i, line in enumerate(lines):
    yield line if i else line.removeprefix('\ufeff')


def _is_header(cells) -> bool:
  """Returns whether the cells are names: no numbers, nor signs for none."""
  return not any(map(_is_number, cells)) and not all(
    cell.strip().lower() in _MISSING for cell in cells
  )


def _is_number(cell) -> bool:
  try:
    float(cell)
  except ValueError:
    return False
  return True


def _order(header, channels) -> list[int] | None:
  if not channels:
    return None
  try:
    return device.order_columns([cell.strip() for cell in header], channels)
  except ValueError as e:
    raise errors.UserError(
      f'line 1 of the rows: {e}. Name the columns and units as the bundle does.'
    ) from e


def _numbers(number, cells, order, width) -> list[float]:
  if order is not None:
    if len(cells) != width:
      raise errors.UserError(
        f'line {number} of the rows has {len(cells)} values; the header has'
        f' {width}.'
      )
    cells = [cells[i] for i in order]
  try:
    row = [float(cell) for cell in cells]
  except ValueError:
    raise errors.UserError(
      f'line {number} of the rows is not numbers.'
    ) from None
  if not all(map(math.isfinite, row)):
    raise errors.UserError(f'line {number} of the rows holds NaN or infinity.')
  return row
