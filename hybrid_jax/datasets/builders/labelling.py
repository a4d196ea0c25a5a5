"""Labels as their owner wrote them, made classes from 0."""

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
    UserError: the values are of another type, or have no name.
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
  known = [str(name) for name in np.atleast_1d(names).tolist()]
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
  return codes.astype(np.int32), known
