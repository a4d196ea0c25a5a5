"""The load test with Locust: a sound server passes, and a wrong one fails."""

import http.server
import json
import subprocess
import sys
import threading

import numpy as np

from hybrid_jax.deploy.formats import protocol
from hybrid_jax.deploy.server import cloud_half
from tests import studies


def _run(bundle, port, *arguments):
  return subprocess.run(
    [
      sys.executable,
      '-m',
      'locust',
      '--locustfile=benchmarks/locustfile.py',
      '--headless',
      '--users=2',
      '--run-time=4s',
      f'--bundle={bundle.folder}',
      f'--host=http://127.0.0.1:{port}',
      *arguments,
    ],
    cwd=studies.ROOT,
    env=studies.environment(),
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
  )


def test_a_sound_server_passes(server, bundle):
  done = _run(bundle, server.port, '--interval=0.05')
  assert done.returncode == 0, done.stdout + done.stderr
  assert 'infer, binary' in done.stderr  # Locust's table is in its log.
  assert 'server memory: ' in done.stdout


def test_another_bundle_fails(server, early):
  done = _run(early, server.port)
  assert done.returncode == 1
  assert 'does not serve the cloud half' in done.stdout


def test_wrong_logits_fail(bundle):
  cloud = cloud_half.CloudHalf(bundle.folder)

  class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
      parameters = {'sha256': cloud.metadata['sha256']}
      self._send(json.dumps({'parameters': parameters}).encode(), {})

    def do_POST(self):
      body = self.rfile.read(int(self.headers['Content-Length']))
      length = self.headers.get(protocol.HEADER_LENGTH)
      request = protocol.decode_request(body, length, cloud.input, cloud.output)
      logits = np.nextafter(cloud(request.array), np.float32(np.inf))
      message = protocol.encode_response(
        'cloud', '1', request, cloud.output, logits
      )
      self._send(message.body, message.headers)

    def _send(self, body, headers):
      self.send_response(200)
      for name, value in headers.items():
        self.send_header(name, value)
      self.send_header('Content-Length', str(len(body)))
      self.end_headers()
      self.wfile.write(body)

    def log_message(self, *args):
      pass

  with http.server.HTTPServer(('127.0.0.1', 0), Handler) as stub:
    thread = threading.Thread(target=stub.serve_forever, args=(0.01,))
    thread.start()
    done = _run(bundle, stub.server_port, '--interval=0.1')
    stub.shutdown()
    thread.join()
  assert done.returncode == 1
  assert 'the logits are not those of the file' in done.stdout + done.stderr
