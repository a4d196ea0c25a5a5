"""A persistent HTTP connection to one server, with TLS, token and timeout."""

import contextlib
import http.client
import ipaddress
import pathlib
import socket
import ssl
import threading
import urllib.parse

from hybrid_jax import errors
from hybrid_jax.deploy.device import failures
from hybrid_jax.deploy.formats import protocol

_MAX_RESPONSE = 1 << 20  # bytes
_RETRY_STATUSES = (408, 429, 502, 503, 504)
_CAUSES = {
  400: 'the request does not fit; does the server have this bundle?',
  401: 'the token is missing or wrong',
  403: 'the token or certificate does not suffice',
  404: 'there is no such model; is its name right?',
  413: 'the vector is longer than the server accepts',
}
# TLS errors that a retry can cure; all others would happen again.
_TEMPORARY_TLS_ERRORS = (
  ssl.SSLEOFError,
  ssl.SSLZeroReturnError,
  ssl.SSLSyscallError,
)
_DAY = 86400.0  # seconds


class Connection:
  """Sends requests to one server. Use it from one thread at a time."""

  def __init__(
    self,
    url: str,
    timeout: float = 5.0,
    token_file: str | None = None,
    ca_file: str | None = None,
    cert_file: str | None = None,
    key_file: str | None = None,
  ):
    """Checks the arguments; the first request connects.

    Args:
      url: `http://HOST:PORT` or `https://HOST:PORT`, with a path if a proxy
        needs one before the paths of the protocol.
      timeout: seconds until the whole response must have arrived.
      token_file: a file with the bearer token.
      ca_file: a PEM file with the authorities that may have signed the server's
        certificate; None for those of the system.
      cert_file: a PEM file with this device's certificates.
      key_file: a PEM file with the key of the certificate.

    Raises:
      UserError: the arguments contradict each other, a file cannot be read, or
        a token would be sent without encryption.
    """
    self._url, self._timeout = _parse_url(url), timeout
    if not 0 < timeout <= _DAY:
      raise errors.UserError(
        f'the timeout is {timeout}; it must be more than 0 and at most a day.'
      )
    self._headers = {}
    secure = self._url.scheme == 'https'
    if token_file is not None:
      if not secure and not _is_loopback(self._url.hostname):
        raise errors.UserError(
          f'{url} would send the token in the clear; use an https address.'
        )
      self._headers['Authorization'] = f'Bearer {_read_token(token_file)}'
    if not secure and (ca_file or cert_file or key_file):
      raise errors.UserError(f'{url} has no TLS for the given certificates.')
    if bool(cert_file) != bool(key_file):
      raise errors.UserError('a certificate and its key belong together.')
    self._tls = _tls_context(ca_file, cert_file, key_file) if secure else None
    self._connection: http.client.HTTPConnection | None = None

  def close(self) -> None:
    """Closes the connection; the next request opens a new one."""
    if self._connection is not None:
      self._connection.close()
      self._connection = None

  def request(
    self,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
  ) -> tuple[bytes, str | None]:
    """Sends a request.

    Returns:
      The body of the response, and its header `protocol.HEADER_LENGTH`.

    Raises:
      Unreachable: there was no response, or a status that a retry may change.
      Refused: the response has another status than 200.
    """
    reused = self._connection is not None
    try:
      try:
        response = self._exchange(method, path, body, headers)
      except (http.client.RemoteDisconnected, ConnectionError):
        if not reused:
          raise
        # Servers close idle connections, so this is no failure: reconnect.
        self.close()
        response = self._exchange(method, path, body, headers)
    except (OSError, http.client.HTTPException) as e:
      self.close()
      # Without the cause: its message may repeat what was sent.
      raise self._failure(e) from None
    status, content, response_headers = response
    self._check_status(status, response_headers)
    return content, response_headers.get(protocol.HEADER_LENGTH)

  def _exchange(self, method, path, body, headers):
    """Sends one request; returns status, body and headers of the response."""
    if self._connection is None:
      self._connection = self._new_connection()
    with _Deadline(self._connection, self._timeout):
      self._connection.request(
        method,
        self._url.path.rstrip('/') + path,
        body,
        self._headers | (headers or {}),
      )
      response = self._connection.getresponse()
      content = response.read(_MAX_RESPONSE)
      if response.length and len(content) < _MAX_RESPONSE:
        raise http.client.IncompleteRead(b'')
    if response.will_close or not response.isclosed():
      self.close()
    return response.status, content, response.headers

  def _new_connection(self):
    host, port = self._url.hostname, self._url.port
    if self._tls is None:
      return http.client.HTTPConnection(host, port, timeout=self._timeout)
    return http.client.HTTPSConnection(
      host, port, timeout=self._timeout, context=self._tls
    )

  def _server(self):
    return f'{self._url.scheme}://{self._url.netloc}'

  def _failure(self, error):
    """Returns the error to raise if there was no response."""
    if isinstance(error, TimeoutError):
      return failures.Unreachable(
        f'{self._server()} did not answer within {self._timeout:g} s.'
      )
    if isinstance(error, ssl.SSLError) and not isinstance(
      error, _TEMPORARY_TLS_ERRORS
    ):
      reason = getattr(error, 'verify_message', '') or error.reason
      return failures.Refused(f'TLS with {self._server()} failed: {reason}.')
    return failures.Unreachable(
      f'{self._server()} cannot be reached: {type(error).__name__}.'
    )

  def _check_status(self, status, headers):
    if status == 200:
      return
    if status in _RETRY_STATUSES:
      retry_after = headers.get('Retry-After', '')
      is_number = retry_after.isascii() and retry_after.isdigit()
      wait = float(retry_after) if is_number else 0.0
      raise failures.Unreachable(
        f'{self._server()} answers {status}: not now.', min(wait, 3600.0)
      )
    cause = _CAUSES.get(status, 'it does not accept this request')
    raise failures.Refused(
      f'{self._server()} answers {status}: {cause}.', status
    )


