"""Requests and responses of the Open Inference Protocol v2, as bytes.

Pure functions for one input and one FP32 output, used by the server, the device
client and the tests. They need NumPy and the standard library alone.

The input is FP32. If its values lie on a grid, it may also be sent as INT16 or
INT8, which count grid steps. Source: the protocol's REST specification and its
binary tensor extension. There the JSON comes first, the header
`Inference-Header-Content-Length` gives its length, and the tensor follows as
little-endian numbers.

No error message holds a number of a released vector.
"""

import dataclasses
import itertools
import json
import math
from typing import Any

import numpy as np

HEADER_LENGTH = 'Inference-Header-Content-Length'
_JSON = 'application/json'
_BINARY = 'application/octet-stream'
_FLOATS = {'FP32': np.dtype('<f4')}
_STEPS = {'INT16': np.dtype('<i2'), 'INT8': np.dtype('i1')}
_SHOWN = 40  # Characters of a received value that an error message repeats.


class ProtocolError(Exception):
  """A message that breaks the protocol, or does not fit the model."""


@dataclasses.dataclass(frozen=True)
class Tensor:
  """The name, shape and grid of an input or output.

  Attributes:
    name: the tensor's name.
    shape: its shape, with a batch of 1 in front.
    grid: all values are multiples of this step; None without a grid.
  """

  name: str
  shape: tuple[int, ...]
  grid: float | None = None

  @property
  def datatypes(self) -> dict[str, np.dtype]:
    """The datatypes it can be sent in, and the NumPy type of each."""
    return _FLOATS if self.grid is None else _FLOATS | _STEPS

  def describe(self) -> dict[str, Any]:
    """Returns the tensor's entry in the model metadata."""
    return {'name': self.name, 'datatype': 'FP32', 'shape': list(self.shape)}


@dataclasses.dataclass(frozen=True)
class Message:
  """The body and headers of a request or response; `repr` hides both."""

  body: bytes = dataclasses.field(repr=False)
  headers: dict[str, str] = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Request:
  """A decoded inference request.

  Attributes:
    array: the released vector, float32, in the input's shape; all finite.
    id: the client's name for the request, or None.
    binary: whether the response shall hold its tensor as bytes.
  """

  array: np.ndarray
  id: str | None
  binary: bool


@dataclasses.dataclass(frozen=True)
class Response:
  """A decoded inference response.

  Attributes:
    array: float32, in the output's shape; all finite.
    id: the id of the request, or None.
  """

  array: np.ndarray
  id: str | None


def encode_request(
  tensor: Tensor,
  array: np.ndarray,
  request_id: str | None = None,
  binary: bool = True,
) -> Message:
  """Encodes an inference request.

  With a grid, the vector is sent as INT16 steps, or as FP32 if a value is
  beyond 32,767 steps. Apart from `request_id`, the request names neither the
  client nor the time.

  Args:
    tensor: the model's input.
    array: its value, `[1, d]` float32.
    request_id: the response repeats it; None for none.
    binary: whether the tensors of request and response are bytes, not JSON.
  """
  datatype, numbers = 'FP32', array.astype('<f4')
  if tensor.grid is not None:
    steps = np.round(array.astype(np.float64) / tensor.grid)
    limits = np.iinfo(np.int16)
    if limits.min <= steps.min() and steps.max() <= limits.max:
      datatype, numbers = 'INT16', steps.astype('<i2')
  entry = {
    'name': tensor.name,
    'shape': list(array.shape),
    'datatype': datatype,
  }
  message: dict[str, Any] = {'inputs': [entry]}
  if request_id is not None:
    message['id'] = request_id
  if binary:
    message['parameters'] = {'binary_data_output': True}
  return _encode(message, entry, numbers, binary)


def decode_request(
  body: bytes, header_length: str | None, tensor: Tensor, output: Tensor
) -> Request:
  """Decodes and checks an inference request.

  Args:
    body: JSON, then the tensor as bytes if it is not in the JSON.
    header_length: value of the header `HEADER_LENGTH`; None if absent.
    tensor: the model's input.
    output: the model's output.

  Raises:
    ProtocolError: the request is malformed or does not fit the model.
  """
  message, rest = _split(body, header_length)
  request_id = _message_id(message)
  entry = _single_entry(message.get('inputs'), 'input', tensor.name)
  dtype = _checked_dtype(entry, tensor)
  array = _entry_array(entry, rest, tensor, dtype)
  if dtype.kind == 'i':  # The same float32 product as at the edge's end.
    array = array.astype(np.float32) * np.float32(tensor.grid)
  if not np.isfinite(array).all():
    raise ProtocolError(
      f'{tensor.name!r} holds NaN or infinity, or a number beyond FP32.'
    )
  return Request(array, request_id, _wants_binary(message, output))


