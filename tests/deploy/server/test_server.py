"""The server as a process: Triton's client, TLS, logs and SIGTERM."""

import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
import tritonclient.http as triton
import trustme

from hybrid_jax.deploy.server import addresses, http_server
from tests import studies
from tests.deploy.server import servers

GOOD = servers.request([0, 1, 2, 3])


@pytest.fixture
def client(server):
  with triton.InferenceServerClient(f'127.0.0.1:{server.port}') as client:
    yield client


def _input(vector, binary):
  tensor = triton.InferInput('released', list(vector.shape), 'FP32')
  tensor.set_data_from_numpy(vector, binary_data=binary)
  return tensor


def test_tritonclient_lists_and_queries(client):
  assert client.is_server_live()
  assert client.is_server_ready()
  assert client.is_model_ready('cloud')
  assert client.is_model_ready('cloud', '1')
  assert not client.is_model_ready('edge')
  assert client.get_server_metadata()['name'] == 'hybrid_jax'
  (entry,) = client.get_model_repository_index()
  assert (entry['name'], entry['state']) == ('cloud', 'READY')
  metadata = client.get_model_metadata('cloud', '1')
  assert metadata['versions'] == ['1']
  assert metadata['inputs'] == [
    {'name': 'released', 'datatype': 'FP32', 'shape': [1, 4]}
  ]
  assert metadata['outputs'] == [
    {'name': 'logits', 'datatype': 'FP32', 'shape': [1, 3]}
  ]
  assert metadata['parameters']['labels'] == ['sit', 'walk', 'run']


@pytest.mark.parametrize('sent', [True, False])
@pytest.mark.parametrize('back', [True, False, None])
def test_tritonclient_gets_the_bits_of_the_file(client, bundle, sent, back):
  (vector,) = bundle.vectors(1, seed=7)
  outputs = None
  if back is not None:
    outputs = [triton.InferRequestedOutput('logits', binary_data=back)]
  result = client.infer(
    'cloud', [_input(vector, sent)], outputs=outputs, request_id='r1'
  )
  logits = result.as_numpy('logits')
  assert logits.dtype == np.float32
  np.testing.assert_array_equal(logits, bundle.in_file(vector))
  np.testing.assert_allclose(logits, bundle.in_jax(vector), atol=1e-5)
  assert result.get_response()['id'] == 'r1'


def test_concurrent_requests_get_their_own_responses(server, bundle):
  vectors = bundle.vectors(24, seed=3)
  address = f'127.0.0.1:{server.port}'
  with triton.InferenceServerClient(address, concurrency=8) as client:
    pending = [client.async_infer('cloud', [_input(v, True)]) for v in vectors]
    responses = [p.get_result().as_numpy('logits') for p in pending]
  for vector, logits in zip(vectors, responses, strict=True):
    np.testing.assert_array_equal(logits, bundle.in_file(vector))


def test_tritonclient_gets_error_messages(client):
  bad = np.array([[0, np.nan, 0, 0]], np.float32)
  with pytest.raises(triton.InferenceServerException, match='NaN') as error:
    client.infer('cloud', [_input(bad, True)])
  assert error.value.status() == '400'
  with pytest.raises(triton.InferenceServerException, match='unknown model'):
    client.get_model_metadata('edge')
  good = _input(np.zeros((1, 4), np.float32), True)
  with pytest.raises(triton.InferenceServerException, match='compressed'):
    client.infer('cloud', [good], request_compression_algorithm='gzip')


def test_the_log_has_no_vector(server):
  secret = servers.request([0.8125, 0, 0, 0])
  assert server.ask('POST', servers.INFER + '?v=0.8125', secret)[0] == 200
  bad = secret.replace(b'FP32', b'0.8125')
  assert server.ask('POST', servers.INFER, bad)[0] == 400
  assert server.ask('GET', '/v2/models/0.8125')[0] == 404
  servers.wait_until(lambda: 'GET model 404' in server.log.read_text())
  log = server.log.read_text()
  assert 'POST infer 200' in log
  assert 'POST infer 400' in log
  assert '0.8125' not in log


