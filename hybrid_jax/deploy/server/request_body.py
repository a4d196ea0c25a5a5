"""Reads a request body within bounds of size and time."""

import asyncio

from starlette import exceptions, requests

# A client may lose a response that is sent while it still writes. So this many
# bytes of an over-long body are read and dropped before the response.
_DROPPED_BYTES = 1 << 20
_CLOSE = {'Connection': 'close'}
_TYPES = ('application/json', 'application/octet-stream')


async def read(
  request: requests.Request, max_bytes: int, seconds: float
) -> bytes:
  """Returns the body of a request.

  Args:
    request: a request whose body has not been read.
    max_bytes: upper bound of the body's length.
    seconds: upper bound of the time until the whole body has arrived.

  Raises:
    HTTPException: 400 for a body that was cut off, 408 for one that arrives too
      slowly, 413 for one that is too long, 415 for a compressed one or one of
      another type than JSON and bytes.
  """
  _check_headers(request.headers)
  too_long = int(request.headers.get('content-length', '0')) > max_bytes
  chunks: list[bytes] = []
  size = 0
  try:
    async with asyncio.timeout(seconds):
      async for chunk in request.stream():
        size += len(chunk)
        too_long = too_long or size > max_bytes
        if not too_long:
          chunks.append(chunk)
        elif size > max_bytes + _DROPPED_BYTES:
          break
  except TimeoutError:
    if not too_long:
      raise exceptions.HTTPException(
        408, f'the body did not arrive within {seconds:g} s.', _CLOSE
      ) from None
  except requests.ClientDisconnect:
    raise exceptions.HTTPException(
      400, 'the body was cut off.', _CLOSE
    ) from None
  if too_long:
    raise exceptions.HTTPException(
      413, f'the body is longer than {max_bytes} bytes.', _CLOSE
    )
  return b''.join(chunks)


def _check_headers(headers):
  if headers.get('content-encoding', 'identity').lower() != 'identity':
    raise exceptions.HTTPException(
      415, 'compressed bodies are not supported; send it uncompressed.'
    )
  # A web page can send forms and plain text to any server without its consent.
  content_type = headers.get('content-type', _TYPES[0])
  if content_type.partition(';')[0].strip().lower() not in _TYPES:
    raise exceptions.HTTPException(
      415, f'Content-Type must be {" or ".join(_TYPES)}.'
    )