class _Deadline:
  """Ends what a connection does after some seconds, with `TimeoutError`.

  A socket's own timeout is not enough: it starts again with every byte.
  """

  def __init__(self, connection: http.client.HTTPConnection, seconds: float):
    self._connection = connection
    self._expired = threading.Event()
    self._timer = threading.Timer(seconds, self._expire)
    self._timer.daemon = True

  def __enter__(self):
    self._timer.start()
    return self

  def __exit__(self, kind, error, traceback):
    self._timer.cancel()
    network_errors = (OSError, http.client.HTTPException)
    if self._expired.is_set() and (
      error is None or isinstance(error, network_errors)
    ):
      raise TimeoutError from None

  def _expire(self):
    self._expired.set()
    sock = self._connection.sock
    if sock is not None:
      # The plain socket's method: the other thread is inside the TLS one.
      with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _parse_url(url):
  try:
    parts = urllib.parse.urlsplit(url)
    is_valid = (
      parts.scheme in ('http', 'https')
      and parts.hostname
      and parts.port != 0
      and parts.username is None
      and not (parts.query or parts.fragment)
    )
  except ValueError:  # The port is not a number.
    is_valid = False
  if not is_valid:
    raise errors.UserError(
      f'{url!r} is no address like http://HOST:PORT or https://HOST:PORT.'
    )
  return parts


def _is_loopback(host):
  try:
    return host == 'localhost' or ipaddress.ip_address(host).is_loopback
  except ValueError:
    return False


def _read_token(path):
  try:
    token = pathlib.Path(path).read_text(encoding='ascii').strip()
  except (OSError, UnicodeError) as e:
    raise errors.UserError(f'could not read a token from {path}.') from e
  if not token or not token.isprintable() or ' ' in token:
    raise errors.UserError(f'the token in {path} is not one word.')
  return token


def _tls_context(ca_file, cert_file, key_file):
  try:
    context = ssl.create_default_context(cafile=ca_file)
    if cert_file:
      context.load_cert_chain(cert_file, key_file)
  except OSError as e:  # SSLError is a subclass.
    raise errors.UserError(f'could not load the files for TLS: {e}.') from e
  return context
