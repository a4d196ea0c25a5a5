"""Serves the cloud half of a bundle by the Open Inference Protocol v2.

python -m launch.serve --bundle=runs/watch/bundle

Only loopback may be served without a token or client certificates:

python -m launch.serve --bundle=runs/watch/bundle --host=0.0.0.0
  --token_file=token --tls_cert=cert.pem --tls_key=key.pem

With --page, the same server has a page that runs the edge half in a browser;
`launch/live.sh` prepares it.
"""

from absl import flags

from hybrid_jax import errors
from hybrid_jax.cli import command

_BUNDLE = flags.DEFINE_string('bundle', None, 'The bundle: a folder.')
_NAME = flags.DEFINE_string('name', 'cloud', "The model's name in addresses.")
_HOST = flags.DEFINE_string('host', '127.0.0.1', 'Where to listen.')
_PORT = flags.DEFINE_integer('port', 8000, 'The port; 0 for one that is free.')
_TOKEN_FILE = flags.DEFINE_string(
  'token_file', None, 'A file with the bearer token that requests must have.'
)
_TLS_CERT = flags.DEFINE_string(
  'tls_cert', None, "A PEM file with the server's certificates."
)
_TLS_KEY = flags.DEFINE_string('tls_key', None, 'A PEM file with its key.')
_CLIENT_CA = flags.DEFINE_string(
  'client_ca', None, 'A PEM file: clients need a certificate of these.'
)
_MAX_BODY = flags.DEFINE_integer(
  'max_body', 1 << 20, 'The longest body of a request, in bytes.'
)
_MAX_QUEUE = flags.DEFINE_integer('max_queue', 64, 'The most vectors waiting.')
_MAX_CONCURRENCY = flags.DEFINE_integer(
  'max_concurrency', 128, 'The most inference requests taken on at once.'
)
_MAX_CONNECTIONS = flags.DEFINE_integer(
  'max_connections', 512, 'The most open connections.'
)
_MAX_BATCH = flags.DEFINE_integer(
  'max_batch', 8, 'The most vectors run at once.'
)
_MAX_WAIT_MS = flags.DEFINE_float(
  'max_wait_ms',
  0.0,
  'How long a vector waits for others to run with, once the cloud half is free;'
  ' those that come while it runs are gathered in any case.',
)
_BODY_SECONDS = flags.DEFINE_float(
  'body_seconds', 10.0, 'Within which headers, and then a body, must be there.'
)
_DRAIN_SECONDS = flags.DEFINE_float(
  'drain_seconds', 30.0, 'Within which the last requests must be answered.'
)
_GRID_ONLY = flags.DEFINE_bool(
  'grid_only', False, "Refuse vectors that the edge's rounding cannot give."
)
_PAGE = flags.DEFINE_string(
  'page', None, 'The folder that launch.live wrote: serves the page with it.'
)


def main(argv: list[str]) -> None:
  """Serves until SIGTERM."""
  command.no_more(argv)
  if not _BUNDLE.value:
    raise errors.UserError('--bundle is needed; see --help.')
  _check_numbers()
  try:
    from hybrid_jax.deploy.server import (
      addresses,
      app,
      http_server,  # Needs an extra.
      loaded_half,
      page_files,
    )
  except ImportError as e:
    raise errors.UserError(
      f"serving needs {e.name}: pip install 'hybrid-jax[serve]'."
    ) from e
  address = addresses.Address(
    host=_HOST.value,
    port=_PORT.value,
    token_file=_TOKEN_FILE.value,
    tls_cert=_TLS_CERT.value,
    tls_key=_TLS_KEY.value,
    client_ca=_CLIENT_CA.value,
    max_connections=_MAX_CONNECTIONS.value,
    header_seconds=_BODY_SECONDS.value,
    drain_seconds=_DRAIN_SECONDS.value,
  )
  addresses.check(address)
  limits = app.Limits(
    max_body=_MAX_BODY.value,
    max_queue=_MAX_QUEUE.value,
    max_concurrency=_MAX_CONCURRENCY.value,
    max_batch=_MAX_BATCH.value,
    max_wait=_MAX_WAIT_MS.value / 1000,
    body_seconds=_BODY_SECONDS.value,
    grid_only=_GRID_ONLY.value,
  )
  cloud = loaded_half.CloudHalf(_BUNDLE.value, limits.max_batch)
  token = addresses.read_token(address.token_file)
  page = (
    page_files.load(_PAGE.value, _BUNDLE.value, _NAME.value)
    if _PAGE.value
    else None
  )
  http_server.run(app.Service(cloud, _NAME.value, limits, token, page), address)


def _check_numbers():
  for holder in (
    _MAX_BODY,
    _MAX_QUEUE,
    _MAX_CONCURRENCY,
    _MAX_CONNECTIONS,
    _MAX_BATCH,
    _BODY_SECONDS,
  ):
    if not holder.value > 0:
      raise errors.UserError(
        f'--{holder.name} is {holder.value}; it must be more than 0.'
      )
  for holder in (_MAX_WAIT_MS, _DRAIN_SECONDS):
    if not holder.value >= 0:
      raise errors.UserError(
        f'--{holder.name} is {holder.value}; it must be 0 or more.'
      )
