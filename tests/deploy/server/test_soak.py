"""Load beside unruly clients: the server stands it, and bad ones are found."""

import asyncio
import contextlib
import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.load import clients, questions, soak, unruly
from hybrid_jax import errors
from hybrid_jax.deploy.formats import protocol
from tests import studies

GIVEN = protocol.Tensor('released', (1, 4))
TENSORS = questions.Tensors(GIVEN, protocol.Tensor('logits', (1, 3)))
LOGITS = np.array([1, 2, 3], '<f4').tobytes()


def _load(bundle, *arguments, timeout=120):
  return subprocess.run(
    [
      sys.executable,
      '-m',
      'benchmarks.load.run',
      f'--bundle={bundle}',
      *arguments,
    ],
    cwd=studies.ROOT,
    env=studies.environment(),
    capture_output=True,
    text=True,
    timeout=timeout,
    check=False,
  )


def test_a_minute_beside_unruly_clients(bundle, tmp_path):
  out = tmp_path / 'load.json'
  # A rate that a machine with other work to do can serve.
  arguments = ('--soak=50', '--rate=60', '--body_seconds=5', f'--out={out}')
  done = _load(bundle.folder, *arguments)
  assert done.returncode == 0, done.stdout + done.stderr
  found = json.loads(out.read_text())
  assert found['failures'] == []
  s = found['soak']
  assert (s['wrong'], s['lost'], s['not_connected']) == (0, 0, 0)
  assert set(s['statuses']) <= {'200', '503'}
  assert s['statuses']['200'] > 100
  assert s['unexpected'] == {}
  assert s['memory']['growth'] < 20
  assert s['server']['in_flight'] == s['server']['queue_length'] == 0
  unruly_ones = s['unruly']
  for name, status in (
    ('slow', '200'),
    ('too slow', '408'),
    ('slow headers', 'closed'),
    ('cut off in the body', 'gone'),
    ('no JSON', '400'),
    ('wrong shape', '400'),
    ('NaN', '400'),
    ('too long', '413'),
    ('no such model', '404'),
    ('no token', '401'),
    ('wrong token', '401'),
  ):
    assert unruly_ones[name].get(status, 0) > 0, (name, unruly_ones[name])
  assert s['server']['statuses']['413'] == unruly_ones['too long']['413']


@contextlib.asynccontextmanager
async def _stub(answer):
  """A server that gives each request `answer(headers, body)`, or nothing."""

  async def serve(reader, writer):
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
      while True:
        head = (await reader.readuntil(b'\r\n\r\n')).decode()
        lines = [line.partition(': ') for line in head.split('\r\n')]
        sent = {name.lower(): value for name, _, value in lines}
        body = await reader.readexactly(int(sent.get('content-length', 0)))
        told = answer(sent, body)
        if head.startswith('GET /metrics '):
          told = b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
        if told is None:
          break
        writer.write(told)
        if sent.get('connection') == 'close':
          break
    writer.close()

  server = await asyncio.start_server(serve, '127.0.0.1', 0)
  try:
    port = server.sockets[0].getsockname()[1]
    yield clients.Place(f'http://127.0.0.1:{port}', token='t' * 16)
  finally:
    server.close()


def _answer(body, logits=LOGITS, length=None, status=200):
  """As the server's, to the request in `body`."""
  identity = '0'
  with contextlib.suppress(ValueError):
    identity = json.loads(body[: int(length)])['id'] if length else '0'
  text = protocol.dump_json({'id': identity, 'outputs': []})
  head = (
    f'HTTP/1.1 {status} Said\r\nContent-Length: {len(text + logits)}\r\n'
    f'{protocol.HEADER_LENGTH}: {len(text)}\r\n\r\n'
  )
  return head.encode() + text + logits


def _soak(answer, seconds=0.5):
  """A soak of a stub by four sound clients and all the unruly ones."""
  vector = np.zeros(GIVEN.shape, np.float32)
  asked = []
  for identity in ('a', 'b'):
    body, headers = questions.request(GIVEN, vector, identity)
    asked.append(questions.Question(body, headers, LOGITS, identity))

  async def main():
    async with _stub(answer) as place:
      limits = unruly.Limits(max_body=1000, body_seconds=0.2)
      bad = unruly.Unruly(place, TENSORS, asked[0], limits, patience=0.4)
      return await soak.run(place, asked, bad, 100, seconds, connections=4)

  return asyncio.run(main())


