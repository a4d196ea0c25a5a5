"""Reads CSV files, and names the row and column of a mistake."""

import csv
import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from hybrid_jax import errors

_LARGEST = float(np.finfo(np.float32).max)


@dataclasses.dataclass(frozen=True)
class Table:
  """The text of a CSV file.

  Attributes:
    path: the file.
    header: the column names, from row 1.
    rows: the values of each row below it, without the spaces around them.
    numbers: the row number of each row, from 1.
  """

  path: pathlib.Path
  header: list[str]
  rows: list[list[str]]
  numbers: list[int]

  def text(self, name: str) -> list[str]:
    """Returns the values of a column.

    Raises:
      UserError: there is no column of that name.
    """
    column = self._index(name)
    return [row[column] for row in self.rows]

  def floats(self, names: Sequence[str]) -> np.ndarray:
    """Returns columns as `[rows, columns]` float32.

    Raises:
      UserError: there is no column of that name, or a value is not a finite
        number in the range of float32.
    """
    columns = [self._index(name) for name in names]
    try:
      values = np.array(
        [[float(row[column]) for column in columns] for row in self.rows]
      )
    except ValueError:
      values = np.array(np.nan)
    if not (np.abs(values) < _LARGEST).all():
      self._raise_first_mistake(columns)
    return values.astype(np.float32)

  def _index(self, name):
    with errors.prefix(f'{self.path}, row 1'):
      errors.check_known('column', name, self.header)
    return self.header.index(name)

  def _raise_first_mistake(self, columns):
    for number, row in zip(self.numbers, self.rows, strict=True):
      for column in columns:
        if not _is_number(row[column]):
          raise errors.UserError(
            f'{self.path}, row {number}, column {self.header[column]!r}:'
            f' {row[column]!r} is not a finite number.'
          )


def _is_number(text):
  try:
    return abs(float(text)) < _LARGEST
  except ValueError:
    return False


def read(path: pathlib.Path) -> Table:
  """Reads a CSV file with a header; empty lines are skipped.

  Raises:
    UserError: the file does not exist or is not CSV, has no row below its
      header, has a column name twice, or has a row of another length.
  """
  try:
    with open(path, newline='', encoding='utf-8-sig') as file:
      reader = csv.reader(file)
      rows = [(reader.line_num, [v.strip() for v in row]) for row in reader]
  except FileNotFoundError as e:
    raise errors.UserError(f'{path} does not exist.') from e
  except (OSError, UnicodeDecodeError, csv.Error) as e:
    raise errors.UserError(f'{path} cannot be read as CSV: {e}.') from e
  rows = [(number, row) for number, row in rows if row not in ([], [''])]
  if len(rows) < 2:
    raise errors.UserError(
      f'{path} is empty: it has {"only a header" if rows else "no header"}.'
    )
  (_, header), *rows = rows
  for name in header:
    if header.count(name) > 1:
      raise errors.UserError(
        f'{path}, row 1: the column {name!r} occurs twice, among'
        f' {", ".join(header)}.'
      )
  for number, row in rows:
    if len(row) != len(header):
      raise errors.UserError(
        f'{path}, row {number} has {len(row)} values; its header has'
        f' {len(header)}.'
      )
  return Table(
    path=path,
    header=header,
    rows=[row for _, row in rows],
    numbers=[number for number, _ in rows],
  )
