"""The client as it is deployed, against the server as it is deployed."""

import dataclasses
import subprocess
import sys
import types

import jax
import numpy as np
import pytest
import trustme

from hybrid_jax import errors
from hybrid_jax.deploy.device import (
  __main__,
  client,
  connection,
  delivery,
  edge_half,
  failures,
)
from tests import studies
from tests.deploy.server import servers

ROWS = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
TOKEN = 'a-token-of-some-length'

# Stands for an environment with NumPy, LiteRT and what LiteRT itself needs.
_BARE = """
import sys

TOPS = sys.stdlib_module_names | {
  'numpy', 'ai_edge_litert', 'backports', 'flatbuffers', 'google', 'ml_dtypes',
  'tqdm', 'typing_extensions',
}
OURS = (
  'hybrid_jax', 'hybrid_jax.errors', 'hybrid_jax.deploy',
  'hybrid_jax.deploy.formats', 'hybrid_jax.deploy.formats.bundle',
  'hybrid_jax.deploy.formats.device', 'hybrid_jax.deploy.formats.protocol',
  'hybrid_jax.datasets', 'hybrid_jax.datasets.time_names',
)

class Bare:
  def find_spec(self, name, path=None, target=None):
    ours = name in OURS or (name + '.').startswith('hybrid_jax.deploy.device.')
    if not ours and name.split('.')[0] not in TOPS:
      raise ImportError(f'{name} is not there', name=name)

sys.meta_path.insert(0, Bare())
try:
  import jax
except ImportError:
  pass
else:
  raise AssertionError('the environment is not bare')
import runpy

runpy.run_module('hybrid_jax.deploy.device', run_name='__main__')
"""


@pytest.fixture
def keeping(exported):
  """The bundle, and a list of what it releases."""
  edge, released = edge_half.read(exported.folder), []

  def keep(window):
    released.append(edge.release(window))
    return released[-1]

  return dataclasses.replace(edge, release=keep), released


@pytest.fixture
def rows_file(tmp_path):
  path = tmp_path / 'rows.csv'
  np.savetxt(path, ROWS, '%.9g', delimiter=',', header='x,y', comments='')
  return str(path)


def test_answers_are_those_of_the_halves(exported, running, keeping):
  edge, released = keeping
  link = connection.Connection(f'http://127.0.0.1:{running.port}')
  answers = client.Client(edge, link).push(ROWS)
  assert [a.index for a in answers] == [0, 1, 2]
  cloud = jax.jit(exported.split.cloud())
  for answer, vector in zip(answers, released, strict=True):
    # Bit by bit, though integers went over the wire.
    np.testing.assert_array_equal(answer.logits, exported.cloud_file(vector))
    logits = np.asarray(cloud(vector))[0]
    np.testing.assert_allclose(answer.logits, logits, atol=1e-5)
    assert answer.label == edge.labels[int(logits.argmax())]
  assert len({a.tobytes() for a in released}) == 3


def test_vectors_are_the_networks_and_the_noise(exported, keeping):
  edge, released = keeping
  for i in range(400):
    edge.release(ROWS[None, i % 60 : i % 60 + 32])
  clean = jax.jit(exported.split.edge(rounded=False))
  noise = [
    r - np.asarray(clean(ROWS[None, None, i % 60 : i % 60 + 32], np.zeros(6)))
    for i, r in enumerate(released)
  ]
  # 2,400 numbers of sigma 2: their deviation has a standard error of 0.03.
  assert np.std(noise) == pytest.approx(2, abs=0.15)
  assert np.mean(noise) == pytest.approx(0, abs=0.2)


def test_runs_with_numpy_and_litert_alone(exported, running, rows_file):
  completed = subprocess.run(
    [
      sys.executable,
      '-c',
      _BARE,
      f'--bundle={exported.folder}',
      f'--url=http://127.0.0.1:{running.port}',
      f'--csv={rows_file}',
    ],
    cwd=studies.ROOT,
    capture_output=True,
    text=True,
    timeout=60,
    check=False,
  )
  assert completed.returncode == 0, completed.stderr
  lines = [line.split('\t') for line in completed.stdout.splitlines()]
  assert [line[0] for line in lines] == ['0', '1', '2']
  for _, label, confidence, sent in lines:
    assert label in ('sit', 'walk', 'run')
    assert 33 <= int(confidence.removesuffix(' %')) <= 100
    assert 12 < int(sent.removesuffix(' bytes')) < 200
  assert (
    '3 released, 0 over budget, 0 out of range, 3 answered' in completed.stderr
  )


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'bundle': 'none'}, 'could not read none/manifest.json'),
    ({'url': 'ftp://here'}, "'ftp://here' is no address"),
    ({'url': 'http://127.0.0.1:1', 'attempts': '1'}, 'cannot be reached'),
    ({'csv': 'none.csv'}, 'none.csv'),
    ({'hop': '8'}, 'released 4 times'),
    ({'per-hour': '0'}, 'per hour are 0'),
    ({'timeout': 'inf'}, 'timeout is inf'),
    ({'model': 'edge'}, 'answers 404'),
  ],
)
def test_a_mistake_is_one_line(
  exported, running, rows_file, capsys, changes, message
):
  arguments = {
    'bundle': exported.folder,
    'url': f'http://127.0.0.1:{running.port}',
    'csv': rows_file,
  } | changes
  assert __main__.main([f'--{k}={v}' for k, v in arguments.items()]) == 1
  lines = capsys.readouterr().err.splitlines()
  assert lines[0].startswith('error: ')
  assert message in lines[0]
  assert len(lines) <= 2  # The second has the counts.


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('1,2\n3,x\n', 'line 2 of the rows'),
    ('1,2\n\n3,nan\n', 'line 3 of the rows holds NaN'),
    ('x,y\n1,2\n', 'ended before a window was full'),
    ('', 'ended before a window was full'),
    ('1,2,3\n', r'shape [3], not [2]'),
  ],
)
def test_rows_that_do_not_fit(exported, tmp_path, capsys, text, message):
  (tmp_path / 'rows.csv').write_text(text)
  arguments = {
    'bundle': exported.folder,
    'url': 'http://127.0.0.1:1',
    'csv': tmp_path / 'rows.csv',
  }
  assert __main__.main([f'--{k}={v}' for k, v in arguments.items()]) == 1
  assert message in capsys.readouterr().err.splitlines()[0]