def encode_response(
  model: str,
  version: str,
  request: Request,
  output: Tensor,
  array: np.ndarray,
) -> Message:
  """Encodes an inference response.

  Args:
    model: the model's name.
    version: the model's version.
    request: the request that is answered.
    output: the model's output.
    array: its value, float32, in the shape of `output`; all finite.
  """
  entry = output.describe()
  message: dict[str, Any] = {
    'model_name': model,
    'model_version': version,
    'outputs': [entry],
  }
  if request.id is not None:
    message['id'] = request.id
  return _encode(message, entry, array.astype('<f4'), request.binary)


def decode_response(
  body: bytes, header_length: str | None, output: Tensor
) -> Response:
  """Decodes and checks an inference response.

  Args:
    body: JSON, then the tensor as bytes if it is not in the JSON.
    header_length: value of the header `HEADER_LENGTH`; None if absent.
    output: the model's output.

  Raises:
    ProtocolError: the response is malformed or does not fit the model.
  """
  message, rest = _split(body, header_length)
  entry = _single_entry(message.get('outputs'), 'output', output.name)
  array = _entry_array(entry, rest, output, _checked_dtype(entry, output))
  if not np.isfinite(array).all():
    raise ProtocolError(f'{output.name!r} holds NaN or infinity.')
  return Response(array, _message_id(message))


def dump_json(message: Any) -> bytes:
  """Returns compact JSON; raises `ValueError` for NaN and infinity."""
  return json.dumps(message, allow_nan=False, separators=(',', ':')).encode()


def _encode(message, entry, numbers, binary):
  """Adds the numbers to `entry`, or as bytes behind the JSON of `message`."""
  if not binary:
    entry['data'] = numbers.ravel().tolist()
    return Message(dump_json(message), {'Content-Type': _JSON})
  data = numbers.tobytes()
  entry['parameters'] = {'binary_data_size': len(data)}
  text = dump_json(message)
  headers = {'Content-Type': _BINARY, HEADER_LENGTH: str(len(text))}
  return Message(text + data, headers)


def _split(body, header_length):
  """Returns the JSON object at the start of `body`, and the bytes after it."""
  if header_length is None:
    return _parse_json(body), b''
  # int() would also accept signs, spaces and underscores.
  if not (header_length.isascii() and header_length.isdigit()):
    raise ProtocolError(f'{HEADER_LENGTH} is not a number of bytes.')
  if len(header_length) > 18 or int(header_length) > len(body):
    raise ProtocolError(
      f'{HEADER_LENGTH} is more than the {len(body)} bytes of the body.'
    )
  length = int(header_length)
  return _parse_json(body[:length]), body[length:]


def _parse_json(text):
  def reject_constant(name):
    raise ProtocolError(f'{name} is not JSON.')

  try:
    message = json.loads(text.decode('utf-8'), parse_constant=reject_constant)
  except json.JSONDecodeError as e:
    raise ProtocolError(
      f'the body is not JSON: {e.msg} at character {e.pos}.'
    ) from None
  except (ValueError, RecursionError):  # Also thousands of digits or brackets.
    raise ProtocolError(
      'the body is not JSON in UTF-8, or has too many digits or brackets.'
    ) from None
  return _check_object(message, 'the body')


def _check_object(value, name):
  if not isinstance(value, dict):
    raise ProtocolError(f'{name} is not a JSON object.')
  return value


def _message_id(message):
  value = message.get('id')
  if not isinstance(value, str | None):
    raise ProtocolError('id is not a string.')
  return value


def _parameters(entry):
  """Returns the parameters of a message or tensor; null counts as absent."""
  parameters = entry.get('parameters')
  return {} if parameters is None else _check_object(parameters, 'parameters')


def _single_entry(entries, kind, name):
  """Returns the only entry of a list of tensors, which must be `name`."""
  if not isinstance(entries, list):
    raise ProtocolError(
      f'{kind}s is not a list; the model has one {kind}, {name!r}.'
    )
  if len(entries) != 1:
    raise ProtocolError(
      f'{kind}s has {len(entries)} entries; the model has one {kind}, {name!r}.'
    )
  entry = _check_object(entries[0], f'the {kind}')
  if entry.get('name') != name:
    shown = str(entry.get('name'))[:_SHOWN]
    raise ProtocolError(f'unknown {kind} {shown!r}; the model has {name!r}.')
  return entry


