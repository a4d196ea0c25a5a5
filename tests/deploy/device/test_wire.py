"""Vectors as bytes, by hand."""

import numpy as np
import pytest

from hybrid_jax.deploy.device import wire


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
def test_vectors_by_hand(vector, grid, datatype, data):
  message = wire.encode(np.float32([vector]), grid)
  length = int(message.headers[wire.HEADER_LENGTH])
  assert message.body[length:] == data
  assert b'"datatype":"%s"' % datatype in message.body[:length]
  assert repr(message) == 'Message()'


@pytest.mark.parametrize('seed', range(3))
def test_steps_times_grid_are_the_very_floats(seed):
  rng = np.random.default_rng(seed)
  grid = float(np.float32(rng.uniform(0.01, 1)))
  steps = rng.integers(-2000, 2000, (1, 500))
  released = steps.astype(np.float32) * np.float32(grid)  # As the edge does.
  message = wire.encode(released, grid)
  length = int(message.headers[wire.HEADER_LENGTH])
  found = np.frombuffer(message.body[length:], '<i2')
  np.testing.assert_array_equal(found, steps[0])


def test_an_answer_in_bytes():
  text = b'{"outputs":[{"name":"logits","datatype":"FP32","shape":[1,2]}]}'
  body = text + b'\x00\x00\xc0\x3f\x00\x00\x00\xc0'
  logits = wire.decode(body, str(len(text)), 2)
  np.testing.assert_array_equal(logits, np.float32([1.5, -2]))
