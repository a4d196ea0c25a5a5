"""Requests and answers, against bytes worked out by hand."""

import json

import numpy as np
import pytest

from hybrid_jax.deploy.server import http_error, protocol

GIVEN = protocol.Tensor('released', (1, 2))
WANTED = protocol.Tensor('logits', (1, 3))
ENTRY = {
  'name': 'released',
  'shape': [1, 2],
  'datatype': 'FP32',
  'data': [1.5, -2],
}


# Of which float32 has no exact value: the product must be the edge's.
GRID = protocol.Tensor('released', (1, 2), grid=0.1)


def _parse(message, rest=b'', length=None, given=GIVEN):
  text = json.dumps(message).encode()
  return protocol.parse(text + rest, length, given, WANTED)


def _binary(rest, size, given=GIVEN, **changes):
  entry = {k: v for k, v in ENTRY.items() if k != 'data'} | changes
  entry['parameters'] = {'binary_data_size': size}
  text = json.dumps({'inputs': [entry]}).encode()
  return protocol.parse(text + rest, str(len(text)), given, WANTED)


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
    text = _parse({'inputs': [changed]}, given=GRID)
    for request in (text, binary):
      assert request.array.dtype == np.float32
      np.testing.assert_array_equal(request.array, expected[None])


def test_floats_are_taken_beside_integers():
  request = _parse({'inputs': [ENTRY]}, given=GRID)
  np.testing.assert_array_equal(request.array, [[1.5, -2]])
  assert GRID.describe()['datatype'] == 'FP32'
  assert list(GRID.datatypes) == ['FP32', 'INT16', 'INT8']
  assert list(GIVEN.datatypes) == ['FP32']


@pytest.mark.parametrize(
  ('given', 'datatype', 'data', 'told'),
  [
    (GIVEN, 'INT16', [1, 2], "'INT16', not FP32: this bundle has no grid"),
    (GIVEN, 'INT8', [1, 2], 'this bundle has no grid'),
    (GRID, 'INT32', [1, 2], "'INT32', not FP32 or INT16 or INT8."),
    (GRID, ['INT16'], [1, 2], 'has datatype "[\'INT16\']"'),
    (GRID, 'INT16', [1, 2.0], 'no integer'),
    (GRID, 'INT16', [1, True], 'no number'),
    (GRID, 'INT16', [1, 32768], 'beyond -32768 to 32767'),
    (GRID, 'INT16', [1, -(10**400)], 'beyond -32768'),
    (GRID, 'INT8', [-129, 1], 'beyond -128 to 127'),
    (GRID, 'INT16', [1], '1 numbers'),
    (GRID, 'INT16', [[1], [2]], 'not nested'),
  ],
)
def test_integers_that_do_not_fit(given, datatype, data, told):
  with pytest.raises(http_error.Refused) as error:
    _parse(
      {'inputs': [ENTRY | {'datatype': datatype, 'data': data}]}, given=given
    )
  assert told in error.value.message
  assert error.value.status == 400


@pytest.mark.parametrize(
  ('datatype', 'size', 'sent', 'told'),
  [
    ('INT16', 8, 8, 'binary_data_size 8; its shape has 4'),
    ('INT8', 2, 3, '3 bytes follow'),
    ('FP32', 4, 4, 'its shape has 8'),
  ],
)
def test_bytes_of_integers_that_do_not_fit(datatype, size, sent, told):
  with pytest.raises(http_error.Refused) as error:
    _binary(bytes(sent), size, GRID, datatype=datatype)
  assert told in error.value.message


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
def test_how_the_answer_is_wanted(more, binary):
  assert _parse({'inputs': [ENTRY]} | more).binary is binary


def test_answers_by_hand():
  array = np.array([[0.1, 2, -0.5]], np.float32)
  request = protocol.Request(array[:, :2], 'x', binary=False)
  body, headers = protocol.answer('cloud', '1', request, WANTED, array)
  assert body == (
    b'{"model_name":"cloud","model_version":"1","outputs":[{"name":"logits",'
    b'"datatype":"FP32","shape":[1,3],"data":[0.10000000149011612,2.0,-0.5]}],'
    b'"id":"x"}'
  )
  assert headers == {'Content-Type': 'application/json'}
  request = protocol.Request(array[:, :2], None, binary=True)
  body, headers = protocol.answer('cloud', '1', request, WANTED, array)
  text = (
    b'{"model_name":"cloud","model_version":"1","outputs":[{"name":"logits",'
    b'"datatype":"FP32","shape":[1,3],"parameters":{"binary_data_size":12}}]}'
  )
  # 0.1 is 0x3DCCCCCD, 2 is 0x40000000, and -0.5 is 0xBF000000.
  assert body == text + b'\xcd\xcc\xcc\x3d\0\0\0\x40\0\0\0\xbf'
  assert headers == {
    'Content-Type': 'application/octet-stream',
    'Inference-Header-Content-Length': str(len(text)),
  }


