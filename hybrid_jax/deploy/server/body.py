"""Reads a request's body within bounds of size and time."""

import asyncio

from starlette import requests

from hybrid_jax.deploy.server import http_error

# An answer sent while the client still writes may be lost with the connection,
# so that much more of an over-long body is read, and dropped, before it.
_DROPPED = 1 << 20
_CLOSE = {'Connection': 'close'}


async def read(
  request: requests.Request, max_bytes: int, seconds: float
) -> bytes:
  """The body, which must be neither compressed nor of a web form.

  Args:
    request: whose body is not yet read.
    max_bytes: the longest body, declared or not.
    seconds: within which all of it must be there.

  Raises:
    refused.Refused: 400 for a body that was cut off, 408 for one that comes
      too slowly, 413 for one that is too long, 415 for a compressed one or one
      of a form.
  """
  _check_headers(request)
  too_long = http_error.Refused(
    f'the body is longer than {max_bytes} bytes.', 413, _CLOSE
  )
  fits = int(request.headers.get('content-length', '0')) <= max_bytes
  if not fits and 'expect' in request.headers:
    raise too_long  # The client waits for leave to send.
  chunks: list[bytes] = []
  size = 0
  try:
    async with asyncio.timeout(seconds):
      async for chunk in request.stream():
        size += len(chunk)
        fits = fits and size <= max_bytes
        if fits:
          chunks.append(chunk)
        elif size > max_bytes + _DROPPED:
          break
  except TimeoutError:
    if fits:
      raise http_error.Refused(
        f'the body was not there after {seconds:g} s.', 408, _CLOSE
      ) from None
  except requests.ClientDisconnect:
    raise http_error.Refused('the body was cut off.', 400, _CLOSE) from None
  if not fits:
    raise too_long
  return b''.join(chunks)


def _check_headers(request):
  encoding = request.headers.get('content-encoding', 'identity')
  if encoding.lower() != 'identity':
    raise http_error.Refused('compressed bodies are not read.', 415)
  # A page in a browser can send forms and plain text to any server unasked.
  kind = request.headers.get('content-type', 'application/json')
  kind = kind.partition(';')[0].strip().lower()
  if kind not in ('application/json', 'application/octet-stream'):
    raise http_error.Refused(
      'Content-Type must be application/json or application/octet-stream.',
      415,
    )
