"""Responses of the application, in this process."""

import asyncio
import logging
import threading

import httpx
import numpy as np
import pytest

from hybrid_jax.deploy.server import app, cloud_half
from tests.deploy.server import servers

TOKEN = 'a-token-of-some-length'
GOOD = servers.request([0.0625, -1, 2, 0])


class PausedCloud:
  """A cloud half that waits for an event."""

  def __init__(self, cloud, go):
    self._cloud, self._go = cloud, go
    self.input, self.output = cloud.input, cloud.output
    self.metadata, self.sizes = cloud.metadata, [1]

  def __call__(self, vectors):
    assert self._go.wait(10)
    return self._cloud(vectors)

  def on_grid(self, vector):
    return self._cloud.on_grid(vector)


@pytest.fixture(scope='module')
def cloud(bundle):
  return cloud_half.CloudHalf(bundle.folder, 4)


def _run(service, use):
  """Returns the result of `use(client)` against the service."""

  async def main():
    transport = httpx.ASGITransport(service.app)
    async with (
      service.lifespan(),
      httpx.AsyncClient(transport=transport, base_url='http://host') as client,
    ):
      return await use(client)

  return asyncio.run(main())


def _request(service, method, path, **kwargs):
  async def use(client):
    return await client.request(method, path, **kwargs)

  return _run(service, use)


@pytest.mark.parametrize(
  ('method', 'path', 'status'),
  [
    ('GET', '/v2', 200),
    ('GET', '/v2/health/live', 200),
    ('GET', '/v2/health/ready', 200),
    ('GET', '/v2/models/cloud', 200),
    ('GET', '/v2/models/cloud/versions/1/ready', 200),
    ('GET', '/v2/models/edge', 404),
    ('GET', '/v2/models/edge/ready', 404),
    ('GET', '/v2/models/cloud/versions/2', 404),
    ('GET', '/v2/models', 404),
    ('GET', '/', 404),
    ('GET', '/v2/models/cloud/infer', 405),
    ('GET', '/v2/repository/index', 405),
    ('POST', '/v2/health/live', 405),
    ('DELETE', '/v2/models/cloud', 405),
    ('POST', '/v2/models/edge/infer', 404),
    ('POST', '/v2/models/cloud/versions/2/infer', 404),
  ],
)
def test_addresses(cloud, method, path, status):
  response = _request(app.Service(cloud), method, path)
  assert response.status_code == status
  if status != 200:
    assert list(response.json()) == ['error']


@pytest.mark.parametrize(
  ('content', 'headers', 'status', 'message'),
  [
    (b'{', {}, 400, 'not JSON'),
    (servers.request([1, 2, 3, 4], shape=[4]), {}, 400, 'shape [4]'),
    (servers.request([1, 2, 3, 4, 5]), {}, 400, 'shape [1, 5]'),
    (servers.request([1, 2, 3, 4], datatype='INT32'), {}, 400, 'INT32'),
    (servers.request([1, 2, 3, float('nan')]), {}, 400, 'NaN'),
    (servers.request([1, 2, 3, float('inf')]), {}, 400, 'Infinity'),
    (servers.request([3e38, 3e38, 3e38, 3e38]), {}, 400, 'overflow'),
    (GOOD, {'Content-Type': 'text/plain'}, 415, 'Content-Type'),
    (GOOD, {'Content-Type': 'application/x-www-form-urlencoded'}, 415, 'Cont'),
    (GOOD, {'Content-Encoding': 'gzip'}, 415, 'compressed'),
    (GOOD, {'Inference-Header-Content-Length': 'x'}, 400, 'not a number'),
    (GOOD + b' ' * 1000, {}, 413, 'longer than 500 bytes'),
    (servers.request([0.01, 0, 0, 0]), {}, 400, 'off the grid'),
    (GOOD, {'Content-Type': 'application/json; charset=utf-8'}, 200, None),
  ],
)
def test_bodies(cloud, content, headers, status, message):
  limits = app.Limits(max_body=500, grid_only=True)
  service = app.Service(cloud, limits=limits)
  response = _request(
    service, 'POST', servers.INFER, content=content, headers=headers
  )
  assert response.status_code == status, response.text
  if message:
    assert message in response.json()['error']
  assert service.in_flight == 0


def test_the_response_is_bit_equal_to_the_file(cloud, bundle):
  vector = np.array([[0.1, -1, 2, 0]], np.float32)  # Off the grid.
  content = servers.request(vector[0].tolist())
  response = _request(
    app.Service(cloud), 'POST', servers.INFER, content=content
  )
  (output,) = response.json()['outputs']
  np.testing.assert_array_equal(
    np.float32(output['data']), bundle.in_file(vector)[0]
  )


