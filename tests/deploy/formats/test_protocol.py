"""Requests and responses against bytes worked out by hand."""

import json
import subprocess
import sys

import numpy as np
import pytest

from hybrid_jax.deploy.formats import protocol
from tests import studies

INPUT = protocol.Tensor('released', (1, 2))
OUTPUT = protocol.Tensor('logits', (1, 3))
ENTRY = {
  'name': 'released',
  'shape': [1, 2],
  'datatype': 'FP32',
  'data': [1.5, -2],
}


# Float32 has no exact 0.1, so that the product must equal the edge's.
GRID = protocol.Tensor('released', (1, 2), grid=0.1)


def _parse(message, rest=b'', length=None, tensor=INPUT):
  text = json.dumps(message).encode()
  return protocol.decode_request(text + rest, length, tensor, OUTPUT)


def _binary(rest, size, tensor=INPUT, **changes):
  entry = {k: v for k, v in ENTRY.items() if k != 'data'} | changes
  entry['parameters'] = {'binary_data_size': size}
  text = json.dumps({'inputs': [entry]}).encode()
  return protocol.decode_request(text + rest, str(len(text)), tensor, OUTPUT)


@pytest.mark.parametrize('data', [[1.5, -2], [[1.5, -2]]])
def test_json_flat_and_nested(data):
  request = _parse({'id': 'a', 'inputs': [ENTRY | {'data': data}]})
  np.testing.assert_array_equal(request.array, [[1.5, -2]])
  assert request.array.dtype == np.float32
  assert (request.id, request.binary) == ('a', False)


def test_binary_is_little_endian():
  # 1.5 is 0x3FC00000 and -2 is 0xC0000000.
  request = _binary(b'\x00\x00\xc0\x3f\x00\x00\x00\xc0', 8)
  np.testing.assert_array_equal(request.array, [[1.5, -2]])
  assert request.array.dtype == np.float32


@pytest.mark.parametrize(
  ('datatype', 'rest'),
  [
    # 300 is 0x012C, -3 is 0xFFFD.
    ('INT16', b'\x2c\x01\xfd\xff'),
    ('INT8', b'\x7f\xfd'),
  ],
)
def test_integers_are_steps_of_the_grid(datatype, rest):
  steps = [300 if datatype == 'INT16' else 127, -3]
  # As `jnp.round(...) * grid` in float32 ends.
  expected = np.float32(steps) * np.float32(0.1)
  binary = _binary(rest, len(rest), GRID, datatype=datatype)
  for data in (steps, [steps]):
    changed = ENTRY | {'datatype': datatype, 'data': data}
    text = _parse({'inputs': [changed]}, tensor=GRID)
    for request in (text, binary):
      assert request.array.dtype == np.float32
      np.testing.assert_array_equal(request.array, expected[None])


def test_floats_are_taken_beside_integers():
  request = _parse({'inputs': [ENTRY]}, tensor=GRID)
  np.testing.assert_array_equal(request.array, [[1.5, -2]])
  assert GRID.describe()['datatype'] == 'FP32'
  assert list(GRID.datatypes) == ['FP32', 'INT16', 'INT8']
  assert list(INPUT.datatypes) == ['FP32']


@pytest.mark.parametrize(
  ('tensor', 'datatype', 'data', 'message'),
  [
    (INPUT, 'INT16', [1, 2], "'INT16', not FP32: this bundle has no grid"),
    (INPUT, 'INT8', [1, 2], 'this bundle has no grid'),
    (GRID, 'INT32', [1, 2], "'INT32', not FP32 or INT16 or INT8."),
    (GRID, ['INT16'], [1, 2], 'has datatype "[\'INT16\']"'),
    (GRID, 'INT16', [1, 2.0], 'not an integer'),
    (GRID, 'INT16', [1, True], 'not a number'),
    (GRID, 'INT16', [1, 32768], 'beyond -32768 to 32767'),
    (GRID, 'INT16', [1, -(10**400)], 'beyond -32768'),
    (GRID, 'INT8', [-129, 1], 'beyond -128 to 127'),
    (GRID, 'INT16', [1], '1 numbers'),
    (GRID, 'INT16', [[1], [2]], 'not nested'),
  ],
)
def test_integers_that_do_not_fit(tensor, datatype, data, message):
  with pytest.raises(protocol.ProtocolError) as error:
    _parse(
      {'inputs': [ENTRY | {'datatype': datatype, 'data': data}]}, tensor=tensor
    )
  assert message in str(error.value)


