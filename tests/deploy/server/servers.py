"""Runs the server as a user would: one process, a port of its own."""

import contextlib
import dataclasses
import http.client
import json
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

from tests import studies

INFER = '/v2/models/cloud/infer'


@dataclasses.dataclass
class Running:
  """A server that listens at `port`."""

  process: subprocess.Popen
  port: int

  def ask(self, method: str, path: str, body=None, headers=None):
    """The status, the headers and the body of one answer."""
    connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=20)
    with contextlib.closing(connection):
      connection.request(method, path, body, headers or {})
      answer = connection.getresponse()
      return answer.status, answer.headers, answer.read()

  def stop(self) -> int:
    self.process.terminate()
    return self.process.wait(20)


def request(vector, **changes) -> bytes:
  """The JSON of a request for one vector."""
  entry = {
    'name': 'released',
    'shape': [1, len(vector)],
    'datatype': 'FP32',
    'data': list(vector),
  }
  return json.dumps({'inputs': [entry | changes]}).encode()


def command(bundle: pathlib.Path, *arguments: str) -> list[str]:
  return [
    sys.executable,
    '-m',
    'launch.serve',
    f'--bundle={bundle}',
    '--port=0',
    *arguments,
  ]


@contextlib.contextmanager
def run(
  bundle: pathlib.Path, log: pathlib.Path, *arguments: str
) -> Iterator[Running]:
  """A server; its standard error goes to `log`."""
  with open(log, 'w') as errors:
    process = subprocess.Popen(
      command(bundle, *arguments),
      cwd=studies.ROOT,
      env=studies.environment(),
      stdout=subprocess.PIPE,
      stderr=errors,
      text=True,
    )
  try:
    line = process.stdout.readline()
    found = re.search(r'Serving at https?://127\.0\.0\.1:(\d+)', line)
    assert found, log.read_text()
    yield Running(process, int(found[1]))
  finally:
    process.kill()
    process.wait()
    process.stdout.close()
