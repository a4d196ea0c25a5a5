"""Around every request: the token, errors as JSON, metrics, the access log."""

import hashlib
import hmac
import logging
import time

import prometheus_client
from starlette import exceptions, requests, responses, types

from hybrid_jax.deploy.formats import protocol
from hybrid_jax.deploy.server import http_error

_OPEN = ('/v2/health/live', '/v2/health/ready')  # For probes without a token.
_LOG = logging.getLogger('hybrid_jax.deploy.server')


class Guard:
  """Wraps an ASGI application; see the module.

  The log has the method, the route, the status and the time of each request,
  and nothing that a client wrote: neither address nor body.
  """

  def __init__(
    self,
    app: types.ASGIApp,
    registry: prometheus_client.CollectorRegistry,
    token: str | None,
    open_paths: frozenset[str] = frozenset(),
  ):
    """Wraps `app`.

    Args:
      app: answers what is let through, errors by `told`.
      registry: where the metrics go.
      token: what a request must bear, but for health; None for no token.
      open_paths: what else needs no token; no address of a model.
    """
    self._open = open_paths.union(_OPEN)
    self._app = app
    self._token = None if token is None else _digest(token.encode())
    self._count = prometheus_client.Counter(
      'hybrid_jax_requests',
      'Requests that were answered.',
      ['route', 'status'],
      registry=registry,
    )
    self._seconds = prometheus_client.Histogram(
      'hybrid_jax_request_seconds',
      'From the headers to the end of the answer.',
      ['route'],
      registry=registry,
    )

  async def __call__(
    self, scope: types.Scope, receive: types.Receive, send: types.Send
  ) -> None:
    if scope['type'] != 'http':
      return await self._app(scope, receive, send)
    started = time.monotonic()
    status = 500

    async def noting(message):
      nonlocal status
      if message['type'] == 'http.response.start':
        status = message['status']
      await send(message)

    try:
      if self._may(scope):
        await self._app(scope, receive, noting)
      else:
        await _unauthorised(scope, receive, noting)
    except Exception as e:
      # Its message and its frames might hold a vector: its kind alone is told.
      _LOG.error('%s in %s', type(e).__name__, _place(e))
    finally:
      seconds = time.monotonic() - started
      route = _route(scope)
      self._count.labels(route, str(status)).inc()
      self._seconds.labels(route).observe(seconds)
      _LOG.info(
        '%s %s %d %.1f ms', _method(scope), route, status, 1000 * seconds
      )

  def _may(self, scope):
    if self._token is None or scope['path'] in self._open:
      return True
    given = b''
    for name, value in scope['headers']:
      if name == b'authorization':
        given = value
    kind, _, token = given.partition(b' ')
    # Digests have one length, and their comparison takes one time.
    same = hmac.compare_digest(_digest(token.strip()), self._token)
    return kind.lower() == b'bearer' and same


def _digest(token):
  return hashlib.sha256(token).digest()


async def told(
  request: requests.Request, error: Exception
) -> responses.Response:
  """The answer to an exception: `{"error": "..."}` and its status."""
  if isinstance(error, http_error.Refused):
    return _error(error.message, error.status, error.headers)
  if isinstance(error, protocol.ProtocolError):
    return _error(str(error), 400)
  if isinstance(error, exceptions.HTTPException):
    return _error(error.detail, error.status_code, error.headers)
  return _error('the server failed.', 500)


def _error(message, status, headers=None):
  return responses.JSONResponse({'error': message}, status, headers)


_unauthorised = _error(
  'a bearer token is needed.', 401, {'WWW-Authenticate': 'Bearer'}
)


def _place(error):
  """The function that raised it."""
  trace = error.__traceback__
  while trace is not None and trace.tb_next is not None:
    trace = trace.tb_next
  return '?' if trace is None else trace.tb_frame.f_code.co_qualname


def _method(scope):
  known = ('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH')
  return scope['method'] if scope['method'] in known else 'OTHER'


def _route(scope):
  """The handler's name: there are few, whatever addresses are asked for."""
  endpoint = scope.get('endpoint')
  return getattr(endpoint, '__name__', 'none').lstrip('_')
