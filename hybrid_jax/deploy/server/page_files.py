"""Serves the files of the page that runs the edge half in a browser."""

import dataclasses
import os
import pathlib

from starlette import requests, responses, routing

from hybrid_jax import errors, files

HERE = pathlib.Path(__file__).parents[1] / 'page'

_TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
}
_BYTES = 'application/octet-stream'
_HEADERS = {
  # The page loads from this server and sends to this server, and no other.
  'Content-Security-Policy': (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval';"
    " connect-src 'self'; object-src 'none'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
  ),
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-cache',  # Cached, but checked by its ETag.
}
_PREPARED = (
  'live.json',
  'windows.f32',
  'open/manifest.json',
  'open/edge.tflite',
)
_VENDORED = (
  'litert.js',
  'wasm-utils.js',
  'litert_wasm_internal.js',
  'litert_wasm_internal.wasm',
  'litert_wasm_compat_internal.js',
  'litert_wasm_compat_internal.wasm',
)


@dataclasses.dataclass(frozen=True)
class Page:
  """The page's paths and files. No path reads any other file.

  Attributes:
    model: the model's name on this server.
    paths: maps each path to its file.
  """

  model: str
  paths: dict[str, pathlib.Path]

  def routes(self) -> list[routing.Route]:
    """Returns a route for each path."""
    return [
      routing.Route('/live/server.json', self._server_name, methods=['GET']),
      *(routing.Route(p, self._page, methods=['GET']) for p in self.paths),
    ]

  def open_paths(self) -> frozenset[str]:
    """Returns the paths that need no token: a browser loads a page without."""
    return frozenset({'/live/server.json', *self.paths})

  async def _server_name(self, request: requests.Request) -> responses.Response:
    return responses.JSONResponse({'model': self.model}, headers=_HEADERS)

  async def _page(self, request: requests.Request) -> responses.Response:
    path = self.paths[request.scope['path']]
    headers = _HEADERS | {'Content-Type': _TYPES.get(path.suffix, _BYTES)}
    compressed = path.with_name(path.name + '.gz')
    if compressed.exists():
      headers['Vary'] = 'Accept-Encoding'
      if 'gzip' in request.headers.get('accept-encoding', ''):
        headers['Content-Encoding'] = 'gzip'
        path = compressed
    response = responses.FileResponse(
      path, headers=headers, stat_result=os.stat(path)
    )
    if request.headers.get('if-none-match') == response.headers['etag']:
      headers['ETag'] = response.headers['etag']
      del headers['Content-Type']
      return responses.Response(status_code=304, headers=headers)
    return response


def load(
  folder: str | os.PathLike, bundle: str | os.PathLike, model: str
) -> Page:
  """Loads the page that `hybrid_jax.study.page_demo.prepare` wrote.

  Args:
    folder: the folder that it wrote.
    bundle: the served bundle; the browser runs its edge half.
    model: the model's name on this server.

  Raises:
    UserError: a file is missing, or the folder belongs to another bundle. The
      message has the command to run.
  """
  folder, bundle = pathlib.Path(folder), pathlib.Path(bundle)
  vendor = HERE / 'vendor'
  if not all((vendor / name).is_file() for name in (*_VENDORED, 'stamp')):
    raise errors.UserError(
      f'the page needs LiteRT.js in {vendor}: run'
      f' `bash {HERE / "vendor.sh"}` once, which needs npm.'
    )
  for name in _PREPARED:
    if not (folder / name).is_file():
      raise errors.UserError(
        f'{folder} has no {name}: `hybrid-jax live --workdir=WORKDIR`'
        ' writes what the page needs into WORKDIR/live.'
      )
  live = files.read_json(folder / 'live.json')
  _check_channels(folder, live, bundle)
  prepared = live.get('edge_sha256')
  sha256 = files.sha256(_edge_file(bundle))
  if prepared != sha256:
    raise errors.UserError(
      f'{folder} was prepared for an edge half with sha256 {prepared}; that of'
      f' {bundle} has {sha256}. Serve --bundle={folder / "bundle"}, or run'
      ' `hybrid-jax live` again.'
    )
  assets = [p for p in HERE.iterdir() if p.suffix in ('.css', '.js', '.svg')]
  return Page(
    model,
    {
      '/': HERE / 'index.html',
      **{f'/page/{p.name}': p for p in sorted(assets)},
      **{f'/page/vendor/{name}': vendor / name for name in _VENDORED},
      '/bundle/manifest.json': bundle / 'manifest.json',
      '/bundle/edge.tflite': _edge_file(bundle),
      **{f'/live/{name}': folder / name for name in _PREPARED},
    },
  )


def _check_channels(folder, live, bundle):
  """Checks that the page's rows have the channels of the bundle, in order."""
  manifest = files.read_json(bundle / 'manifest.json')
  channels = manifest.get('edge', {}).get('inputs', {}).get('x', {})
  names = channels.get('channels') or []
  if names and list(live.get('channels', names)) != list(names):
    raise errors.UserError(
      f'{folder} was prepared for the channels {", ".join(live["channels"])};'
      f' {bundle} takes {", ".join(names)}.'
    )


def _edge_file(bundle):
  path = bundle / 'edge.tflite'
  if not path.is_file():
    raise errors.UserError(
      f'{bundle} has no edge.tflite, which the page runs in the browser.'
    )
  return path