@pytest.mark.parametrize(
  ('datatype', 'size', 'sent', 'message'),
  [
    ('INT16', 8, 8, 'binary_data_size 8; its shape needs 4'),
    ('INT8', 2, 3, '3 bytes follow'),
    ('FP32', 4, 4, 'its shape needs 8'),
  ],
)
def test_bytes_of_integers_that_do_not_fit(datatype, size, sent, message):
  with pytest.raises(protocol.ProtocolError) as error:
    _binary(bytes(sent), size, GRID, datatype=datatype)
  assert message in str(error.value)


@pytest.mark.parametrize(
  ('more', 'binary'),
  [
    ({}, False),
    ({'parameters': {'binary_data_output': True}}, True),
    ({'outputs': [{'name': 'logits'}]}, False),
    (
      {'outputs': [{'name': 'logits', 'parameters': {'binary_data': True}}]},
      True,
    ),
    (
      {
        'parameters': {'binary_data_output': True},
        'outputs': [{'name': 'logits', 'parameters': {'binary_data': False}}],
      },
      False,
    ),
  ],
)
def test_the_form_of_the_response(more, binary):
  assert _parse({'inputs': [ENTRY]} | more).binary is binary


def test_responses_by_hand():
  array = np.array([[0.1, 2, -0.5]], np.float32)
  request = protocol.Request(array[:, :2], 'x', binary=False)
  response = protocol.encode_response('cloud', '1', request, OUTPUT, array)
  assert response.body == (
    b'{"model_name":"cloud","model_version":"1","outputs":[{"name":"logits",'
    b'"datatype":"FP32","shape":[1,3],"data":[0.10000000149011612,2.0,-0.5]}],'
    b'"id":"x"}'
  )
  assert response.headers == {'Content-Type': 'application/json'}
  request = protocol.Request(array[:, :2], None, binary=True)
  response = protocol.encode_response('cloud', '1', request, OUTPUT, array)
  text = (
    b'{"model_name":"cloud","model_version":"1","outputs":[{"name":"logits",'
    b'"datatype":"FP32","shape":[1,3],"parameters":{"binary_data_size":12}}]}'
  )
  # 0.1 is 0x3DCCCCCD, 2 is 0x40000000, and -0.5 is 0xBF000000.
  assert response.body == text + b'\xcd\xcc\xcc\x3d\0\0\0\x40\0\0\0\xbf'
  assert response.headers == {
    'Content-Type': 'application/octet-stream',
    'Inference-Header-Content-Length': str(len(text)),
  }


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'name': 'x'}, "unknown input 'x'"),
    ({'datatype': 'FP64'}, "'FP64', not FP32"),
    ({'shape': [2, 1]}, '[2, 1], not [1, 2]'),
    ({'shape': [1, 2.0]}, 'not [1, 2]'),
    ({'shape': [True, 2]}, 'not [1, 2]'),
    ({'data': [1]}, '1 numbers'),
    ({'data': [1, 2, 3]}, '3 numbers'),
    ({'data': [[1], [2]]}, 'not nested'),
    ({'data': [[1, [2]]]}, 'not a number'),
    ({'data': [1, True]}, 'not a number'),
    ({'data': [1, '2']}, 'not a number'),
    ({'data': None}, 'either data or'),
    ({'data': [1, 1e39]}, 'beyond FP32'),
    ({'data': [1, 10**400]}, 'beyond FP32'),
    ({'data': [1, float('nan')]}, 'NaN is not JSON'),
    ({'data': [1, float('-inf')]}, '-Infinity is not JSON'),
    ({'parameters': {'binary_data_size': 8}}, 'either data or'),
    ({'parameters': {'shared_memory_region': 'r'}}, 'shared memory'),
    ({'parameters': []}, 'not a JSON object'),
  ],
)
def test_an_input_that_does_not_fit(changes, message):
  with pytest.raises(protocol.ProtocolError) as error:
    _parse({'inputs': [ENTRY | changes]})
  assert message in str(error.value)


