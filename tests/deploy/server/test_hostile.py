"""Hostile clients on plain sockets, alone and beside sound clients."""

import concurrent.futures
import contextlib
import http.client
import os
import re
import socket
import time

import numpy as np
import pytest

from hybrid_jax.deploy.formats import protocol
from tests.deploy.server import servers

GOOD = servers.request([0, 1, 2, 3])
CLOSED = b''  # The server closes the connection without a response.


def _post(body, length=None, content_type='application/json', path=None):
  head = (
    f'POST {path or servers.INFER} HTTP/1.1\r\nHost: server\r\n'
    f'Content-Type: {content_type}\r\n'
    f'Content-Length: {len(body) if length is None else length}\r\n\r\n'
  )
  return head.encode() + body


# What is sent, and the status of the response. The server of the tests waits
# one second for headers and bodies, and reads bodies of up to 20,000 bytes.
REQUESTS = {
  'nothing': (b'', CLOSED),
  'half the headers': (_post(GOOD)[:60], CLOSED),
  'half the body': (_post(GOOD[:9], len(GOOD)), b'408'),
  'no HTTP': (b'nonsense\r\n\r\n', b'400'),
  'long headers': (b'GET / HTTP/1.1\r\nX: ' + b'x' * 100_000, b'431'),
  'no JSON': (_post(b'{"inputs": ['), b'400'),
  'empty': (_post(b''), b'400'),
  'deep JSON': (_post(b'[' * 10_000), b'400'),
  'NaN': (_post(GOOD.replace(b'3]', b'NaN]')), b'400'),
  'wrong datatype': (_post(GOOD.replace(b'FP32', b'BOOL')), b'400'),
  'wrong shape': (_post(servers.request([1.0] * 5)), b'400'),
  'long body': (_post(b' ' * 20_001), b'413'),
  'a web form': (_post(GOOD, content_type='text/plain'), b'415'),
  'unknown model': (_post(GOOD, path='/v2/models/edge/infer'), b'404'),
}


def _status(port, data):
  """Sends bytes; returns the status of the response, or CLOSED."""
  with socket.create_connection(('127.0.0.1', port), 20) as s:
    s.sendall(data)
    line = s.recv(12)
  return line[9:]


@pytest.mark.parametrize('name', list(REQUESTS))
def test_hostile_requests(server, name):
  data, status = REQUESTS[name]
  started = time.monotonic()
  assert _status(server.port, data) == status
  assert time.monotonic() - started < 8
  assert server.ask('POST', servers.INFER, GOOD)[0] == 200


def test_dripped_headers_end_the_connection(server):
  with socket.create_connection(('127.0.0.1', server.port), 20) as s:
    started = time.monotonic()
    with contextlib.suppress(ConnectionError):
      while time.monotonic() - started < 10:
        s.sendall(b'x')
        time.sleep(0.02)
    assert 0.5 < time.monotonic() - started < 8


def test_a_long_body_in_chunks(server):
  status, headers, body = server.ask('POST', servers.INFER, b' ' * 30_000)
  assert status == 413
  assert headers['Connection'] == 'close'
  assert body == b'{"error":"the body is longer than 20000 bytes."}'
  # The same without a declared length.
  status, _, _ = server.ask('POST', servers.INFER, iter([b' ' * 9000] * 4))
  assert status == 413
  status, _, _ = server.ask('POST', servers.INFER, iter([GOOD[:9], GOOD[9:]]))
  assert status == 200


def test_a_client_that_leaves_is_counted(server):
  before = _count(server, 400)
  with socket.create_connection(('127.0.0.1', server.port), 20) as s:
    s.sendall(_post(GOOD[:5], len(GOOD)))
    time.sleep(0.2)
  servers.wait_until(lambda: _count(server, 400) == before + 1)
  assert server.ask('POST', servers.INFER, GOOD)[0] == 200


def test_many_connections_are_bounded_and_end(bundle, tmp_path):
  arguments = ('--max_connections=10', '--body_seconds=1')
  with servers.run(bundle.folder, tmp_path / 'log', *arguments) as running:
    assert running.ask('POST', servers.INFER, GOOD)[0] == 200
    files = f'/proc/{running.process.pid}/fd'
    before = len(os.listdir(files))
    with contextlib.ExitStack() as stack:
      for _ in range(60):
        address = ('127.0.0.1', running.port)
        s = stack.enter_context(socket.create_connection(address, 20))
        s.sendall(_post(GOOD)[:60])
      time.sleep(0.3)
      assert 10 <= len(os.listdir(files)) - before <= 20
      # The idle connections end after a second, and the others get their turn.
      assert running.ask('POST', servers.INFER, GOOD)[0] == 200


def test_sound_clients_beside_hostile_ones(server, bundle):
  """The tests' soak; `benchmarks/locustfile.py` runs for as long as needed."""
  vectors = bundle.vectors(20, seed=5)
  expected = [bundle.in_file(vector) for vector in vectors]
  end = time.monotonic() + 6

  def sound(start):
    count = 0
    connection = http.client.HTTPConnection('127.0.0.1', server.port, 20)
    with contextlib.closing(connection):
      while time.monotonic() < end:
        i = (start + count) % len(vectors)
        logits = _infer(connection, vectors[i], f'{start}-{count}')
        np.testing.assert_array_equal(logits, expected[i])
        count += 1
        time.sleep(0.02)
    return count

  def hostile(name):
    data, status = REQUESTS[name]
    while time.monotonic() < end:
      # A server with too much to do may say so.
      assert _status(server.port, data) in (status, b'503')
      time.sleep(0.1)

  memory_before = _metric(server, 'process_resident_memory_bytes')
  with concurrent.futures.ThreadPoolExecutor(len(REQUESTS) + 4) as pool:
    hostile_tasks = [pool.submit(hostile, name) for name in REQUESTS]
    counts = list(pool.map(sound, range(4)))
    for task in hostile_tasks:
      task.result()
  assert min(counts) > 5
  assert _metric(server, 'hybrid_jax_in_flight') == 0
  assert _metric(server, 'hybrid_jax_queue_length') == 0
  assert _count(server, 500) == 0
  memory = _metric(server, 'process_resident_memory_bytes')
  assert memory - memory_before < 20 << 20


def _infer(connection, vector, request_id):
  tensor = protocol.Tensor('released', vector.shape, grid=1 / 16)
  request = protocol.encode_request(tensor, vector, request_id)
  connection.request('POST', servers.INFER, request.body, request.headers)
  response = connection.getresponse()
  body = response.read()
  assert response.status == 200, body
  decoded = protocol.decode_response(
    body,
    response.headers[protocol.HEADER_LENGTH],
    protocol.Tensor('logits', (1, 3)),
  )
  assert decoded.id == request_id
  return decoded.array


def _count(server, status):
  """Returns how many inference requests had a status."""
  name = f'hybrid_jax_requests_total{{route="infer",status="{status}"}}'
  return _metric(server, name)


def _metric(server, name):
  text = server.ask('GET', '/metrics')[2].decode()
  line = re.search(rf'^{re.escape(name)} (\S+)$', text, re.M)
  return float(line[1]) if line else 0
