"""Labels from any source, encoded as class numbers from 0."""

from collections.abc import Sequence

import numpy as np

from hybrid_jax import errors


def encode(
  values: np.ndarray,
  what: str,
  names: Sequence[str] | None = None,
  unused: str = 'error',
) -> tuple[np.ndarray, list[str]]:
  """Encodes labels as class numbers from 0.

  Args:
    values: `[n]` whole numbers or text.
    what: the name of the label, for error messages.
    names: the names of the classes. Then a number is an index into the names,
      and text is one of them. Without names, every distinct value is a class,
      in ascending order.
    unused: what to do with a name that no example has: `'error'`, `'keep'` it
      as an empty class, or `'drop'` it.

  Returns:
    The classes, `[n]` int32, and their names.

  Raises:
    UserError: the values are neither whole numbers nor text, a value has no
      name, or a name is unused.
  """
  values = _decode(values, what)
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


def _decode(values, what):
  """Returns whole numbers or text; bytes are decoded."""
  if values.dtype.kind not in 'biuUS':
    raise errors.UserError(
      f'{what} is {values.dtype}; labels are whole numbers or text.'
    )
  if values.dtype.kind == 'S':
    return np.char.decode(values, 'utf-8', 'replace')
  return values


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
  """Returns stored names as a list.

  Args:
    names: `[k]`, or `[]` for a single name.
    what: whose names they are, for error messages.

  Raises:
    UserError: the array has more than one axis, or a name occurs twice.
  """
  if names.ndim > 1:
    raise errors.UserError(
      f'{what} have shape {names.shape}; they must have one axis.'
    )
  if names.dtype.kind == 'S':
    names = np.char.decode(names, 'utf-8', 'replace')
  out = [str(name) for name in np.atleast_1d(names).tolist()]
  for name in out:
    if out.count(name) > 1:
      raise errors.UserError(
        f'{what} are {", ".join(out)}: {name!r} occurs twice.'
      )
  return out


def similar_names(names: Sequence[str]) -> list[list[str]]:
  """Returns the groups of names that differ only in spaces or capitals."""
  groups: dict[str, list[str]] = {}
  for name in map(str, names):
    groups.setdefault(''.join(name.split()).casefold(), []).append(name)
  return [group for group in groups.values() if len(group) > 1]
