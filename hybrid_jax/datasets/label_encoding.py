"""Labels from any source, read by one rule and encoded as numbers from 0.

The rule: bytes are UTF-8. Text is in the Unicode form NFC, without the blanks
around it. `1`, `1.0` and the text of both are one label. NaN, `None` and empty
text are no label.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hybrid_jax import errors

_BLANKS = '\ufeff\u200b'  # str.strip does not count them as blanks
_LACKING = ('', 'nan', 'NaN', 'NAN', '<NA>', 'NaT')
# Classes that often stand for a missing label, and may be a class.
_DOUBTFUL = (
  *('none', 'null', 'na', 'n/a', '#n/a', 'nan', '-nan', '<na>', 'nat', 'nil'),
  *('unknown', 'undefined', 'missing', '?', '-'),
)
_LARGE_CODES = (99, 255, 999, 9999, 65535)
_WHOLE = re.compile(r'^([+-]?[0-9]+)\.0*$')


def encode(
  values: np.ndarray,
  what: str,
  names: Sequence[str] | None = None,
  unused: str = 'error',
) -> tuple[np.ndarray, list[str]]:
  """Encodes labels as class numbers from 0.

  Args:
    values: `[n]` whole numbers or text; see `read`.
    what: the name of the label, for error messages.
    names: the names of the classes, from `read_names`. Then a number is an
      index into the names, and text is one of them. Without names, every
      distinct value is a class, in ascending order.
    unused: what to do with a name that no example has: `'error'`, `'keep'` it
      as an empty class, or `'drop'` it.

  Returns:
    The classes, `[n]` int32, and their names.

  Raises:
    UserError: `read` refuses a value, a value has no name, or a name is unused.
  """
  values = read(values, what)
  if names is None:
    classes, codes = np.unique(values, return_inverse=True)
    return codes.astype(np.int32), [str(name) for name in classes.tolist()]
  names = list(names)
  codes = _find(values, names, what)
  used, compact_codes = np.unique(codes, return_inverse=True)
  if unused == 'drop':
    return compact_codes.astype(np.int32), [names[i] for i in used]
  if unused == 'error' and len(used) < len(names):
    without = sorted(set(range(len(names))) - set(used.tolist()))
    raise errors.UserError(
      f'{what} has {len(used)} classes and {len(names)} names; no example is of'
      f' {", ".join(repr(names[i]) for i in without)}. Remove the names that'
      ' are not used.'
    )
  return codes.astype(np.int32), names


def read(values: np.ndarray, what: str) -> np.ndarray:
  """Reads labels as whole numbers or as text of one spelling.

  Args:
    values: `[n]` bools, whole numbers (floats such as 1.0 too), text, bytes in
      UTF-8, or Python objects of these.
    what: the name of the label, for error messages.

  Returns:
    `[n]` bool, int or text.

  Raises:
    UserError: a value is of another type, is missing (NaN, `None`, empty), or
      is not UTF-8. The message names the first one and its row, from 0.
  """
  values = np.asarray(values)
  kind = values.dtype.kind
  if kind in 'OT':  # T is NumPy's text of any length.
    return _read_objects(values.tolist(), what)
  if kind == 'f':
    return _read_floats(values, what)
  if kind in 'biu':
    return values
  distinct, codes = np.unique(read_text(values, what), return_inverse=True)
  canonical = [_WHOLE.sub(r'\1', name) for name in distinct.tolist()]
  for i, name in enumerate(canonical):
    if is_missing(name):
      _refuse_missing(repr(name), int(np.argmax(codes == i)), what)
  return np.array(canonical, dtype=str)[codes]


def is_missing(text: str) -> bool:
  """Returns whether a text, without blanks around it, is no label."""
  return text in _LACKING


def read_text(values: np.ndarray, what: str) -> np.ndarray:
  """Reads text in the form NFC, without the blanks around it.

  Args:
    values: `[n]` text, or bytes in UTF-8.
    what: the name of the values, for error messages.

  Raises:
    UserError: the values are no text, or one is not UTF-8.
  """
  if values.dtype.kind not in 'US':
    raise errors.UserError(
      f'{what} is {values.dtype}; labels are whole numbers or text.'
    )
  distinct, codes = np.unique(values, return_inverse=True)
  text = []
  for i, value in enumerate(distinct.tolist()):
    try:
      text.append(_decode(value))
    except UnicodeError:
      row = int(np.argmax(codes == i))
      raise errors.UserError(
        f'{what} is {value!a} in row {row}, which is not UTF-8; decode it'
        ' by the encoding in which it was written, and store it as text.'
      ) from None
  return np.array(text, dtype=str)[codes]


def _decode(value: str | bytes) -> str:
  text = value.decode('utf-8') if isinstance(value, bytes) else value
  text.encode('utf-8')  # Raises for half of a surrogate pair.
  return unicodedata.normalize('NFC', text).strip().strip(_BLANKS).strip()


def _read_objects(values, what):
  """Reads Python objects, such as those of a table of pandas."""
  for row, value in enumerate(values):
    is_number = isinstance(value, bool | int | float | np.number | np.bool_)
    # pandas.NA has no truth value, so its type is compared.
    if value is None or type(value).__name__ in ('NAType', 'NaTType'):
      _refuse_missing(str(value), row, what)
    if not (is_number or isinstance(value, str | bytes)):
      raise errors.UserError(
        f'{what} is {type(value).__name__} {str(value)[:40]!r} in row {row};'
        ' labels are whole numbers or text.'
      )
  if not any(isinstance(value, str | bytes) for value in values):
    return read(np.array(values), what)
  text = [v if isinstance(v, str | bytes) else str(v) for v in values]
  if any(isinstance(value, bytes) for value in text):
    text = [v if isinstance(v, bytes) else v.encode() for v in text]
  return read(np.array(text), what)


def are_whole(values: np.ndarray) -> np.ndarray:
  """Returns which floats are whole numbers that a float64 holds: `[...]`."""
  return (values == np.round(values)) & (np.abs(values) < 2**53)


def _read_floats(values, what):
  """Reads floats that are whole numbers, as a table with a gap has them."""
  if np.isnan(values).any():
    _refuse_missing('nan', int(np.argmax(np.isnan(values))), what)
  whole = are_whole(values)
  if not whole.all():
    row = int(np.argmin(whole))
    raise errors.UserError(
      f'{what} is {values.dtype}, {values[row]:g} in row {row}; labels are'
      ' whole numbers or text.'
    )
  return values.astype(np.int64)


def _refuse_missing(value, row, what):
  raise errors.UserError(
    f'{what} is {value} in row {row}, which is no label; leave out the examples'
    ' without a label, or give them a class with a name.'
  )


def _find(values, names, what):
  """Returns the index of each value's name."""
  if values.dtype.kind == 'U':
    index = {name: i for i, name in enumerate(names)}
    codes = np.array([index.get(value, -1) for value in values.tolist()])
  else:
    codes = values.astype(np.int64)
  wrong = (codes < 0) | (codes >= len(names))
  if wrong.any():
    row = int(np.argmax(wrong))
    raise errors.UserError(
      f'{what} is {values[row].item()!r} in row {row}; its {len(names)} names'
      f' are {", ".join(names)}.'
    )
  return codes