@pytest.mark.parametrize(
  ('header', 'status'),
  [
    (None, 401),
    ('Bearer ' + TOKEN[:-1], 401),
    ('Bearer ' + TOKEN + 'x', 401),
    ('Bearer', 401),
    ('Basic ' + TOKEN, 401),
    ('Bearer ' + TOKEN, 200),
    ('bearer ' + TOKEN, 200),
  ],
)
@pytest.mark.parametrize('path', ['/v2', '/v2/models/cloud', '/metrics'])
def test_the_token(cloud, header, status, path):
  headers = {} if header is None else {'Authorization': header}
  service = app.Service(cloud, token=TOKEN)
  response = _request(service, 'GET', path, headers=headers)
  assert response.status_code == status
  if status == 401:
    assert response.headers['WWW-Authenticate'] == 'Bearer'
    assert response.json() == {'error': 'a bearer token is needed.'}


def test_health_needs_no_token(cloud):
  service = app.Service(cloud, token=TOKEN)
  assert _request(service, 'GET', '/v2/health/ready').status_code == 200
  # Without a token nobody learns which models exist.
  assert _request(service, 'GET', '/v2/models/edge').status_code == 401
  assert _request(service, 'POST', servers.INFER).status_code == 401


@pytest.mark.parametrize(
  ('limits', 'sent', 'message'),
  [
    (app.Limits(max_queue=2), 3, '2 vectors are waiting'),
    (app.Limits(max_concurrency=2), 2, '2 requests are in progress'),
  ],
)
def test_too_many_requests_get_503(cloud, limits, sent, message):
  go = threading.Event()
  service = app.Service(PausedCloud(cloud, go), limits=limits)

  async def use(client):
    async def send():
      return await client.post(servers.INFER, content=GOOD)

    tasks = []
    for count in range(1, sent + 1):
      tasks.append(asyncio.create_task(send()))
      # The first one runs, and the others wait.
      while service.in_flight < count or len(service._batches) > count - 1:
        await asyncio.sleep(0.005)
    late = await send()
    metrics = (await client.get('/metrics')).text
    go.set()
    return late, metrics, await asyncio.gather(*tasks)

  late, metrics, others = _run(service, use)
  assert late.status_code == 503
  assert late.headers['Retry-After'] == '1'
  assert message in late.json()['error']
  assert [o.status_code for o in others] == [200] * sent
  assert f'hybrid_jax_queue_length {sent - 1}.0' in metrics
  assert f'hybrid_jax_in_flight {sent}.0' in metrics
  assert 'requests_total{route="infer",status="503"} 1.0' in metrics


def test_draining_refuses_and_is_not_ready(cloud):
  service = app.Service(cloud)
  service.draining = True
  late = _request(service, 'POST', servers.INFER, content=GOOD)
  assert late.status_code == 503
  assert late.headers['Retry-After'] == '1'
  assert _request(service, 'GET', '/v2/health/ready').status_code == 503
  assert _request(service, 'GET', '/v2/models/cloud/ready').status_code == 503
  assert _request(service, 'GET', '/v2/health/live').status_code == 200
  (entry,) = _request(service, 'POST', '/v2/repository/index').json()
  assert entry['state'] == 'UNAVAILABLE'


def test_metrics_count_requests_and_batches(cloud):
  service = app.Service(cloud)

  async def use(client):
    for content in (GOOD, GOOD, b'{'):
      await client.post(servers.INFER, content=content)
    await client.get('/unknown/1')
    await client.get('/unknown/2')
    return (await client.get('/metrics')).text

  text = _run(service, use)
  for line in (
    'hybrid_jax_requests_total{route="infer",status="200"} 2.0',
    'hybrid_jax_requests_total{route="infer",status="400"} 1.0',
    'hybrid_jax_requests_total{route="none",status="404"} 2.0',
    'hybrid_jax_request_seconds_count{route="infer"} 3.0',
    'hybrid_jax_batch_size_bucket{le="1.0"} 2.0',
    'hybrid_jax_batch_size_count 2.0',
    'hybrid_jax_queue_length 0.0',
  ):
    assert line in text
  assert 'unknown' not in text


def test_a_failure_shows_no_numbers(cloud, caplog):
  class Broken(PausedCloud):
    def __call__(self, vectors):
      raise RuntimeError(f'failed on {vectors.tolist()}')

  service = app.Service(Broken(cloud, threading.Event()))
  with caplog.at_level(logging.INFO):
    response = _request(
      service,
      'POST',
      servers.INFER + '?x=0.8125',
      content=servers.request([0.8125, 0, 0, 0]),
    )
  assert response.status_code == 500
  assert response.json() == {'error': 'internal error.'}
  # Without the log of the client.
  log = '\n'.join(
    r.getMessage()
    for r in caplog.records
    if r.name == 'hybrid_jax.deploy.server'
  )
  assert 'RuntimeError in ' in log
  assert 'POST infer 500' in log
  assert '0.8125' not in log