def test_certificates_and_the_token(exported, tmp_path):
  ours, theirs = trustme.CA(), trustme.CA()
  cert = ours.issue_cert('127.0.0.1')
  phone, stranger = ours.issue_cert('phone'), theirs.issue_cert('phone')
  for name, pem in (
    ('cert', cert.cert_chain_pems[0]),
    ('key', cert.private_key_pem),
    ('ca', ours.cert_pem),
    ('theirs', theirs.cert_pem),
    ('phone', phone.private_key_and_cert_chain_pem),
    ('stranger', stranger.private_key_and_cert_chain_pem),
  ):
    pem.write_to_path(tmp_path / f'{name}.pem')
  (tmp_path / 'token').write_text(TOKEN + '\n')
  (tmp_path / 'wrong').write_text(TOKEN[::-1])

  edge = edge_half.read(exported.folder)

  def infer(port, token='token', ca='ca', certificate='phone'):
    own = str(tmp_path / f'{certificate}.pem')
    link = connection.Connection(
      f'https://127.0.0.1:{port}',
      10,
      token_file=str(tmp_path / token),
      ca_file=str(tmp_path / f'{ca}.pem'),
      cert_file=own,
      key_file=own,
    )
    retry = delivery.Retry(attempts=1)
    return client.Client(edge, link, retry=retry).infer(ROWS[None, :32])

  with servers.run(
    exported.folder,
    tmp_path / 'log',
    f'--tls_cert={tmp_path / "cert.pem"}',
    f'--tls_key={tmp_path / "key.pem"}',
    f'--client_ca={tmp_path / "ca.pem"}',
    f'--token_file={tmp_path / "token"}',
  ) as running:
    assert infer(running.port).label in edge.labels
    with pytest.raises(failures.Refused, match='token') as error:
      infer(running.port, token='wrong')
    assert error.value.status == 401
    assert TOKEN[::-1] not in str(error.value)
    with pytest.raises(failures.Refused, match='TLS'):
      infer(running.port, ca='theirs')
    # By an alert of TLS, or by a reset before it is read.
    with pytest.raises((failures.Refused, failures.Unreachable)):
      infer(running.port, certificate='stranger')


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'url': 'http://10.0.0.1:80', 'token_file': 'token'}, 'in the clear'),
    ({'url': 'http://cloud:80', 'token_file': 'token'}, 'in the clear'),
    ({'url': 'https://cloud', 'token_file': 'none'}, 'could not read a token'),
    ({'url': 'https://cloud', 'token_file': 'two'}, 'not one word'),
    ({'url': 'https://cloud', 'cert_file': 'c'}, 'together'),
    ({'url': 'https://cloud', 'ca_file': 'none'}, 'could not load the files'),
    ({'url': 'http://127.0.0.1', 'ca_file': 'ca'}, 'has no TLS'),
    ({'url': 'http://127.0.0.1', 'timeout': 0}, 'timeout is 0'),
    ({'url': 'http://127.0.0.1:x'}, 'is no address like http'),
    ({'url': '127.0.0.1:8000'}, 'is no address like http'),
    ({'url': 'http://me:pw@127.0.0.1'}, 'is no address like http'),
  ],
)
def test_addresses_that_do_not_fit(tmp_path, monkeypatch, arguments, message):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'token').write_text(TOKEN)
  (tmp_path / 'two').write_text('two words')
  with pytest.raises(errors.UserError, match=message):
    connection.Connection(**arguments)


def test_a_stream_that_is_too_long_gives_one_warning(capsys):
  device = types.SimpleNamespace(
    counts=types.SimpleNamespace(released=3, out_of_range=0),
    past_stream_budget=lambda: ['person'],
  )
  edge = types.SimpleNamespace(stream={'person': 2, 'side': 8})
  warned: set[str] = set()
  for _ in range(2):
    __main__._warn(device, edge, warned)
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith('3 windows were released')
  assert line.endswith('the bound of the study: person 2.')
