"""Paths of the page, and errors for missing files."""

import asyncio
import json

import prometheus_client
import pytest
from starlette import applications

from hybrid_jax import errors
from hybrid_jax.deploy.server import middleware, page_files

_WASM = '/page/vendor/litert_wasm_internal.wasm'


@pytest.fixture
def here(tmp_path, monkeypatch):
  """The page's folder, with placeholders for LiteRT.js."""
  folder = tmp_path / 'page'
  (folder / 'vendor').mkdir(parents=True)
  for path in page_files.HERE.iterdir():
    if path.is_file():
      (folder / path.name).write_bytes(path.read_bytes())
  for name in (*page_files._VENDORED, 'stamp'):
    (folder / 'vendor' / name).write_bytes(b'\0asm')
  compressed = folder / 'vendor' / 'litert_wasm_internal.wasm.gz'
  compressed.write_bytes(b'\x1f\x8b')
  monkeypatch.setattr(page_files, 'HERE', folder)
  return folder


@pytest.fixture
def prepared(tmp_path):
  """Placeholders of the files that `page_demo.prepare` writes."""
  folder = tmp_path / 'live'
  for name in ('bundle', 'open'):
    (folder / name).mkdir(parents=True)
    for file in ('manifest.json', 'edge.tflite', 'cloud.tflite'):
      content = b'{}' if file == 'manifest.json' else b''
      (folder / name / file).write_bytes(content)
  (folder / 'windows.f32').write_bytes(b'')
  empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
  (folder / 'live.json').write_text(json.dumps({'edge_sha256': empty}))
  return folder


@pytest.fixture
def site(here, prepared):
  """The page's routes on a server with a token."""
  page = page_files.load(prepared, prepared / 'bundle', 'mine')
  return middleware.Middleware(
    applications.Starlette(routes=page.routes()),
    prometheus_client.CollectorRegistry(),
    'a-token-of-some-length',
    page.open_paths(),
  )


def _request(site, path, method='GET', **headers):
  """Returns status, headers and body; sends the path unchanged."""
  scope = {
    'type': 'http',
    'method': method,
    'path': path,
    'raw_path': path.encode(),
    'query_string': b'',
    'headers': [
      (k.replace('_', '-').encode(), v.encode()) for k, v in headers.items()
    ],
  }
  sent = []

  async def receive():  # The client sends nothing and stays.
    return await asyncio.get_running_loop().create_future()

  async def send(message):
    sent.append(message)

  asyncio.run(site(scope, receive, send))
  named = {k.decode(): v.decode() for k, v in sent[0]['headers']}
  body = b''.join(m.get('body', b'') for m in sent[1:])
  return sent[0]['status'], named, body


def test_the_page_loads_from_this_server_alone(site, here):
  status, headers, body = _request(site, '/')
  assert status == 200
  assert body == (here / 'index.html').read_bytes()
  assert headers['content-type'] == 'text/html; charset=utf-8'
  # The page has the policy too, should it be served by another server.
  policy = headers['content-security-policy']
  meta = policy.replace("; frame-ancestors 'none'", '')  # Of headers only.
  assert f'content="{meta}"' in ' '.join(body.decode().split())
  assert headers['x-content-type-options'] == 'nosniff'
  assert headers['referrer-policy'] == 'no-referrer'
  policy = [p.strip() for p in headers['content-security-policy'].split(';')]
  assert "default-src 'self'" in policy
  assert "script-src 'self' 'wasm-unsafe-eval'" in policy
  assert "connect-src 'self'" in policy
  assert "frame-ancestors 'none'" in policy
  for path in here.glob('*.*'):
    text = path.read_text()
    if path.name != 'package-lock.json':
      assert 'https://' not in text, path  # Nothing from other servers.
      assert ' style=' not in text, path  # Which the policy forbids.


def test_a_file_has_an_etag_and_may_be_compressed(site):
  _, headers, _ = _request(site, '/page/main.js')
  assert headers['content-type'] == 'text/javascript; charset=utf-8'
  status, again, body = _request(
    site, '/page/main.js', if_none_match=headers['etag']
  )
  assert (status, body) == (304, b'')
  assert again['etag'] == headers['etag']
  _, plain, body = _request(site, _WASM)
  assert body == b'\0asm'
  assert 'content-encoding' not in plain
  _, compressed, body = _request(site, _WASM, accept_encoding='br, gzip')
  assert body == b'\x1f\x8b'
  assert compressed['content-encoding'] == 'gzip'
  assert compressed['content-type'] == plain['content-type']
  assert plain['content-type'] == 'application/wasm'
  assert compressed['vary'] == plain['vary'] == 'Accept-Encoding'


def test_the_models_name(site):
  assert json.loads(_request(site, '/live/server.json')[2]) == {'model': 'mine'}


@pytest.mark.parametrize(
  'path',
  [
    '/page/index.html',
    '/page/package.json',
    '/page/vendor.sh',
    '/page/vendor/stamp',
    '/page/../app.py',
    '/page/vendor/../../app.py',
    '/page//etc/passwd',
    '//etc/passwd',
    '/bundle/cloud.tflite',
    '/bundle/../windows.f32',
    '/live/bundle/edge.tflite',
    '/live/../../manifest.json',
    '/live/..\\manifest.json',
    '/bundle/edge.tflite\0',
  ],
)
def test_no_other_file_is_read(site, path):
  assert _request(site, path, authorization='Bearer a-token-of-some-length')[
    0
  ] == (404)


def test_only_the_page_needs_no_token(site):
  for path in ('/page/vendor.sh', '/v2/models/cloud', '/metrics', '//'):
    assert _request(site, path)[0] == 401
  for path in ('/', '/bundle/edge.tflite', '/live/live.json'):
    assert _request(site, path)[0] == 200
  assert _request(site, '/', method='POST')[0] == 405


def test_a_missing_file_is_an_error_with_the_command_to_run(here, prepared):
  bundle = prepared / 'bundle'
  (prepared / 'windows.f32').unlink()
  with pytest.raises(errors.UserError, match=r'windows.f32: .*hybrid-jax live'):
    page_files.load(prepared, bundle, 'cloud')
  (here / 'vendor' / 'wasm-utils.js').unlink()
  with pytest.raises(errors.UserError, match=r'bash .*page/vendor.sh'):
    page_files.load(prepared, bundle, 'cloud')


def test_other_channels_are_an_error(here, prepared):
  live = json.loads((prepared / 'live.json').read_text())
  live['channels'] = ['acc (g)', 'gyr (rad/s)']
  (prepared / 'live.json').write_text(json.dumps(live))
  names = {'edge': {'inputs': {'x': {'channels': live['channels'][::-1]}}}}
  path = prepared / 'bundle' / 'manifest.json'
  path.write_text(json.dumps(names))
  with pytest.raises(errors.UserError, match=r'channels acc .*takes gyr '):
    page_files.load(prepared, prepared / 'bundle', 'cloud')


def test_another_bundle_is_an_error(here, prepared):
  bundle = prepared / 'bundle'
  (bundle / 'edge.tflite').write_bytes(b'another')
  with pytest.raises(errors.UserError, match='prepared for an edge half'):
    page_files.load(prepared, bundle, 'cloud')
  (bundle / 'edge.tflite').unlink()
  with pytest.raises(errors.UserError, match=r'has no edge.tflite'):
    page_files.load(prepared, bundle, 'cloud')
