"""ASGI middleware: bearer token, metrics and access log; errors as JSON."""

import hashlib
import hmac
import logging
import time

import prometheus_client
from starlette import exceptions, requests, responses, types

from hybrid_jax.deploy.formats import protocol
from hybrid_jax.deploy.server import micro_batches

_OPEN_PATHS = ('/v2/health/live', '/v2/health/ready')  # Probes have no token.
_METHODS = ('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH')
_LOG = logging.getLogger('hybrid_jax.deploy.server')


class Middleware:
  """Checks the token, counts and logs each request, and hides exceptions.

  The access log has the method, route, status and duration of each request. It
  has no client address, path or body.
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
      app: the application.
      registry: the registry for the metrics.
      token: the bearer token of each request; None if none is needed.
      open_paths: further paths that need no token, beside those of health.
    """
    self._open_paths = open_paths.union(_OPEN_PATHS)
    self._app = app
    self._token = None if token is None else _digest(token.encode())
    self._count = prometheus_client.Counter(
      'hybrid_jax_requests',
      'Answered requests.',
      ['route', 'status'],
      registry=registry,
    )
    self._seconds = prometheus_client.Histogram(
      'hybrid_jax_request_seconds',
      'Time from the headers to the end of the response.',
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

    async def send_and_note(message):
      nonlocal status
      if message['type'] == 'http.response.start':
        status = message['status']
      await send(message)

    app = self._app if self._is_authorised(scope) else _UNAUTHORISED
    try:
      await app(scope, receive, send_and_note)
    except Exception as e:
      # The message and the frames may hold a vector, so only the type and the
      # function's name are logged.
      _LOG.error('%s in %s', type(e).__name__, _function_name(e))
    finally:
      seconds = time.monotonic() - started
      route = _route(scope)
      self._count.labels(route, str(status)).inc()
      self._seconds.labels(route).observe(seconds)
      method = scope['method'] if scope['method'] in _METHODS else 'OTHER'
      _LOG.info('%s %s %d %.1f ms', method, route, status, 1000 * seconds)

  def _is_authorised(self, scope):
    if self._token is None or scope['path'] in self._open_paths:
      return True
    value = dict(scope['headers']).get(b'authorization', b'')
    scheme, _, token = value.partition(b' ')
    # Digests have equal lengths and are compared in constant time.
    is_same = hmac.compare_digest(_digest(token.strip()), self._token)
    return scheme.lower() == b'bearer' and is_same


async def error_response(
  request: requests.Request, error: Exception
) -> responses.Response:
  """Returns the JSON response `{"error": "..."}` to an exception.

  A message reaches the client only from an exception that is meant for it.
  """
  if isinstance(error, protocol.ProtocolError):
    return _json_error(400, str(error))
  if isinstance(error, micro_batches.QueueFullError):
    return _json_error(503, str(error), {'Retry-After': '1'})
  if isinstance(error, exceptions.HTTPException):
    return _json_error(error.status_code, error.detail, error.headers)
  return _json_error(500, 'internal error.')


def _json_error(status, message, headers=None):
  return responses.JSONResponse({'error': message}, status, headers)


_UNAUTHORISED = _json_error(
  401, 'a bearer token is needed.', {'WWW-Authenticate': 'Bearer'}
)


def _digest(token):
  return hashlib.sha256(token).digest()


def _function_name(error):
  """Returns the name of the function that raised `error`."""
  trace = error.__traceback__
  while trace is not None and trace.tb_next is not None:
    trace = trace.tb_next
  return '?' if trace is None else trace.tb_frame.f_code.co_qualname


def _route(scope):
  """Returns the name of the route: few values, whatever paths are requested."""
  endpoint = scope.get('endpoint')
  return getattr(endpoint, '__name__', 'none').lstrip('_')