@pytest.mark.parametrize(
  ('body', 'length', 'message'),
  [
    (b'', None, 'not JSON: Expecting value at character 0'),
    (b'{"inputs": [', None, 'not JSON'),
    (b'\xff{}', None, 'not JSON in UTF-8'),
    (b'[' * 100_000, None, 'too many digits or brackets'),
    (b'[1' + b'0' * 5000 + b']', None, 'too many digits or brackets'),
    (b'[]', None, 'not a JSON object'),
    (b'{}', None, 'inputs is not a list'),
    (b'{"inputs": []}', None, 'inputs has 0 entries'),
    (b'{"inputs": [{}, {}]}', None, 'inputs has 2 entries'),
    (b'{"inputs": [1]}', None, 'not a JSON object'),
    (b'{"id": 1}', None, 'id is not a string'),
    (b'{}', '3', 'more than the 2 bytes'),
    (b'{}', '-1', 'not a number of bytes'),
    (b'{}', '1_0', 'not a number of bytes'),
    (b'{}', '9' * 5000, 'more than the 2 bytes'),
  ],
)
def test_a_body_that_does_not_fit(body, length, message):
  with pytest.raises(protocol.ProtocolError) as error:
    protocol.decode_request(body, length, INPUT, OUTPUT)
  assert message in str(error.value)


@pytest.mark.parametrize(
  ('rest', 'size', 'message'),
  [
    (bytes(8), 4, 'binary_data_size 4; its shape needs 8'),
    (bytes(8), '8', 'binary_data_size 8;'),
    (bytes(7), 8, '7 bytes follow'),
    (bytes(9), 8, '9 bytes follow'),
    (np.array([1, np.nan], '<f4').tobytes(), 8, 'NaN'),
    (np.array([1, np.inf], '<f4').tobytes(), 8, 'infinity'),
  ],
)
def test_bytes_that_do_not_fit(rest, size, message):
  with pytest.raises(protocol.ProtocolError) as error:
    _binary(rest, size)
  assert message in str(error.value)


@pytest.mark.parametrize(
  'more',
  [
    {'outputs': {}},
    {'outputs': [{'name': 'other'}]},
    {'outputs': [{'name': 'logits'}, {'name': 'logits'}]},
    {'outputs': [{'name': 'logits', 'parameters': {'classification': 2}}]},
    {'parameters': {'binary_data_output': 1}},
    {'parameters': 1},
  ],
)
def test_an_output_that_does_not_fit(more):
  with pytest.raises(protocol.ProtocolError):
    _parse({'inputs': [ENTRY]} | more)


def test_bytes_after_json_belong_to_an_input():
  text = json.dumps({'inputs': [ENTRY]}).encode()
  with pytest.raises(protocol.ProtocolError, match='2 bytes after the JSON'):
    protocol.decode_request(text + b'xx', str(len(text)), INPUT, OUTPUT)


def test_null_counts_as_absent():
  nulls = {'id': None, 'parameters': None, 'outputs': None}
  request = _parse(nulls | {'inputs': [ENTRY | {'parameters': None}]})
  assert (request.id, request.binary) == (None, False)
  np.testing.assert_array_equal(request.array, [[1.5, -2]])
  output = {'name': 'logits', 'parameters': None}
  assert not _parse({'inputs': [ENTRY], 'outputs': [output]}).binary
  output['parameters'] = {'binary_data': None, 'classification': None}
  parameters = {'binary_data_output': True}
  message = {'inputs': [ENTRY], 'parameters': parameters, 'outputs': [output]}
  assert _parse(message).binary
  parameters['binary_data_output'] = None
  assert not _parse(message).binary
  parameters = {'binary_data_size': None, 'shared_memory_region': None}
  _parse({'inputs': [ENTRY | {'parameters': parameters}]})
  # Bytes follow, so that the null is no data.
  request = _binary(b'\x00\x00\xc0\x3f\x00\x00\x00\xc0', 8, data=None)
  np.testing.assert_array_equal(request.array, [[1.5, -2]])


