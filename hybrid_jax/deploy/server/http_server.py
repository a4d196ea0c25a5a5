"""Listens, on loopback or behind a token or certificates, until SIGTERM."""

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http import h11_impl

from hybrid_jax import errors
from hybrid_jax.deploy.server import addresses, app

_SEND_SECONDS = 5  # For the last answers to be sent, after the drain.


def run(service: app.Service, address: addresses.Address) -> None:
  """Serves until SIGTERM or SIGINT; a second one does not wait.

  Prints one line once it listens. After the signal it is not ready, refuses
  new inference, answers what it took on, and returns.

  Args:
    service: what is served. Its token is that of `address`.
    address: where, and to whom.

  Raises:
    UserError: it may not listen there, or cannot.
  """
  addresses.check(address)
  _set_up_log()
  if addresses.is_token_in_clear(address):
    print(
      'warning: the token and all vectors go over the network unencrypted,'
      ' unless a proxy in front adds TLS; see --tls_cert.',
      file=sys.stderr,
    )
  config = uvicorn.Config(
    service.app,
    http=_protocol(address),
    ws='none',
    loop='asyncio',
    lifespan='on',
    log_config=None,
    access_log=False,
    proxy_headers=False,
    server_header=False,
    ssl_certfile=address.tls_cert,
    ssl_keyfile=address.tls_key,
    ssl_ca_certs=address.client_ca,
    ssl_cert_reqs=ssl.CERT_REQUIRED if address.client_ca else ssl.CERT_NONE,
    timeout_graceful_shutdown=_SEND_SECONDS,
  )
  try:
    config.load()
  except OSError as e:  # Of which an SSLError is one.
    raise errors.UserError(f'could not load the files for TLS: {e}') from e
  with _listen(address) as listener:
    asyncio.run(_Server(config, service, address).serve([listener]))


class _Server(uvicorn.Server):
  """Tells where it listens, and drains before it closes."""

  def __init__(self, config, service, address):
    super().__init__(config)
    self._service = service
    self._address = address
    self._drain: asyncio.Task | None = None

  async def startup(self, sockets: Any = None) -> None:
    await super().startup(sockets)
    host, port = sockets[0].getsockname()[:2]
    scheme = 'https' if self.config.is_ssl else 'http'
    shown = f'[{host}]' if ':' in host else host
    print(f'Serving at {scheme}://{shown}:{port}', flush=True)

  @contextlib.contextmanager
  def capture_signals(self) -> Iterator[None]:
    # Uvicorn's own ends the process by the signal; ours by exit code 0.
    loop = asyncio.get_running_loop()
    kinds = (signal.SIGTERM, signal.SIGINT)
    for kind in kinds:
      loop.add_signal_handler(kind, self._signalled)
    try:
      yield
    finally:
      for kind in kinds:
        loop.remove_signal_handler(kind)

  def _signalled(self):
    if self._drain is not None:
      self.force_exit = True
      self.should_exit = True
      return
    self._service.draining = True
    self._drain = asyncio.get_running_loop().create_task(self._wait())

  async def _wait(self):
    """Listens on, so that probes see that it is not ready, till all is done."""
    with contextlib.suppress(TimeoutError):
      async with asyncio.timeout(self._address.drain_seconds):
        while self._service.in_flight:
          await asyncio.sleep(0.02)
    self.should_exit = True


def _protocol(address: addresses.Address) -> type[asyncio.Protocol]:
  """HTTP with a bound on connections, and on the time that headers take."""

  class Bounded(h11_impl.H11Protocol):
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
      super().connection_made(transport)
      if len(self.connections) > address.max_connections:
        transport.abort()
      self._watch()

    def data_received(self, data: bytes) -> None:
      super().data_received(data)
      self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
      super().connection_lost(exc)
      self._stop_timer()

    def _watch(self):
      """The timer runs while there are no whole headers to be answered."""
      if self.cycle is not None and not self.cycle.response_complete:
        self._stop_timer()
      elif self._timer is None:
        self._timer = self.loop.call_later(address.header_seconds, self._late)

    def _stop_timer(self):
      if self._timer is not None:
        self._timer.cancel()
        self._timer = None

    def _late(self):
      self._timer = None
      self.transport.close()

  return Bounded


def _listen(address: addresses.Address) -> socket.socket:
  try:
    # With its protocol, asyncio sends small answers at once (TCP_NODELAY).
    family, kind, protocol, _, place = socket.getaddrinfo(
      address.host, address.port, 0, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(place)
  except OSError as e:
    raise errors.UserError(
      f'could not listen at {address.host}:{address.port}: {e.strerror or e}.'
    ) from e
  return listener


def _set_up_log() -> None:
  """Sends the access log to standard error, and nothing of it elsewhere."""
  log = logging.getLogger('hybrid_jax.deploy.server')
  handler = logging.StreamHandler(sys.stderr)
  handler.setFormatter(logging.Formatter('%(asctime)s %(message)s'))
  log.handlers[:] = [handler]
  log.setLevel(logging.INFO)
  log.propagate = False