@pytest.mark.parametrize(
  ('changes', 'told'),
  [
    ({'name': 'x'}, "there is no input 'x'"),
    ({'datatype': 'FP64'}, "'FP64', not FP32"),
    ({'shape': [2, 1]}, '[2, 1], not [1, 2]'),
    ({'shape': [1, 2.0]}, 'not [1, 2]'),
    ({'shape': [True, 2]}, 'not [1, 2]'),
    ({'data': [1]}, '1 numbers'),
    ({'data': [1, 2, 3]}, '3 numbers'),
    ({'data': [[1], [2]]}, 'not nested'),
    ({'data': [[1, [2]]]}, 'no number'),
    ({'data': [1, True]}, 'no number'),
    ({'data': [1, '2']}, 'no number'),
    ({'data': None}, 'no number'),
    ({'data': [1, 1e39]}, 'beyond FP32'),
    ({'data': [1, 10**400]}, 'beyond FP32'),
    ({'data': [1, float('nan')]}, 'NaN is not JSON'),
    ({'data': [1, float('-inf')]}, '-Infinity is not JSON'),
    ({'parameters': {'binary_data_size': 8}}, 'either data or'),
    ({'parameters': {'shared_memory_region': 'r'}}, 'shared memory'),
    ({'parameters': []}, 'no JSON object'),
  ],
)
def test_an_input_that_does_not_fit(changes, told):
  with pytest.raises(http_error.Refused) as error:
    _parse({'inputs': [ENTRY | changes]})
  assert told in error.value.message
  assert error.value.status == 400


@pytest.mark.parametrize(
  ('body', 'length', 'told'),
  [
    (b'', None, 'not JSON: Expecting value at 0'),
    (b'{"inputs": [', None, 'not JSON'),
    (b'\xff{}', None, 'no JSON in UTF-8'),
    (b'[' * 100_000, None, 'absurd'),
    (b'[1' + b'0' * 5000 + b']', None, 'absurd'),
    (b'[]', None, 'no JSON object'),
    (b'{}', None, 'inputs is no list'),
    (b'{"inputs": []}', None, 'inputs is 0'),
    (b'{"inputs": [{}, {}]}', None, 'inputs is 2'),
    (b'{"inputs": [1]}', None, 'no JSON object'),
    (b'{"id": 1}', None, 'id is no string'),
    (b'{}', '3', 'more than the 2 bytes'),
    (b'{}', '-1', 'no number of bytes'),
    (b'{}', '1_0', 'no number of bytes'),
    (b'{}', '9' * 5000, 'more than the 2 bytes'),
  ],
)
def test_a_body_that_does_not_fit(body, length, told):
  with pytest.raises(http_error.Refused) as error:
    protocol.parse(body, length, GIVEN, WANTED)
  assert told in error.value.message


@pytest.mark.parametrize(
  ('rest', 'size', 'told'),
  [
    (bytes(8), 4, 'binary_data_size 4; its shape has 8'),
    (bytes(8), '8', 'binary_data_size 8;'),
    (bytes(7), 8, '7 bytes follow'),
    (bytes(9), 8, '9 bytes follow'),
    (np.array([1, np.nan], '<f4').tobytes(), 8, 'NaN'),
    (np.array([1, np.inf], '<f4').tobytes(), 8, 'infinity'),
  ],
)
def test_bytes_that_do_not_fit(rest, size, told):
  with pytest.raises(http_error.Refused) as error:
    _binary(rest, size)
  assert told in error.value.message


@pytest.mark.parametrize(
  'more',
  [
    {'outputs': [{'name': 'other'}]},
    {'outputs': [{'name': 'logits'}, {'name': 'logits'}]},
    {'outputs': [{'name': 'logits', 'parameters': {'classification': 2}}]},
    {'parameters': {'binary_data_output': 1}},
    {'parameters': 1},
  ],
)
def test_an_output_that_does_not_fit(more):
  with pytest.raises(http_error.Refused):
    _parse({'inputs': [ENTRY]} | more)


def test_bytes_after_json_belong_to_an_input():
  text = json.dumps({'inputs': [ENTRY]}).encode()
  with pytest.raises(http_error.Refused, match='2 bytes after the JSON'):
    protocol.parse(text + b'xx', str(len(text)), GIVEN, WANTED)