def read_names(names: np.ndarray, what: str) -> list[str]:
  """Returns stored names as a list, read as `read` does.

  Args:
    names: `[k]`, or `[]` for a single name.
    what: whose names they are, for error messages.

  Raises:
    UserError: the array has more than one axis, a name is empty or not UTF-8,
      or a name occurs twice.
  """
  if names.ndim > 1:
    raise errors.UserError(
      f'{what} have shape {names.shape}; they must have one axis.'
    )
  names = np.atleast_1d(names)
  out = [str(name) for name in read(names, what).tolist()] if names.size else []
  for name in out:
    if out.count(name) > 1:
      raise errors.UserError(
        f'{what} are {", ".join(out)}: {name!r} occurs twice.'
      )
  return out


def similar_names(names: Sequence[str]) -> list[list[str]]:
  """Returns the groups of names that are probably spellings of one name.

  They differ only in spaces, capitals, invisible or compatible characters, or
  are the same number.
  """
  groups: dict[Any, list[str]] = {}
  for name in map(str, names):
    groups.setdefault(_spelling(name), []).append(name)
  return [group for group in groups.values() if len(group) > 1]


def _spelling(name: str) -> float | str:
  visible = ''.join(c for c in name if unicodedata.category(c) != 'Cf')
  plain = unicodedata.normalize('NFKC', ''.join(visible.split())).casefold()
  number = _number(plain)
  return plain if number is None else number


def _number(text: str) -> float | None:
  try:
    value = float(text)
  except ValueError:
    return None
  return value if np.isfinite(value) else None


def doubtful_names(names: Sequence[str]) -> list[str]:
  """Returns the names that often stand for a missing label.

  Words such as `none`; numbers below 0, unless the classes are -1 and 1; and
  99, 255, 999, 9999 or 65535, if all names are numbers and the one before it
  is none of them.
  """
  words = {str(name): str(name).casefold() for name in names}
  doubtful = [name for name, word in words.items() if word in _DOUBTFUL]
  numbers = {name: _number(name) for name in words}
  values = set(numbers.values())
  if None in values:
    return doubtful + [n for n, v in numbers.items() if v is not None and v < 0]
  is_sign = values == {-1, 1}
  return doubtful + [
    name
    for name, value in numbers.items()
    if value is not None
    and (
      (value < 0 and not is_sign)
      or (value in _LARGE_CODES and value - 1 not in values)
    )
  ]


def remarks(what: str, names: Sequence[str]) -> Iterator[str]:
  """Yields a line for each doubt about the names of a label's classes.

  Args:
    what: the name of the label.
    names: of its classes.
  """
  for similar in similar_names(names):
    yield (
      f'{what} has the classes {" and ".join(map(repr, similar))}, which'
      ' differ only in spaces, capitals, invisible characters or in how a'
      ' number is written.'
    )
  if doubtful := doubtful_names(names):
    yield (
      f'{what} has the class {" and ".join(map(repr, doubtful))}: if that is a'
      ' code for a missing label, leave out these examples.'
    )
  if broken := [name for name in map(str, names) if '\ufffd' in name]:
    yield (
      f'{what} has the class {broken[0]!r}, with the mark of a character that'
      ' was lost: labels may have been merged when the file was written.'
    )
