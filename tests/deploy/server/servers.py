"""Runs the server in a separate process, on a free port."""

import contextlib
import dataclasses
import http.client
import json
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from tests import studies

INFER = '/v2/models/cloud/infer'


@dataclasses.dataclass
class Running:
  """A running server."""

  process: subprocess.Popen
  port: int

  def ask(self, method: str, path: str, body=None, headers=None):
    """Returns the status, the headers and the body of one response."""
    connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=20)
    with contextlib.closing(connection):
      connection.request(method, path, body, headers or {})
      response = connection.getresponse()
      return response.status, response.headers, response.read()

  def stop(self) -> int:
    self.process.terminate()
    return self.process.wait(20)


def request(vector, **changes) -> bytes:
  """Returns the JSON of a request, with changed fields of its input."""
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
  """Runs a server; its standard error goes to `log`."""
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
    match = re.search(r'Serving at https?://127\.0\.0\.1:(\d+)', line)
    assert match, log.read_text()
    yield Running(process, int(match[1]))
  finally:
    process.kill()
    process.wait()
    process.stdout.close()


def wait_until(condition: Callable[[], bool]) -> None:
  """Waits up to 4 s for a condition."""
  for _ in range(200):
    if condition():
      return
    time.sleep(0.02)
  raise AssertionError('timed out')