@pytest.mark.parametrize(
  ('vector', 'grid', 'datatype', 'data'),
  [
    ([0.1, -0.3], 0.1, b'INT16', b'\x01\x00\xfd\xff'),
    # 32,767 steps fit and 32,768 do not.
    ([32767 / 16, 0], 1 / 16, b'INT16', b'\xff\x7f\x00\x00'),
    ([32768 / 16, 0], 1 / 16, b'FP32', b'\x00\x00\x00\x45\x00\x00\x00\x00'),
    ([-32769 / 16, 0], 1 / 16, b'FP32', b'\x00\x01\x00\xc5\x00\x00\x00\x00'),
    ([1.5, -2], None, b'FP32', b'\x00\x00\xc0\x3f\x00\x00\x00\xc0'),
  ],
)
def test_encoded_requests_by_hand(vector, grid, datatype, data):
  tensor = protocol.Tensor('released', (1, 2), grid)
  request = protocol.encode_request(tensor, np.float32([vector]))
  text = (
    b'{"inputs":[{"name":"released","shape":[1,2],"datatype":"%s",'
    b'"parameters":{"binary_data_size":%d}}],'
    b'"parameters":{"binary_data_output":true}}'
  ) % (datatype, len(data))
  assert request.body == text + data
  assert request.headers == {
    'Content-Type': 'application/octet-stream',
    'Inference-Header-Content-Length': str(len(text)),
  }
  assert repr(request) == 'Message()'


def test_an_encoded_request_in_json():
  request = protocol.encode_request(GRID, np.float32([[0.1, -0.3]]), 'a', False)
  assert request.body == (
    b'{"inputs":[{"name":"released","shape":[1,2],"datatype":"INT16",'
    b'"data":[1,-3]}],"id":"a"}'
  )
  assert request.headers == {'Content-Type': 'application/json'}


@pytest.mark.parametrize('binary', [True, False])
@pytest.mark.parametrize('seed', range(3))
def test_a_decoded_request_is_bit_equal_to_the_edges_vector(seed, binary):
  rng = np.random.default_rng(seed)
  grid = float(np.float32(rng.uniform(0.01, 1)))
  steps = rng.integers(-2000, 2000, (1, 500))
  released = steps.astype(np.float32) * np.float32(grid)  # As the edge does.
  tensor = protocol.Tensor('released', (1, 500), grid)
  message = protocol.encode_request(tensor, released, 'x', binary)
  length = message.headers.get(protocol.HEADER_LENGTH)
  if binary:
    sent = np.frombuffer(message.body[int(length) :], '<i2')
    np.testing.assert_array_equal(sent, steps[0])
  request = protocol.decode_request(message.body, length, tensor, OUTPUT)
  np.testing.assert_array_equal(request.array, released)
  assert (request.id, request.binary) == ('x', binary)


@pytest.mark.parametrize('binary', [True, False])
def test_a_decoded_response_is_bit_equal(binary):
  logits = np.random.default_rng(0).standard_normal((1, 3), np.float32)
  request = protocol.Request(logits, 'x', binary)
  message = protocol.encode_response('cloud', '1', request, OUTPUT, logits)
  length = message.headers.get(protocol.HEADER_LENGTH)
  response = protocol.decode_response(message.body, length, OUTPUT)
  np.testing.assert_array_equal(response.array, logits)
  assert response.array.dtype == np.float32
  assert response.id == 'x'


@pytest.mark.parametrize(
  'body',
  [
    b'',
    b'[]',
    b'[' * 100_000,
    b'{"outputs":[]}',
    b'{"error":"1.5"}',
    b'{"outputs":[{"name":"logits","datatype":"FP32","shape":[1,2],"data":[1,2]}]}',
    b'{"outputs":[{"name":"logits","datatype":"FP64","shape":[1,3],"data":[1,2,3]}]}',
    b'{"outputs":[{"name":"logits","datatype":"FP32","shape":[1,3],"data":[1,2]}]}',
    b'{"outputs":[{"name":"logits","datatype":"FP32","shape":[1,3],"data":[1,2,1e39]}]}',
  ],
)
def test_responses_that_do_not_fit(body):
  with pytest.raises(protocol.ProtocolError):
    protocol.decode_response(body, None, OUTPUT)


def test_it_needs_numpy_alone():
  code = (
    f'import sys; sys.path[:] = {sys.path!r};'
    'from hybrid_jax.deploy.formats import protocol;'
    'tops = {n.partition(".")[0] for n in sys.modules};'
    'print(*sorted(tops - set(sys.stdlib_module_names) - {"__main__"}))'
  )
  done = subprocess.run(
    [sys.executable, '-S', '-c', code],
    cwd=studies.ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout.split() == ['hybrid_jax', 'numpy']