def test_sigterm_ends_after_the_last_answer(bundle, tmp_path):
  with servers.run(bundle.folder, tmp_path / 'log') as running:
    with socket.create_connection(('127.0.0.1', running.port), 10) as s:
      s.sendall(_head(len(GOOD)) + GOOD[:5])
      servers.wait_until(
        lambda: b'in_flight 1.0' in running.ask('GET', '/metrics')[2],
      )
      running.process.terminate()
      servers.wait_until(
        lambda: running.ask('GET', '/v2/health/ready')[0] == 503
      )
      time.sleep(0.3)  # It listens until the last request is answered.
      status, headers, _ = running.ask('POST', servers.INFER, GOOD)
      assert status == 503
      assert headers['Retry-After'] == '1'
      assert running.process.poll() is None
      s.sendall(GOOD[5:])
      assert s.recv(12) == b'HTTP/1.1 200'
    assert running.process.wait(20) == 0


def test_a_second_signal_ends_at_once(bundle, tmp_path):
  with (
    servers.run(bundle.folder, tmp_path / 'log') as running,
    socket.create_connection(('127.0.0.1', running.port), 10) as s,
  ):
    s.sendall(_head(len(GOOD)) + GOOD[:5])
    servers.wait_until(
      lambda: b'in_flight 1.0' in running.ask('GET', '/metrics')[2],
    )
    running.process.terminate()
    servers.wait_until(lambda: running.ask('GET', '/v2/health/ready')[0] == 503)
    started = time.monotonic()
    running.process.terminate()
    assert running.process.wait(20) == 0
    assert time.monotonic() - started < 4


def test_client_certificates_and_the_token(bundle, tmp_path):
  known_ca, other_ca = trustme.CA(), trustme.CA()
  cert = known_ca.issue_cert('127.0.0.1')
  cert.private_key_pem.write_to_path(tmp_path / 'key.pem')
  cert.cert_chain_pems[0].write_to_path(tmp_path / 'cert.pem')
  known_ca.cert_pem.write_to_path(tmp_path / 'ca.pem')
  token = 'correct horse battery'.replace(' ', '-')
  (tmp_path / 'token').write_text(token + '\n')

  def status(port, authority, headers):
    context = ssl.create_default_context()
    known_ca.configure_trust(context)
    if authority:
      authority.issue_cert('phone').configure_cert(context)
    request = urllib.request.Request(
      f'https://127.0.0.1:{port}/v2', headers=headers
    )
    try:
      return urllib.request.urlopen(request, timeout=10, context=context).status
    except urllib.error.HTTPError as e:
      return e.code

  with servers.run(
    bundle.folder,
    tmp_path / 'log',
    f'--tls_cert={tmp_path / "cert.pem"}',
    f'--tls_key={tmp_path / "key.pem"}',
    f'--client_ca={tmp_path / "ca.pem"}',
    f'--token_file={tmp_path / "token"}',
  ) as running:
    bearer = {'Authorization': f'Bearer {token}'}
    assert status(running.port, known_ca, bearer) == 200
    assert status(running.port, known_ca, {}) == 401
    for authority in (None, other_ca):
      with pytest.raises(OSError):  # noqa: PT011  # From TLS or the socket.
        status(running.port, authority, bearer)
    assert running.stop() == 0


def test_small_responses_are_sent_at_once():
  # Asyncio sets TCP_NODELAY only if the socket names its protocol. Without it
  # each response to Triton's client took 44 ms.
  with http_server._listen(addresses.ServerAddress(port=0)) as listener:
    assert listener.proto == socket.IPPROTO_TCP


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--host=0.0.0.0'], 'add --token_file or --client_ca'),
    (['--max_queue=0'], '--max_queue is 0'),
    (['--port={port}'], 'could not listen at 127.0.0.1:'),
    (['--tls_cert=none.pem', '--tls_key=none.pem'], 'could not load'),
  ],
)
def test_a_mistake_is_one_line(server, bundle, arguments, message):
  filled = [a.format(port=server.port) for a in arguments]
  done = subprocess.run(
    servers.command(bundle.folder, *filled),
    cwd=studies.ROOT,
    env=studies.environment(),
    capture_output=True,
    text=True,
    timeout=60,
    check=False,
  )
  assert done.returncode == 1
  lines = [x for x in done.stderr.splitlines() if not x.startswith('INFO: ')]
  assert len(lines) == 1
  assert lines[0].startswith('error: ')
  assert message in lines[0]


def _head(length):
  return (
    f'POST {servers.INFER} HTTP/1.1\r\nHost: server\r\n'
    f'Content-Length: {length}\r\n\r\n'
  ).encode()
