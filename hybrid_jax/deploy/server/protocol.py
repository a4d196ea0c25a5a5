"""The Open Inference Protocol v2: requests and answers as bytes.

Pure functions, for one input and one FP32 output. The input is FP32, or, where
it lies on a grid, also INT16 or INT8: the steps of the grid. Source: the
protocol's REST specification and its binary tensor extension, in which the JSON
comes first, `Inference-Header-Content-Length` says how long it is, and the
tensors follow as little-endian rows.

No message here holds a number of a released vector.
"""

import dataclasses
import json
import math
from typing import Any

import numpy as np

from hybrid_jax.deploy.server import http_error, tensor_data

_Bad = http_error.Refused  # With status 400.
HEADER_LENGTH = 'Inference-Header-Content-Length'
_FLOATS = {'FP32': np.dtype('<f4')}
_STEPS = {'INT16': np.dtype('<i2'), 'INT8': np.dtype('i1')}
_SHOWN = 40  # How much of a name that a client sent is given back.


@dataclasses.dataclass(frozen=True)
class Tensor:
  """A named FP32 tensor's `shape`, with a batch of 1 in front.

  Its values are multiples of `grid`, if that is not None; then integers stand
  for so many steps of it.
  """

  name: str
  shape: tuple[int, ...]
  grid: float | None = None

  @property
  def datatypes(self) -> dict[str, np.dtype]:
    """In what it may be sent: the protocol's names, and their bytes."""
    return _FLOATS if self.grid is None else _FLOATS | _STEPS

  def describe(self) -> dict[str, Any]:
    """As it stands in a model's metadata."""
    return {'name': self.name, 'datatype': 'FP32', 'shape': list(self.shape)}


@dataclasses.dataclass(frozen=True)
class Request:
  """What is asked: `array` in the input's shape, float32.

  Attributes:
    array: the released vector; all of it is finite.
    id: what the client calls the request, or None.
    binary: whether the answer's tensor follows the JSON as bytes.
  """

  array: np.ndarray
  id: str | None
  binary: bool


def parse(
  body: bytes, header_length: str | None, given: Tensor, wanted: Tensor
) -> Request:
  """Reads the body of an inference request.

  Args:
    body: JSON, and tensors as bytes after it.
    header_length: the header of that name: the JSON's bytes; None for all.
    given: the model's input.
    wanted: the model's output.

  Raises:
    refused.Refused: with status 400, where anything does not fit.
  """
  text, rest = _cut(body, header_length)
  message = _mapping(_json(text), 'the body')
  identity = message.get('id')
  if not isinstance(identity, str | None):
    raise _Bad('id is no string.')
  entry = _only(message.get('inputs'), 'input', given.name)
  kind = _check_type(entry, given)
  parameters = _mapping(entry.get('parameters', {}), 'parameters')
  size = parameters.get('binary_data_size')
  if 'shared_memory_region' in parameters:
    raise _Bad('shared memory is not served; send the data.')
  if (size is None) == ('data' not in entry):
    raise _Bad(
      f'{given.name!r} needs either data or the parameter binary_data_size.'
    )
  if size is None and rest:
    raise _Bad(f'{len(rest)} bytes after the JSON belong to no input.')
  if size is None:
    array = tensor_data.from_json(entry['data'], given.shape, kind)
  else:
    array = tensor_data.from_bytes(rest, size, given.name, given.shape, kind)
  if array.size != math.prod(given.shape):
    raise _Bad(
      f'{given.name!r} has {array.size} numbers; {list(given.shape)} has'
      f' {math.prod(given.shape)}.'
    )
  if kind.kind == 'i':  # The product that the edge half ends with, bit by bit.
    array = array.astype(np.float32) * np.float32(given.grid)
  if not np.isfinite(array).all():
    raise _Bad(f'{given.name!r} holds NaN or infinity, or is beyond FP32.')
  return Request(
    array=array.reshape(given.shape),
    id=identity,
    binary=_wants_binary(message, wanted),
  )


