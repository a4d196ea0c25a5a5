"""A server that answers by a script, and stores the requests."""

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np

LOGITS = [0.0, 3.0, 1.0]


class Stub(http.server.ThreadingHTTPServer):
  """Answers each POST by the next of `script`, and then all well.

  A step of the script is a status; `(status, headers)`; `'close'`, without an
  answer; `'truncate'`, in the middle of one; `'drip'`, one byte at a time; or
  bytes, the body of an answer with status 200.
  """

  daemon_threads = True

  def __init__(self, script: Sequence, parameters: dict):
    super().__init__(('127.0.0.1', 0), _Handler)
    self.script, self.parameters = list(script), parameters
    self.bodies: list[bytes] = []
    self.requests: list[tuple[str, str, dict]] = []

  @property
  def url(self) -> str:
    return f'http://127.0.0.1:{self.server_port}'


def steps(body: bytes) -> np.ndarray:
  """The INT16 steps at the end of a request for three of them."""
  return np.frombuffer(body[-6:], '<i2')


@contextlib.contextmanager
def run(script: Sequence = (), **parameters) -> Iterator[Stub]:
  server = Stub(script, parameters)
  thread = threading.Thread(target=server.serve_forever, args=(0.01,))
  thread.start()
  try:
    yield server
  finally:
    server.shutdown()
    server.server_close()
    thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
  protocol_version = 'HTTP/1.1'
  disable_nagle_algorithm = True

  def log_message(self, *args):
    pass

  def _note(self):
    headers = {k.lower(): v for k, v in self.headers.items()}
    self.server.requests.append((self.command, self.path, headers))
    return self.rfile.read(int(self.headers.get('Content-Length', 0)))

  def do_GET(self):
    self._note()
    self._give(json.dumps({'parameters': self.server.parameters}).encode())

  def do_POST(self):
    body = self._note()
    self.server.bodies.append(body)
    step = self.server.script.pop(0) if self.server.script else 200
    if step == 'close':
      self.close_connection = True
    elif step == 'truncate':
      self._give(b'{"outputs"', declared=100)
      self.close_connection = True
    elif step == 'drip':
      self._drip()
    elif isinstance(step, bytes):
      self._give(step)
    elif step == 200:
      self._give(self._answer())
    else:
      status, headers = step if isinstance(step, tuple) else (step, {})
      # As a careless server does, it repeats what it was sent.
      text = f'bad vector {steps(body).tolist()}'
      self._give(text.encode(), status, headers)

  def _answer(self):
    output = {'name': 'logits', 'datatype': 'FP32', 'shape': [1, 3]}
    return json.dumps({'outputs': [output | {'data': LOGITS}]}).encode()

  def _give(self, body, status=200, headers=None, declared=None):
    self.send_response(status)
    self.send_header('Content-Length', str(declared or len(body)))
    for name, value in (headers or {}).items():
      self.send_header(name, value)
    self.end_headers()
    self.wfile.write(body)

  def _drip(self):
    with contextlib.suppress(OSError):
      for byte in b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}':
        self.wfile.write(bytes([byte]))
        time.sleep(0.05)
    self.close_connection = True
