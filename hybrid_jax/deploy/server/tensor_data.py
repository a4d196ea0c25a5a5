"""The numbers of one tensor of a request, from bytes or from JSON.

Pure functions. No message here holds a number of a released vector.
"""

import itertools
import math
from typing import Any

import numpy as np

from hybrid_jax.deploy.server import http_error

_Bad = http_error.Refused  # With status 400.
_SHOWN = 40  # How much of what a client sent is given back.


def from_bytes(
  rest: bytes, size: Any, name: str, shape: tuple[int, ...], kind: np.dtype
) -> np.ndarray:
  """What follows the JSON, as a flat array of `kind` in this machine's order.

  Args:
    rest: all that follows.
    size: what the request says of its length.
    name: the tensor's, for messages.
    shape: the tensor's.
    kind: the type of one number as it is sent, little-endian.

  Raises:
    refused.Refused: the lengths do not agree.
  """
  expected = kind.itemsize * math.prod(shape)
  if type(size) is not int or size != expected:
    shown = str(size)[:_SHOWN]
    raise _Bad(
      f'{name!r} has binary_data_size {shown}; its shape has {expected}.'
    )
  if len(rest) != size:
    raise _Bad(
      f'{len(rest)} bytes follow the JSON; binary_data_size says {size}.'
    )
  return np.frombuffer(rest, kind).astype(kind.newbyteorder('='))


def from_json(data: Any, shape: tuple[int, ...], kind: np.dtype) -> np.ndarray:
  """Numbers in a flat list, or in lists nested by the shape, as `kind`, flat.

  A flat list may have any length, and floats beyond float32 become infinity;
  both are the caller's to refuse.

  Raises:
    refused.Refused: they are nested otherwise, or are no numbers, or for an
      integer `kind` no integers within its bounds.
  """
  found = data if isinstance(data, list) else [data]
  if any(isinstance(value, list) for value in found):
    found = [data]
    for length in shape:
      if any(not isinstance(v, list) or len(v) != length for v in found):
        raise _Bad(f'data is not nested as {list(shape)}.')
      found = list(itertools.chain(*found))
  if any(type(v) not in (int, float) for v in found):  # True is an int.
    raise _Bad('data holds what is no number.')
  if kind.kind == 'i':
    return _integers(found, kind)
  try:
    with np.errstate(over='ignore'):  # Told by the caller, as infinity.
      return np.asarray(found, np.float64).astype(np.float32)
  except OverflowError:  # An integer beyond any float.
    return np.full(len(found), np.inf, np.float32)


def _integers(found, kind):
  limits = np.iinfo(kind)
  if any(type(v) is not int for v in found):
    raise _Bad('data holds what is no integer.')
  if any(not limits.min <= v <= limits.max for v in found):
    raise _Bad(f'data goes beyond {limits.min} to {limits.max}.')
  return np.asarray(found, kind.newbyteorder('='))
