"""Reads CSV files, and names the row and column of a mistake."""

import contextlib
import csv
import dataclasses
import pathlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TextIO

import numpy as np

from hybrid_jax import errors

_LARGEST = float(np.finfo(np.float32).max)
_BLOCK = 1 << 16  # rows in memory as text


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
    """Returns columns as `[rows, columns]` float32; see `numbers_of`."""
    return self.numbers_of(names).astype(np.float32)

  def numbers_of(
    self,
    names: Sequence[str],
    parsers: Mapping[str, Callable[[str], float]] | None = None,
  ) -> np.ndarray:
    """Returns columns as `[rows, columns]` float64.

    Args:
      names: of the columns.
      parsers: column to what turns its text into a number; `float` for others.

    Raises:
      UserError: there is no column of that name, or a value is not a finite
        number in the range of float32.
    """
    columns = [self._index(name) for name in names]
    parse = [(parsers or {}).get(name, float) for name in names]
    out = np.empty((len(self.rows), len(names)))
    for i, row in enumerate(self.rows):
      for k, column in enumerate(columns):
        out[i, k] = self._number(i, row, column, parse[k])
    return out

  def _index(self, name):
    with errors.prefix(f'{self.path}, row 1'):
      errors.check_known('column', name, self.header)
    return self.header.index(name)

  def _number(self, i, row, column, parse):
    with contextlib.suppress(ValueError):
      value = parse(row[column])
      if abs(value) < _LARGEST:
        return value
    what = 'a finite number' if parse is float else 'a time'
    raise errors.UserError(
      f'{self.path}, row {self.numbers[i]}, column {self.header[column]!r}:'
      f' {row[column]!r} is not {what}.'
    )


def read(path: pathlib.Path) -> Table:
  """Reads a CSV file with a header; empty lines are skipped.

  Raises:
    UserError: the file does not exist or is not CSV, has no row below its
      header, has a column name twice, or has a row of another length.
  """
  with _opened(path) as file:
    reader = csv.reader(file)
    rows = [(reader.line_num, [v.strip() for v in row]) for row in reader]
  rows = [(number, row) for number, row in rows if row not in ([], [''])]
  if len(rows) < 2:
    raise errors.UserError(
      f'{path} is empty: it has {"only a header" if rows else "no header"}.'
    )
  (_, header), *rows = rows
  _check_header(path, header)
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


def read_head(path: pathlib.Path) -> tuple[list[str], list[str]]:
  """Reads the header and the first row below it.

  Raises:
    UserError: see `read`.
  """
  with _opened(path) as file:
    rows = ([v.strip() for v in row] for row in csv.reader(file))
    rows = (row for row in rows if row not in ([], ['']))
    header, first = next(rows, []), next(rows, [])
  if len(first) != len(header) or not header:
    table = read(path)  # It names the mistake.
    return table.header, table.rows[0]
  _check_header(path, header)
  return header, first


def read_numbers(
  path: pathlib.Path,
  names: Sequence[str],
  parsers: Mapping[str, Callable[[str], float]] | None = None,
) -> np.ndarray:
  """Reads columns of a long file, in blocks, as `[rows, columns]` float64.

  A file with a mistake is read again by `read`, which names the mistake.

  Args:
    path: the file.
    names: of the columns.
    parsers: column to what turns its text into a number; `float` for others.

  Raises:
    UserError: see `read` and `Table.numbers_of`.
  """
  header, _ = read_head(path)
  if unknown := [name for name in names if name not in header]:
    with errors.prefix(f'{path}, row 1'):
      errors.check_known('column', unknown[0], header)
  columns = [header.index(name) for name in names]
  converters: dict[int | str, Callable[[str], Any]] = {
    i: parsers[name] if parsers and i in columns else _skip
    for i, name in enumerate(header)
    if i not in columns or (parsers and name in parsers)
  }
  try:
    with _opened(path) as file:
      blocks = list(_blocks(file, len(header), columns, converters))
  except ValueError:
    blocks = []
  if not blocks:  # A mistake, or numbers that only Python reads.
    return read(path).numbers_of(names, parsers)
  # Each block is freed when it is copied.
  out = np.empty((sum(map(len, blocks)), len(names)))
  stop = len(out)
  while blocks:
    block = blocks.pop()
    out[stop - len(block) : stop] = block
    stop -= len(block)
  return out


def row_number(path: pathlib.Path, index: int) -> int:
  """Returns the row in the file of the row `index` (from 0) of its numbers."""
  return read(path).numbers[index]


def _blocks(
  file: TextIO,
  width: int,
  columns: Sequence[int],
  converters: dict[int | str, Callable[[str], Any]],
) -> Iterator[np.ndarray]:
  """Yields blocks of rows `[rows, columns]`.

  Raises:
    ValueError: a value is no finite number, or a row has another length.
  """
  reader = csv.reader(iter(file.readline, ''))
  while [v.strip() for v in next(reader)] in ([], ['']):
    pass
  with warnings.catch_warnings():
    warnings.simplefilter('ignore', UserWarning)  # The last block is empty.
    while True:
      block = np.loadtxt(
        file,
        delimiter=',',
        comments=None,
        quotechar='"',
        converters=converters,
        ndmin=2,
        max_rows=_BLOCK,
      )
      if not block.size:
        return
      if block.shape[1] != width:
        raise ValueError(f'{block.shape[1]} columns')
      selected = block[:, list(columns)]
      if not (np.abs(selected) < _LARGEST).all():
        raise ValueError('not finite')
      yield selected


def _skip(text: str) -> float:
  """Takes the place of the values of a column that is not read."""
  return 0.0


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[TextIO]:
  try:
    with open(path, newline='', encoding='utf-8-sig') as file:
      yield file
  except FileNotFoundError as e:
    raise errors.UserError(f'{path} does not exist.') from e
  except UnicodeDecodeError as e:
    raise errors.UserError(
      f'{path} cannot be read as CSV: {_first_not_utf8(path)}'
    ) from e
  except (OSError, csv.Error) as e:
    raise errors.UserError(f'{path} cannot be read as CSV: {e}.') from e


def _first_not_utf8(path) -> str:
  """Returns the row and the text of the first line that is not UTF-8."""
  with open(path, 'rb') as file:
    for number, line in enumerate(file, 1):
      try:
        line.decode('utf-8')
      except UnicodeDecodeError as e:
        text = line[max(e.start - 20, 0) : e.end + 20].strip()
        return f'row {number} is not UTF-8: {text!r}. Save it as UTF-8.'
  return 'it is not UTF-8; save it as UTF-8.'


def _check_header(path, header):
  for name in header:
    if header.count(name) > 1:
      raise errors.UserError(
        f'{path}, row 1: the column {name!r} occurs twice, among'
        f' {", ".join(header)}.'
      )