def answer(
  model: str, version: str, request: Request, wanted: Tensor, array: np.ndarray
) -> tuple[bytes, dict[str, str]]:
  """The body and the headers of an answer.

  Args:
    model: its name.
    version: its version.
    request: what is answered.
    wanted: the model's output.
    array: its value, float32, in the shape of `wanted`; all finite.
  """
  output = wanted.describe()
  message: dict[str, Any] = {
    'model_name': model,
    'model_version': version,
    'outputs': [output],
  }
  if request.id is not None:
    message['id'] = request.id
  if not request.binary:
    output['data'] = array.ravel().tolist()
    return encode(message), {'Content-Type': 'application/json'}
  data = array.astype('<f4').tobytes()
  output['parameters'] = {'binary_data_size': len(data)}
  text = encode(message)
  return text + data, {
    'Content-Type': 'application/octet-stream',
    HEADER_LENGTH: str(len(text)),
  }


def encode(message: Any) -> bytes:
  """JSON without spaces; NaN is refused with `ValueError`."""
  return json.dumps(message, allow_nan=False, separators=(',', ':')).encode()


def _cut(body, header_length):
  if header_length is None:
    return body, b''
  # Unlike int(), no sign, space or underscore.
  if not (header_length.isascii() and header_length.isdigit()):
    raise _Bad(f'{HEADER_LENGTH} is no number of bytes.')
  if len(header_length) > 18 or int(header_length) > len(body):
    raise _Bad(f'{HEADER_LENGTH} is more than the {len(body)} bytes sent.')
  length = int(header_length)
  return body[:length], body[length:]


def _json(text):
  def constant(name):
    raise _Bad(f'{name} is not JSON, and no released vector holds it.')

  try:
    return json.loads(text.decode('utf-8'), parse_constant=constant)
  except json.JSONDecodeError as e:
    raise _Bad(f'the body is not JSON: {e.msg} at {e.pos}.') from None
  except (ValueError, RecursionError):  # Thousands of digits or brackets.
    raise _Bad('the body is no JSON in UTF-8, or is absurd.') from None


def _mapping(value, name):
  if not isinstance(value, dict):
    raise _Bad(f'{name} is no JSON object.')
  return value


def _only(entries, kind, name):
  """The one entry of a list, which is that of `name`."""
  if not isinstance(entries, list) or len(entries) != 1:
    count = len(entries) if isinstance(entries, list) else 'no list'
    raise _Bad(f'{kind}s is {count}; the model has one {kind}, {name!r}.')
  entry = _mapping(entries[0], kind)
  if entry.get('name') != name:
    shown = str(entry.get('name'))[:_SHOWN]
    raise _Bad(f'there is no {kind} {shown!r}; the model has {name!r}.')
  return entry


def _check_type(entry, given):
  """The type of what is sent, which is one of the input's."""
  datatype = entry.get('datatype')
  if not isinstance(datatype, str) or datatype not in given.datatypes:
    shown = str(datatype)[:_SHOWN]
    why = ': this bundle has no grid' if shown in _STEPS else ''
    raise _Bad(
      f'{given.name!r} has datatype {shown!r}, not'
      f' {" or ".join(given.datatypes)}{why}.'
    )
  shape = entry.get('shape')
  fits = isinstance(shape, list) and all(type(n) is int for n in shape)
  if not fits or tuple(shape) != given.shape:
    shown = str(shape)[:_SHOWN]
    raise _Bad(f'{given.name!r} has shape {shown}, not {list(given.shape)}.')
  return given.datatypes[datatype]


def _wants_binary(message, wanted):
  parameters = _mapping(message.get('parameters', {}), 'parameters')
  binary = parameters.get('binary_data_output', False)
  if message.get('outputs'):
    entry = _only(message['outputs'], 'output', wanted.name)
    parameters = _mapping(entry.get('parameters', {}), 'parameters')
    binary = parameters.get('binary_data', binary)
    if 'classification' in parameters or 'shared_memory_region' in parameters:
      raise _Bad('neither classification nor shared memory is served.')
  if not isinstance(binary, bool):
    raise _Bad('binary_data is neither true nor false.')
  return binary
