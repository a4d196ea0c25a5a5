"""Where the server may listen, and who may come."""

import dataclasses
import ipaddress
import pathlib
import socket

from hybrid_jax import errors

_LEAST_TOKEN = 16  # Characters.


@dataclasses.dataclass(frozen=True)
class Address:
  """Where to listen, and who may come.

  Attributes:
    host: a name or an IP address.
    port: 0 for any that is free.
    token_file: a file with the bearer token; None for no token.
    tls_cert: a PEM file with the server's certificates; None for plain HTTP.
    tls_key: a PEM file with its key.
    client_ca: a PEM file; clients need a certificate of these authorities.
    max_connections: the most that may be open.
    header_seconds: within which a request's headers must be there.
    drain_seconds: within which the last requests must be answered.
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
  """The token in the file, without white space around it.

  Raises:
    UserError: the file cannot be read, or holds no token of 16 characters or
      more in printable ASCII.
  """
  if path is None:
    return None
  try:
    token = pathlib.Path(path).read_text(encoding='ascii').strip()
  except (OSError, UnicodeError) as e:
    raise errors.UserError(f'could not read a token from {path}: {e}') from e
  if len(token) < _LEAST_TOKEN or not token.isprintable() or ' ' in token:
    raise errors.UserError(
      f'the token in {path} must be one word of {_LEAST_TOKEN} characters or'
      ' more, as `openssl rand -hex 32` makes it.'
    )
  return token


def check(address: Address) -> None:
  """Refuses to be open to other machines without a token or certificates.

  Raises:
    UserError: that, or files for TLS that do not go together.
  """
  if bool(address.tls_cert) != bool(address.tls_key):
    raise errors.UserError('--tls_cert and --tls_key are given together.')
  if address.client_ca and not address.tls_cert:
    raise errors.UserError('--client_ca needs --tls_cert and --tls_key.')
  if not 0 <= address.port <= 65535:
    raise errors.UserError(f'--port is {address.port}; it goes to 65535.')
  guarded = address.token_file or address.client_ca
  if not guarded and not _is_loopback(address.host):
    raise errors.UserError(
      f'{address.host!r} can be reached from other machines: give --token_file'
      ' or --client_ca, or --host=127.0.0.1.'
    )


def is_token_in_clear(address: Address) -> bool:
  """Whether other machines send the token without TLS."""
  return not address.tls_cert and not _is_loopback(address.host)


def _is_loopback(host: str) -> bool:
  """Whether all that a host's name stands for is this machine alone."""
  try:
    found = socket.getaddrinfo(host or '0.0.0.0', None)
  except OSError as e:
    raise errors.UserError(f'there is no host {host!r}: {e.strerror}.') from e
  return all(ipaddress.ip_address(f[4][0]).is_loopback for f in found)
