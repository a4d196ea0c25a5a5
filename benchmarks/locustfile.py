"""Load on a running server of the cloud half; every response is checked.

Start the server, then run 64 clients for a minute:

python -m launch.serve --bundle=runs/watch/bundle &
python -m locust -f benchmarks/locustfile.py --headless -u 64 -r 64 -t 1m \
  --bundle=runs/watch/bundle -H http://127.0.0.1:8000

A soak of an hour is the same with `-t 1h`. Each client sends its next request
as soon as it has the last response. Add `--interval` for a pause between them,
and `--token-file` and `--ca` for a server with a token and TLS.

A response fails unless its logits have the same bits as those of the bundle's
file. The server's resident memory is read from its metrics. The exit code is 1
if a request failed, or if memory grew by more than `--max-growth` after the
first tenth of the run.
"""

import json
import random
import ssl
import time

import gevent
import locust
import locust.exception
import numpy as np

from hybrid_jax.deploy.formats import protocol
from hybrid_jax.deploy.server import addresses, cloud_half

_VECTORS = 256
_MAX_STEPS = 64  # Largest distance from zero, in grid steps.
_NO_GRID = 1 / 16  # Step of the vectors of a bundle without a grid.
_MIB = 1 << 20
_MEMORY = 'process_resident_memory_bytes '


@locust.events.init_command_line_parser.add_listener
def add_arguments(parser):
  """Adds the options of this file to those of Locust."""
  parser.add_argument('--bundle', required=True, help='Folder of the bundle.')
  parser.add_argument('--name', default='cloud', help="The model's name.")
  parser.add_argument('--token-file', help='File with the bearer token.')
  parser.add_argument('--ca', help="PEM file of the server's authority.")
  parser.add_argument(
    '--interval', type=float, default=0.0, help='Seconds between requests.'
  )
  parser.add_argument(
    '--max-growth', type=float, default=20.0, help="MiB of memory's growth."
  )


@locust.events.test_start.add_listener
def prepare(environment, **kwargs):
  """Computes the expected logits, one vector at a time."""
  options = environment.parsed_options
  cloud = cloud_half.CloudHalf(options.bundle)
  rng = np.random.default_rng(0)
  steps = rng.integers(-_MAX_STEPS, _MAX_STEPS, (_VECTORS, *cloud.input.shape))
  vectors = (steps * (cloud.input.grid or _NO_GRID)).astype(np.float32)
  environment.cloud = cloud
  environment.pairs = [(vector, cloud(vector)) for vector in vectors]
  environment.token = addresses.read_token(options.token_file)
  environment.memory = []  # Pairs of time and bytes.


@locust.events.test_stop.add_listener
def check_memory(environment, **kwargs):
  """Prints the server's memory, and fails the run if it grew."""
  samples = environment.memory
  if len(samples) < 2:
    return
  start, end = samples[0][0], samples[-1][0]
  warm = next(m for t, m in samples if t >= start + (end - start) / 10)
  last = samples[-1][1]
  print(
    f'server memory: {warm / _MIB:.1f} MiB after a tenth of the run,'
    f' {last / _MIB:.1f} MiB at the end,'
    f' {max(m for _, m in samples) / _MIB:.1f} MiB at most'
  )
  if last - warm > environment.parsed_options.max_growth * _MIB:
    print('FAIL: the memory grew by more than --max-growth')
    environment.process_exit_code = 1


class Device(locust.FastHttpUser):
  """A device that sends released vectors and checks the logits."""

  def __init__(self, environment):
    options = environment.parsed_options
    self.insecure = False
    self.ssl_context_factory = lambda: ssl.create_default_context(
      cafile=options.ca
    )
    super().__init__(environment)
    self._path = f'/v2/models/{options.name}'
    token = environment.token
    self._headers = {'Authorization': f'Bearer {token}'} if token else {}

  def wait_time(self):
    """Returns the seconds between two requests."""
    return self.environment.parsed_options.interval

  def on_start(self):
    """Checks that the server has the same cloud half as the bundle."""
    response = self.client.get(self._path, headers=self._headers)
    try:
      sha256 = json.loads(response.text)['parameters']['sha256']
    except (KeyError, TypeError, ValueError):
      sha256 = None
    if sha256 != self.environment.cloud.metadata['sha256']:
      self.environment.process_exit_code = 1
      print(f'FAIL: {self.host} does not serve the cloud half of the bundle')
      self.environment.runner.quit()
      raise locust.exception.StopUser
    if not self.environment.memory:
      self.environment.memory.append((time.monotonic(), self._read_memory()))
      gevent.spawn(self._watch_memory)

  @locust.task(4)
  def infer_binary(self):
    """Sends a vector as bytes, in INT16 if the bundle has a grid."""
    self._infer('infer, binary', binary=True)

  @locust.task
  def infer_json(self):
    """Sends a vector as JSON."""
    self._infer('infer, JSON', binary=False)

  def _infer(self, name, binary):
    cloud = self.environment.cloud
    vector, logits = random.choice(self.environment.pairs)
    request_id = f'{random.getrandbits(64):x}'
    message = protocol.encode_request(cloud.input, vector, request_id, binary)
    with self.client.post(
      f'{self._path}/infer',
      data=message.body,
      headers=message.headers | self._headers,
      name=name,
      catch_response=True,
    ) as response:
      if response.status_code != 200:
        response.failure(f'status {response.status_code}')
        return
      try:
        decoded = protocol.decode_response(
          response.content,
          response.headers.get(protocol.HEADER_LENGTH),
          cloud.output,
        )
      except protocol.ProtocolError as e:
        response.failure(str(e))
        return
      if (
        decoded.id != request_id or decoded.array.tobytes() != logits.tobytes()
      ):
        response.failure('the logits are not those of the file')

  def _watch_memory(self):
    while True:
      gevent.sleep(1)
      self.environment.memory.append((time.monotonic(), self._read_memory()))

  def _read_memory(self):
    response = self.client.get('/metrics', headers=self._headers)
    for line in (response.text or '').splitlines():
      if line.startswith(_MEMORY):
        return float(line.removeprefix(_MEMORY))
    return 0.0
