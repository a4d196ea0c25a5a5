"""The server of a bundle, and the bare handler, in processes of their own."""

import contextlib
import dataclasses
import multiprocessing
import os
import pathlib
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence

from benchmarks.load import bare, clients
from hybrid_jax import errors

_END_SECONDS = 40  # More than the server drains for.


@dataclasses.dataclass
class Server:
  """A server that was started here.

  Attributes:
    place: where it is; it wants a token.
    pid: of its process.
    exit_code: after its end by SIGTERM; None before, or where it had to be
      killed.
  """

  place: clients.Place
  pid: int
  exit_code: int | None = None


@contextlib.contextmanager
def server(
  bundle: str | os.PathLike, arguments: Sequence[str] = ()
) -> Iterator[Server]:
  """Runs `launch.serve` on a free port of loopback, with a fresh token.

  Args:
    bundle: the folder.
    arguments: more of `launch.serve`.

  Raises:
    UserError: it did not start; with its own words.
  """
  with tempfile.TemporaryDirectory() as folder:
    token, log = pathlib.Path(folder, 'token'), pathlib.Path(folder, 'log')
    token.touch(0o600)
    token.write_text(secrets.token_hex(32))
    with open(log, 'wb') as f:
      process = subprocess.Popen(
        [
          *(sys.executable, '-m', 'launch.serve', f'--bundle={bundle}'),
          *('--port=0', f'--token_file={token}', *arguments),
        ],
        stdout=subprocess.PIPE,
        stderr=f,
        text=True,
      )
    try:
      assert process.stdout is not None
      found = re.match(r'Serving at (\S+)', process.stdout.readline())
      if not found:
        process.wait(_END_SECONDS)
        last = log.read_text().strip().splitlines()[-1:]
        raise errors.UserError(f'the server did not start: {"".join(last)}')
      place = clients.Place(found[1], token=token.read_text())
      running = Server(place, process.pid)
      yield running
      process.terminate()
      with contextlib.suppress(subprocess.TimeoutExpired):
        running.exit_code = process.wait(_END_SECONDS)
    finally:
      process.kill()
      process.wait()
      if process.stdout is not None:
        process.stdout.close()


@contextlib.contextmanager
def bare_handler(size: int) -> Iterator[clients.Place]:
  """Runs the bare handler, whose answers have `size` bytes."""
  context = multiprocessing.get_context('spawn')
  here, there = context.Pipe()
  process = context.Process(target=bare.serve, args=(size, there), daemon=True)
  process.start()
  there.close()
  try:
    yield clients.Place(f'http://127.0.0.1:{here.recv()}')
  finally:
    process.terminate()
    process.join()