def _key(sent):
  return sent.get(protocol.HEADER_LENGTH.lower())


def test_other_bits_are_wrong():
  logits = np.array([1, 2, 3.0000002], '<f4').tobytes()
  found = _soak(lambda sent, body: _answer(body, logits, _key(sent)))
  assert found['wrong'] == found['statuses']['200'] > 10
  assert found['unruly']['slow'].get('wrong', 0) > 0
  assert f'{found["wrong"]} answers were wrong.' in found['failures']


def test_the_answer_to_another_request_is_wrong():
  found = _soak(lambda sent, body: _answer(body, LOGITS))
  assert found['wrong'] == found['statuses']['200'] > 10


def test_who_is_let_by_is_told_of():
  found = _soak(lambda sent, body: _answer(body, LOGITS, _key(sent)))
  assert found['wrong'] == found['lost'] == 0
  assert found['unexpected']['no token'] == found['unruly']['no token']
  assert set(found['unexpected']['wrong shape']) == {'200'}
  assert set(found['unexpected']['too long']) == {'200'}
  assert any('unruly clients' in sentence for sentence in found['failures'])


def test_a_request_without_an_answer_is_lost():
  found = _soak(lambda sent, body: None if body else _answer(body))
  assert found['lost'] > 10
  assert f'{found["lost"]} requests had no answer.' in found['failures']
  assert 'no request was answered.' in found['failures']


def test_a_failing_server_is_told_of():
  found = _soak(lambda sent, body: _answer(body, status=500))
  assert any("{'500'" in sentence for sentence in found['failures'])


def test_a_server_of_another_bundle_is_refused():
  async def main(sha256):
    text = protocol.dump_json({'parameters': {'sha256': 'ab'}})
    head = f'HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n'.encode()
    async with _stub(lambda sent, body: head + text) as place:
      await clients.meet(place, sha256)

  asyncio.run(main('ab'))
  with pytest.raises(errors.UserError, match='sha256 ab; the bundle has cd'):
    asyncio.run(main('cd'))


GOOD = {
  'statuses': {'200': 90, '503': 3},
  'wrong': 0,
  'lost': 0,
  'not_connected': 0,
  'unruly': {'slow': {'200': 10}, 'gone before the answer': {'gone': 5}},
  'unexpected': {},
  'own': True,
  'memory': {'growth': 3.0, 'max_growth': 20.0},
  'server': {'in_flight': 0, 'queue_length': 0, 'statuses': {'200': 104}},
}


@pytest.mark.parametrize(
  ('change', 'told'),
  [
    ({}, None),
    ({'memory': None}, None),
    ({'memory': {'growth': 20.1, 'max_growth': 20.0}}, 'memory grew by 20.1'),
    ({'not_connected': 2}, '2 requests found no connection'),
    ({'server': GOOD['server'] | {'in_flight': 1}}, '1 requests that it has'),
    ({'server': GOOD['server'] | {'queue_length': 1}}, '1 vectors that wait'),
    ({'server': GOOD['server'] | {'statuses': {'200': 99}}}, '99 answers of'),
    ({'server': GOOD['server'] | {'statuses': {'200': 106}}}, '106 answers of'),
    (
      {'server': GOOD['server'] | {'statuses': {'200': 100, '500': 1}}},
      'status 500',
    ),
  ],
)
def test_what_must_not_be(change, told):
  found = soak.failures(GOOD | change)
  if told is None:
    assert found == []
  else:
    (sentence,) = found
    assert told in sentence


@pytest.mark.parametrize(
  ('arguments', 'told'),
  [
    (['--connections=1,x'], '--connections is 1,x'),
    (['--rate=5'], 'give --soak too'),
    (['--soak=1', '--rate=0'], '--rate is 0'),
    ([], 'manifest.json'),
  ],
)
def test_a_mistake_is_one_line(tmp_path, arguments, told):
  done = _load(tmp_path, *arguments)
  assert done.returncode == 2
  (line,) = done.stderr.splitlines()
  assert line.startswith('error: ')
  assert told in line
