"""What every data set's arrays must be, whoever wrote the data set."""

from typing import Any

import numpy as np

from hybrid_jax import errors


def check(data: Any) -> None:
  """Refuses arrays of a type or rank that no stage expects.

  It looks at types and shapes, and at the values of `fold`; `x` is not read.

  Args:
    data: a `datasets.base.Dataset`.

  Raises:
    UserError: `x` is not float32 of two axes or more, a label, `fold` or
      `recording` is not `[n]` of whole numbers, or `fold` holds another number
      than 0, 1 and 2; it names the array, and what it is.
  """
  shape, dtype = tuple(data.x.shape), np.dtype(data.x.dtype)
  if dtype != np.float32 or len(shape) < 2:
    raise errors.UserError(
      f"'x' is {dtype} of shape {shape}; it must be float32 of shape"
      ' [examples, ...], with two axes or more.'
    )
  for name, values in {
    **data.labels(),
    'recording': data.recording,
    'fold': data.fold,
  }.items():
    values = np.asarray(values)
    if values.dtype.kind not in 'iu' or values.ndim != 1:
      raise errors.UserError(
        f'{name!r} is {values.dtype} of shape {values.shape}; it must be one'
        f' whole number for each of {shape[0]} examples.'
      )
  wrong = ~np.isin(data.fold, (0, 1, 2))
  if wrong.any():
    row = int(np.argmax(wrong))
    raise errors.UserError(
      f"'fold' is {int(data.fold[row])} in row {row}; 0 is train, 1 validation,"
      ' 2 test.'
    )


def numbers(x: np.ndarray, what: str) -> np.ndarray:
  """`x [n, ...]` as it is, once it is known that float32 can hold it.

  Raises:
    UserError: it has one axis, holds no number or another type than real
      numbers, or a value is NaN, infinity or beyond float32; it names the
      value, and its row from 0.
  """
  if x.dtype.kind not in 'biuf' or x.ndim < 2 or not x.size:
    raise errors.UserError(
      f'{what} is {x.dtype} of shape {x.shape}; it must be real numbers of'
      ' shape [examples, ...].'
    )
  if x.dtype.kind == 'f':
    most = np.finfo(np.float32).max
    good = (np.abs(x) <= most).reshape(len(x), -1)  # In the type of `x`.
    if not good.all():
      first = x.reshape(-1)[np.argmin(good)].item()
      rows = ~good.all(axis=1)
      raise errors.UserError(
        f'{what} ({x.dtype}) is {first:g} in row {int(np.argmax(rows))};'
        f' {int(rows.sum())} rows hold NaN, infinity or a number beyond'
        f' {most:.4g}, where float32 ends.'
      )
  return x
