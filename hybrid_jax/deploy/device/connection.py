"""One kept connection to the server: TLS, the token, and a bound on time."""

import contextlib
import http.client
import ipaddress
import pathlib
import socket
import ssl
import threading
import urllib.parse

from hybrid_jax.deploy.device import failures
from hybrid_jax.deploy.formats import protocol

_LONGEST = 1 << 20  # Bytes of an answer.
_LATER = (408, 429, 502, 503, 504)
_WHY = {
  400: 'the request does not fit; does the server have this bundle?',
  401: 'the token is missing or wrong',
  403: 'the token or certificate does not suffice',
  404: 'there is no such model; is its name right?',
  413: 'the vector is longer than the server takes',
}
# Of TLS, what passes; all else of it is the same the next time.
_PASSING = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)

_DAY = 86400.0  # seconds


class Connection:
  """Requests to one server. Not for two threads at once."""

  def __init__(
    self,
    url: str,
    timeout: float = 5.0,
    token_file: str | None = None,
    ca_file: str | None = None,
    cert_file: str | None = None,
    key_file: str | None = None,
  ):
    """Connects with the first request.

    Args:
      url: `http://HOST:PORT` or `https://HOST:PORT`, and a path that a proxy
        may need in front of the protocol's own.
      timeout: seconds within which all of an answer must be there.
      token_file: a file with the bearer token.
      ca_file: a PEM file with the authorities that the server's certificate
        must come from; None for the system's.
      cert_file: a PEM file with this device's certificates.
      key_file: a PEM file with their key.

    Raises:
      BadInput: they do not go together, cannot be read, or would send a token
        in the clear.
    """
    self._url, self._timeout = _split(url), timeout
    if not 0 < timeout <= _DAY:
      raise failures.BadInput(
        f'the timeout is {timeout}; it must be more than 0, and a day at most.'
      )
    self._headers = {}
    secure = self._url.scheme == 'https'
    if token_file is not None:
      if not secure and not _is_loopback(self._url.hostname):
        raise failures.BadInput(
          f'{url} would carry the token in the clear; give an https address.'
        )
      self._headers['Authorization'] = f'Bearer {_token(token_file)}'
    if not secure and (ca_file or cert_file or key_file):
      raise failures.BadInput(f'{url} has no TLS for the certificates given.')
    if bool(cert_file) != bool(key_file):
      raise failures.BadInput('a certificate and its key are given together.')
    self._context = _context(ca_file, cert_file, key_file) if secure else None
    self._open: http.client.HTTPConnection | None = None

  def close(self) -> None:
    """Closes the connection; the next request opens another."""
    if self._open is not None:
      self._open.close()
      self._open = None

  def ask(
    self,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
  ) -> tuple[bytes, str | None]:
    """The body of an answer with status 200, and how long its JSON is.

    Raises:
      Unreachable: there is none for now; another try is worth it.
      Refused: it would be the same the next time.
    """
    kept = self._open is not None
    try:
      try:
        status, answer, found = self._exchange(method, path, body, headers)
      except (http.client.RemoteDisconnected, ConnectionError):
        if not kept:
          raise
        # The server closes connections that rest; that is no failure.
        self.close()
        status, answer, found = self._exchange(method, path, body, headers)
    except (OSError, http.client.HTTPException) as e:
      self.close()
      # Neither message nor cause: they may repeat what was sent.
      raise self._failure(e) from None
    self._check(status, found)
    return answer, found.get(protocol.HEADER_LENGTH)

  def _exchange(self, method, path, body, headers):
    if self._open is None:
      self._open = self._connection()
    connection = self._open
    late = threading.Event()

    def stop():
      late.set()
      sock = connection.sock
      if sock is not None:  # Not TLS's own, which the other thread is in.
        with contextlib.suppress(OSError):
          socket.socket.shutdown(sock, socket.SHUT_RDWR)

    # A socket's own time-out begins again with each byte that comes.
    timer = threading.Timer(self._timeout, stop)
    timer.daemon = True
    timer.start()
    try:
      connection.request(
        method,
        self._url.path.rstrip('/') + path,
        body,
        self._headers | (headers or {}),
      )
      response = connection.getresponse()
      answer = response.read(_LONGEST)
      if response.length and len(answer) < _LONGEST:
        raise http.client.IncompleteRead(b'')
      if not response.isclosed() or response.will_close or late.is_set():
        self.close()
      if late.is_set():
        raise TimeoutError
      return response.status, answer, response.headers
    except (OSError, http.client.HTTPException):
      if late.is_set():
        raise TimeoutError from None
      raise
    finally:
      timer.cancel()

  def _connection(self):
    host, port = self._url.hostname, self._url.port
    if self._context is None:
      return http.client.HTTPConnection(host, port, timeout=self._timeout)
    return http.client.HTTPSConnection(
      host, port, timeout=self._timeout, context=self._context
    )

  def _place(self):
    return f'{self._url.scheme}://{self._url.netloc}'

  def _failure(self, error):
    if isinstance(error, TimeoutError):
      return failures.Unreachable(
        f'{self._place()} gave no answer within {self._timeout:g} s.'
      )
    if isinstance(error, ssl.SSLError) and not isinstance(error, _PASSING):
      reason = getattr(error, 'verify_message', '') or error.reason
      return failures.Refused(f'TLS with {self._place()} fails: {reason}.')
    return failures.Unreachable(
      f'{self._place()} cannot be reached: {type(error).__name__}.'
    )

  def _check(self, status, headers):
    if status == 200:
      return
    if status in _LATER:
      wait = headers.get('Retry-After', '')
      wait = float(wait) if wait.isascii() and wait.isdigit() else 0.0
      raise failures.Unreachable(
        f'{self._place()} answers {status}: not now.', min(wait, 3600.0)
      )
    why = _WHY.get(status, 'it does not take this')
    raise failures.Refused(f'{self._place()} answers {status}: {why}.', status)


def _split(url):
  try:
    parts = urllib.parse.urlsplit(url)
    fits = parts.scheme in ('http', 'https') and parts.hostname
    fits = fits and parts.port != 0 and parts.username is None
  except ValueError:  # The port.
    fits = False
  if not fits or parts.query or parts.fragment:
    raise failures.BadInput(f'{url!r} is no http://HOST:PORT or https://….')
  return parts


def _is_loopback(host):
  try:
    return host == 'localhost' or ipaddress.ip_address(host).is_loopback
  except ValueError:
    return False


def _token(path):
  try:
    token = pathlib.Path(path).read_text(encoding='ascii').strip()
  except (OSError, UnicodeError) as e:
    raise failures.BadInput(f'could not read a token from {path}.') from e
  if not token or not token.isprintable() or ' ' in token:
    raise failures.BadInput(f'the token in {path} is not one word.')
  return token


def _context(ca_file, cert_file, key_file):
  try:
    context = ssl.create_default_context(cafile=ca_file)
    if cert_file:
      context.load_cert_chain(cert_file, key_file)
  except OSError as e:  # Of which an SSLError is one.
    raise failures.BadInput(f'could not load the files for TLS: {e}.') from e
  return context