def _checked_dtype(entry, tensor):
  """Checks the entry's datatype and shape; returns the NumPy type."""
  datatype = entry.get('datatype')
  if not isinstance(datatype, str) or datatype not in tensor.datatypes:
    shown = str(datatype)[:_SHOWN]
    why = ': this bundle has no grid' if shown in _STEPS else ''
    raise ProtocolError(
      f'{tensor.name!r} has datatype {shown!r}, not'
      f' {" or ".join(tensor.datatypes)}{why}.'
    )
  shape = entry.get('shape')
  is_shape = isinstance(shape, list) and all(type(n) is int for n in shape)
  if not is_shape or tuple(shape) != tensor.shape:
    shown = str(shape)[:_SHOWN]
    raise ProtocolError(
      f'{tensor.name!r} has shape {shown}, not {list(tensor.shape)}.'
    )
  return tensor.datatypes[datatype]


def _entry_array(entry, rest, tensor, dtype):
  """Returns an entry's numbers, of type `dtype`, in the tensor's shape."""
  parameters, data = _parameters(entry), entry.get('data')
  size = parameters.get('binary_data_size')
  if parameters.get('shared_memory_region') is not None:
    raise ProtocolError('shared memory is not supported; send the data.')
  if (size is None) == (data is None):
    raise ProtocolError(
      f'{tensor.name!r} needs either data or the parameter binary_data_size.'
    )
  if size is not None:
    array = _from_bytes(rest, size, tensor, dtype)
  elif rest:
    raise ProtocolError(f'{len(rest)} bytes after the JSON are of no tensor.')
  else:
    array = _from_json(data, tensor.shape, dtype)
  count = math.prod(tensor.shape)
  if array.size != count:
    raise ProtocolError(
      f'{tensor.name!r} has {array.size} numbers; {list(tensor.shape)} needs'
      f' {count}.'
    )
  return array.reshape(tensor.shape)


def _from_bytes(rest, size, tensor, dtype):
  """Returns the bytes after the JSON as a flat array in native byte order."""
  expected = dtype.itemsize * math.prod(tensor.shape)
  if type(size) is not int or size != expected:
    raise ProtocolError(
      f'{tensor.name!r} has binary_data_size {str(size)[:_SHOWN]}; its shape'
      f' needs {expected}.'
    )
  if len(rest) != size:
    raise ProtocolError(
      f'{len(rest)} bytes follow the JSON; binary_data_size is {size}.'
    )
  return np.frombuffer(rest, dtype).astype(dtype.newbyteorder('='))


def _from_json(data, shape, dtype):
  """Returns a flat list, or lists nested as `shape`, as a flat array.

  The list may have any length, and floats beyond float32 become infinity; the
  callers check both.
  """
  values = data if isinstance(data, list) else [data]
  if any(isinstance(value, list) for value in values):
    values = [data]
    for length in shape:
      if any(not isinstance(v, list) or len(v) != length for v in values):
        raise ProtocolError(f'data is not nested as {list(shape)}.')
      values = list(itertools.chain(*values))
  if any(type(v) not in (int, float) for v in values):  # bool is an int too.
    raise ProtocolError('data holds something that is not a number.')
  if dtype.kind == 'i':
    limits = np.iinfo(dtype)
    if any(type(v) is not int for v in values):
      raise ProtocolError('data holds a number that is not an integer.')
    if any(not limits.min <= v <= limits.max for v in values):
      raise ProtocolError(
        f'data holds a number beyond {limits.min} to {limits.max}.'
      )
    return np.asarray(values, dtype.newbyteorder('='))
  try:
    with np.errstate(over='ignore'):
      return np.asarray(values, np.float64).astype(np.float32)
  except OverflowError:  # An integer beyond float64.
    return np.full(len(values), np.inf, np.float32)


def _wants_binary(message, output):
  """Whether the response shall hold its tensor as bytes."""
  binary = _parameters(message).get('binary_data_output')
  if message.get('outputs') not in (None, []):
    entry = _single_entry(message['outputs'], 'output', output.name)
    parameters = _parameters(entry)
    if parameters.get('binary_data') is not None:
      binary = parameters['binary_data']
    for name in ('classification', 'shared_memory_region'):
      if parameters.get(name) is not None:
        raise ProtocolError(f'the parameter {name} is not supported.')
  if binary is None:
    return False
  if not isinstance(binary, bool):
    raise ProtocolError('binary_data is neither true nor false.')
  return binary
