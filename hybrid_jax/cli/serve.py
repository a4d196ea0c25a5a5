"""Serves the cloud half of a bundle by the Open Inference Protocol v2.

    hybrid-jax serve --bundle=runs/watch/bundle

Other machines can connect only with a token or a client certificate:

    hybrid-jax serve --bundle=runs/watch/bundle --host=0.0.0.0
      --token_file=token --tls_cert=cert.pem --tls_key=key.pem

With --page, the server also has a page that runs the edge half in a browser;
`hybrid-jax live` prepares it.
"""

import pathlib

from absl import flags

from hybrid_jax import errors
from hybrid_jax.cli import command
from hybrid_jax.datasets import digests

_BUNDLE = flags.DEFINE_string('bundle', None, 'Folder of the bundle.')
_NAME = flags.DEFINE_string('name', 'cloud', "The model's name in the paths.")
_HOST = flags.DEFINE_string(
  'host', '127.0.0.1', 'Name or address to listen on.'
)
_PORT = flags.DEFINE_integer('port', 8000, 'Port; 0 for any free port.')
_TOKEN_FILE = flags.DEFINE_string(
  'token_file', None, 'File with the bearer token that requests need.'
)
_TLS_CERT = flags.DEFINE_string(
  'tls_cert', None, "PEM file with the server's certificates."
)
_TLS_KEY = flags.DEFINE_string('tls_key', None, 'PEM file with its key.')
_CLIENT_CA = flags.DEFINE_string(
  'client_ca',
  None,
  'PEM file of the authorities that sign client certificates.',
)
_MAX_BODY = flags.DEFINE_integer(
  'max_body', 1 << 20, 'Upper bound of a request body, in bytes.'
)
_MAX_QUEUE = flags.DEFINE_integer(
  'max_queue', 64, 'Upper bound of waiting vectors.'
)
_MAX_CONCURRENCY = flags.DEFINE_integer(
  'max_concurrency', 128, 'Upper bound of the inference requests in progress.'
)
_MAX_CONNECTIONS = flags.DEFINE_integer(
  'max_connections', 512, 'Upper bound of the open connections.'
)
_MAX_BATCH = flags.DEFINE_integer(
  'max_batch', 8, 'Upper bound of the vectors that run at once.'
)
_MAX_WAIT_MS = flags.DEFINE_float(
  'max_wait_ms',
  0.0,
  'Milliseconds that a vector waits for others once the cloud half is free.'
  ' Vectors that arrive while it runs form a batch in any case.',
)
_BODY_SECONDS = flags.DEFINE_float(
  'body_seconds', 10.0, 'Time limit for the headers, and for the body.'
)
_DRAIN_SECONDS = flags.DEFINE_float(
  'drain_seconds', 30.0, 'Time limit for the last requests after SIGTERM.'
)
_GRID_ONLY = flags.DEFINE_bool(
  'grid_only', False, "Reject vectors off the grid of the edge's rounding."
)
_PAGE = flags.DEFINE_string(
  'page', None, 'Folder that `hybrid-jax live` wrote; serves the page.'
)


def main(argv: list[str]) -> None:
  """Serves until SIGTERM."""
  command.no_more(argv)
  if not _BUNDLE.value:
    raise errors.UserError('--bundle is missing; see --help.')
  _check_numbers()
  try:  # They need an extra.
    from hybrid_jax.deploy.server import (
      addresses,
      app,
      cloud_half,
      http_server,
      page_files,
    )
  except ImportError as e:
    raise errors.UserError(
      f"serving needs {e.name}: pip install 'hybrid-jax[serve]'."
    ) from e
  address = addresses.ServerAddress(
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
  for folder in pathlib.Path(_BUNDLE.value).absolute().parents:
    if (folder / 'config.json').exists():  # The work directory of a study.
      digests.check(folder, '--bundle')
  cloud = cloud_half.CloudHalf(_BUNDLE.value, limits.max_batch)
  token = addresses.read_token(address.token_file)
  page = (
    page_files.load(_PAGE.value, _BUNDLE.value, _NAME.value)
    if _PAGE.value
    else None
  )
  http_server.run(app.Service(cloud, _NAME.value, limits, token, page), address)


def _check_numbers():
  for flag in (
    _MAX_BODY,
    _MAX_QUEUE,
    _MAX_CONCURRENCY,
    _MAX_CONNECTIONS,
    _MAX_BATCH,
    _BODY_SECONDS,
  ):
    if not flag.value > 0:
      raise errors.UserError(
        f'--{flag.name} is {flag.value}; it must be more than 0.'
      )
  for flag in (_MAX_WAIT_MS, _DRAIN_SECONDS):
    if not flag.value >= 0:
      raise errors.UserError(
        f'--{flag.name} is {flag.value}; it must be 0 or more.'
      )
