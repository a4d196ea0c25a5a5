"""Labels as their owner wrote them, made classes from 0."""

from collections.abc import Sequence

import numpy as np

from hybrid_jax import errors


def encode(
  values: np.ndarray, what: str, names: np.ndarray | None = None
) -> tuple[np.ndarray, list[str]]:
  """Classes `[n]` int32 from 0, and what they are called.

  Args:
    values: `[n]`, whole numbers or text.
    what: whose values they are, for messages.
    names: of all classes; numbers count them, text is among them. Without,
      every value that is there is a class, in order.

  Raises:
    UserError: the values are of another type, or have no name; or a name is
      there twice, or is of no value.
  """
  if values.dtype.kind not in 'biuUS':
    raise errors.UserError(
      f'{what} is {values.dtype}; labels are whole numbers or text.'
    )
  if values.dtype.kind == 'S':
    values = np.char.decode(values, 'utf-8', 'replace')
  if names is None:
    found, codes = np.unique(values, return_inverse=True)
    return codes.astype(np.int32), [str(value) for value in found.tolist()]
  known = texts(names, f'the names of {what}')
  if values.dtype.kind == 'U':
    codes = np.array([known.index(v) if v in known else -1 for v in values])
  else:
    codes = values.astype(np.int64)
  wrong = (codes < 0) | (codes >= len(known))
  if wrong.any():
    row = int(np.argmax(wrong))
    raise errors.UserError(
      f'{what} is {values[row].item()!r} in row {row}; its {len(known)} names'
      f' are {", ".join(known)}.'
    )
  unused = [
    known[i] for i in sorted(set(range(len(known))) - {*codes.tolist()})
  ]
  if unused:
    raise errors.UserError(
      f'{what} has {len(known) - len(unused)} classes and {len(known)} names;'
      f' no example is of {", ".join(map(repr, unused))}.'
    )
  return codes.astype(np.int32), known


def texts(names: np.ndarray, what: str) -> list[str]:
  """Names as a list; one alone may be an array without axes.

  Args:
    names: `[k]`, or `[]` for one.
    what: whose names they are, for messages.

  Raises:
    UserError: they have more axes, or one is there twice.
  """
  if names.ndim > 1:
    raise errors.UserError(
      f'{what} have shape {names.shape}; they must be of one axis.'
    )
  if names.dtype.kind == 'S':
    names = np.char.decode(names, 'utf-8', 'replace')
  found = [str(name) for name in np.atleast_1d(names).tolist()]
  for name in found:
    if found.count(name) > 1:
      raise errors.UserError(
        f'{what} are {", ".join(found)}: {name!r} is there twice.'
      )
  return found


def similar_names(names: Sequence[str]) -> list[list[str]]:
  """Groups the names that differ only in spaces or capitals."""
  same: dict[str, list[str]] = {}
  for name in map(str, names):
    same.setdefault(''.join(name.split()).casefold(), []).append(name)
  return [group for group in same.values() if len(group) > 1]
