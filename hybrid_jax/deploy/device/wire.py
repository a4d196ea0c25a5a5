"""A released vector as a request of the Open Inference Protocol, and back.

Pure functions. Source: the protocol's REST specification and its binary tensor
extension. A request names no client, no time and no number, and so tells the
cloud nothing but the vector.
"""

import dataclasses
import json

import numpy as np

from hybrid_jax.deploy.device import failures

HEADER_LENGTH = 'Inference-Header-Content-Length'
_INT16 = np.iinfo(np.int16)


@dataclasses.dataclass(frozen=True)
class Message:
  """A request's body and headers; what it holds is not shown."""

  body: bytes = dataclasses.field(repr=False)
  headers: dict[str, str] = dataclasses.field(repr=False)


def encode(released: np.ndarray, grid: float | None) -> Message:
  """Float32 `[1, d]` as INT16 steps of `grid`, or as FP32 without a grid.

  What lies beyond 32,767 steps, about 2,048 sigma, goes as FP32 too.
  """
  datatype, data = 'FP32', released.astype('<f4')
  if grid is not None:
    steps = np.round(released.astype(np.float64) / grid)
    if _INT16.min <= steps.min() and steps.max() <= _INT16.max:
      datatype, data = 'INT16', steps.astype('<i2')
  raw = data.tobytes()
  text = json.dumps(
    {
      'inputs': [
        {
          'name': 'released',
          'shape': list(released.shape),
          'datatype': datatype,
          'parameters': {'binary_data_size': len(raw)},
        }
      ],
      'parameters': {'binary_data_output': True},
    },
    separators=(',', ':'),
  ).encode()
  return Message(
    text + raw,
    {
      'Content-Type': 'application/octet-stream',
      HEADER_LENGTH: str(len(text)),
    },
  )


def decode(body: bytes, header_length: str | None, classes: int) -> np.ndarray:
  """The logits `[classes]`, float32, of an answer in JSON or in bytes.

  Raises:
    Refused: the answer is not one for such a request.
  """
  try:
    length = len(body) if header_length is None else int(header_length)
    message = json.loads(body[:length].decode())
    (output,) = message['outputs']
    if output['datatype'] != 'FP32' or output['shape'] != [1, classes]:
      raise ValueError
    if 'data' in output:
      logits = np.asarray(output['data'], np.float32).reshape(classes)
    else:
      logits = np.frombuffer(body[length:], '<f4').astype(np.float32)
    if logits.shape != (classes,) or not np.isfinite(logits).all():
      raise ValueError
  except (ValueError, KeyError, TypeError, RecursionError):
    # Without the cause: a server's text may repeat what it was sent.
    raise failures.Refused(
      f'the server did not answer with {classes} logits.', 200
    ) from None
  return logits
