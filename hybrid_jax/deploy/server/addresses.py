"""Address, token and certificates of the server, and their checks."""

import dataclasses
import ipaddress
import pathlib
import socket

from hybrid_jax import errors

_MIN_TOKEN_LENGTH = 16  # Characters.


@dataclasses.dataclass(frozen=True)
class ServerAddress:
  """Where the server listens, who may connect, and for how long.

  Attributes:
    host: host name or IP address to listen on.
    port: 0 for any free port.
    token_file: file with the bearer token; None for no token.
    tls_cert: PEM file with the server's certificates; None for plain HTTP.
    tls_key: PEM file with the certificate's key.
    client_ca: PEM file; clients need a certificate of these authorities.
    max_connections: upper bound of the open connections; further ones wait
      until the operating system can hand them over.
    header_seconds: time for a request's headers, and for an idle connection.
    drain_seconds: time to answer the last requests after SIGTERM.
  """

  host: str = '127.0.0.1'
  port: int = 8000
  token_file: str | None = None
  tls_cert: str | None = None
  tls_key: str | None = None
  client_ca: str | None = None
  max_connections: int = 512
  header_seconds: float = 10.0
  drain_seconds: float = 30.0


def read_token(path: str | None) -> str | None:
  """Returns the token in a file, without white space around it.

  Args:
    path: the file; None returns None.

  Raises:
    UserError: the file cannot be read, or does not hold one word of at least 16
      printable ASCII characters.
  """
  if path is None:
    return None
  try:
    token = pathlib.Path(path).read_text(encoding='ascii').strip()
  except (OSError, UnicodeError) as e:
    raise errors.UserError(f'could not read a token from {path}: {e}') from e
  is_word = token.isprintable() and ' ' not in token
  if len(token) < _MIN_TOKEN_LENGTH or not is_word:
    raise errors.UserError(
      f'the token in {path} must be one word of at least {_MIN_TOKEN_LENGTH}'
      ' characters, such as `openssl rand -hex 32` prints.'
    )
  return token


def check(address: ServerAddress) -> None:
  """Checks that other machines need a token or certificate to connect.

  Raises:
    UserError: they do not, the host is unknown, the port is out of range, or
      the TLS files are incomplete.
  """
  if bool(address.tls_cert) != bool(address.tls_key):
    raise errors.UserError('--tls_cert and --tls_key need each other.')
  if address.client_ca and not address.tls_cert:
    raise errors.UserError('--client_ca needs --tls_cert and --tls_key.')
  if not 0 <= address.port <= 65535:
    raise errors.UserError(
      f'--port is {address.port}; it must be from 0 to 65535.'
    )
  is_protected = address.token_file or address.client_ca
  if not is_protected and not _is_loopback(address.host):
    raise errors.UserError(
      f'other machines can reach {address.host!r}: add --token_file or'
      ' --client_ca, or use --host=127.0.0.1.'
    )


def is_token_in_clear(address: ServerAddress) -> bool:
  """Whether other machines send the token without TLS."""
  return not address.tls_cert and not _is_loopback(address.host)


def _is_loopback(host):
  """Whether all addresses of a host are loopback addresses."""
  try:
    entries = socket.getaddrinfo(host or '0.0.0.0', None)
  except OSError as e:
    raise errors.UserError(f'unknown host {host!r}: {e.strerror}.') from e
  return all(ipaddress.ip_address(e[4][0]).is_loopback for e in entries)
