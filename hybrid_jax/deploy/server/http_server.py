"""Runs the application under Hypercorn until SIGTERM."""

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import ssl
import sys

import hypercorn.asyncio
import hypercorn.config

from hybrid_jax import errors
from hybrid_jax.deploy.server import addresses, app

_SEND_SECONDS = 5  # Time to send the last responses, after the drain.
_BACKLOG = 128  # Connections that wait to be accepted.
_OTHER_FILES = 8  # Files for the event loop, and for responses with files.


def run(service: app.Service, address: addresses.ServerAddress) -> None:
  """Serves until SIGTERM or SIGINT.

  Prints one line once it listens. After the signal the server is not ready and
  refuses new inference requests. It answers the requests that it accepted, for
  at most `address.drain_seconds`, and returns. A second signal ends it at once.

  Args:
    service: the application, with the token of `address`.
    address: where to listen, and who may connect.

  Raises:
    UserError: the address is not allowed or not free, or a TLS file cannot be
      read.
  """
  addresses.check(address)
  _set_up_log()
  if addresses.is_token_in_clear(address):
    print(
      'warning: the token and all vectors cross the network unencrypted, unless'
      ' a proxy adds TLS; see --tls_cert.',
      file=sys.stderr,
    )
  config = _config(address)
  listener = _listen(address)
  host, port = listener.getsockname()[:2]
  config.bind = [f'fd://{listener.detach()}']  # Hypercorn closes it.
  _limit_connections(address.max_connections)
  scheme = 'https' if address.tls_cert else 'http'
  host = f'[{host}]' if ':' in host else host
  print(f'Serving at {scheme}://{host}:{port}', flush=True)
  asyncio.run(_serve(service, config, address.drain_seconds))


def _config(address):
  config = hypercorn.config.Config()
  config.loglevel = 'WARNING'
  config.backlog = _BACKLOG
  config.include_server_header = False
  # It counts from the connection, or the last response, to the end of the next
  # headers. So it bounds both slow headers and idle connections.
  config.keep_alive_timeout = address.header_seconds
  config.ssl_handshake_timeout = address.header_seconds
  config.graceful_timeout = _SEND_SECONDS
  config.alpn_protocols = ['http/1.1']
  config.certfile, config.keyfile = address.tls_cert, address.tls_key
  if address.client_ca:
    config.ca_certs = address.client_ca
    config.verify_mode = ssl.CERT_REQUIRED
  try:
    config.create_ssl_context()
  except OSError as e:  # An SSLError is one, too.
    raise errors.UserError(f'could not load the TLS files: {e}') from e
  return config


async def _serve(service, config, drain_seconds):
  loop = asyncio.get_running_loop()
  signalled = asyncio.Event()

  async def drain():
    await signalled.wait()
    service.draining = True  # Probes still connect, and see that.
    with contextlib.suppress(TimeoutError):
      async with asyncio.timeout(drain_seconds):
        while service.in_flight:
          await asyncio.sleep(0.02)
    loop.call_later(_SEND_SECONDS, serving.cancel)

  def handle_signal():
    if signalled.is_set():  # The second signal: no drain, no last responses.
      config.graceful_timeout = 0
      serving.cancel()
    signalled.set()

  serving = asyncio.create_task(
    hypercorn.asyncio.serve(
      service.app, config, shutdown_trigger=drain, mode='asgi'
    )
  )
  loop.set_exception_handler(_handle_exception)
  for number in (signal.SIGTERM, signal.SIGINT):
    loop.add_signal_handler(number, handle_signal)
  with contextlib.suppress(asyncio.CancelledError):
    await serving


def _handle_exception(loop, context):
  """Hides failed TLS handshakes, and connections cut at the end."""
  exception = context.get('exception')
  if not isinstance(exception, ssl.SSLError | asyncio.CancelledError):
    loop.default_exception_handler(context)


def _listen(address):
  try:
    # With IPPROTO_TCP, asyncio sends small responses at once (TCP_NODELAY).
    family, kind, protocol, _, place = socket.getaddrinfo(
      address.host, address.port, 0, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(place)
    listener.listen(_BACKLOG)
  except OSError as e:
    raise errors.UserError(
      f'could not listen at {address.host}:{address.port}: {e.strerror or e}.'
    ) from e
  return listener


def _limit_connections(count):
  """Bounds the open sockets by the limit of open files.

  At the limit, asyncio stops accepting for a second. New connections then wait
  in the listening socket's queue.
  """
  _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
  limit = len(os.listdir('/dev/fd')) + _OTHER_FILES + count
  if hard != resource.RLIM_INFINITY:
    limit = min(limit, hard)
  resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def _set_up_log():
  """Sends the access log to standard error alone."""
  log = logging.getLogger('hybrid_jax.deploy.server')
  handler = logging.StreamHandler(sys.stderr)
  handler.setFormatter(logging.Formatter('%(asctime)s %(message)s'))
  log.handlers[:] = [handler]
  log.setLevel(logging.INFO)
  log.propagate = False
