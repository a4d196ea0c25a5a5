"""Starts a program in several processes, as if on several hosts."""

import os
import pathlib
import socket
import subprocess
import sys
import tempfile

from tests import studies

ROOT = pathlib.Path(__file__).parents[3]


def free_port() -> int:
  with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    return s.getsockname()[1]


def environment(devices: int) -> dict[str, str]:
  return os.environ | {
    'JAX_PLATFORMS': 'cpu',
    'XLA_FLAGS': (
      f'--xla_force_host_platform_device_count={devices}'
      f' {studies.LEAST_OPTIMIZED}'
    ),
    'OMP_NUM_THREADS': '1',
  }


class Cluster:
  """Processes of one run; use it as a context manager."""

  def __init__(
    self,
    module: str,
    count: int,
    *arguments: str,
    devices=1,
    folders=None,
    own_arguments=None,
  ):
    """`folders` and `own_arguments` have one entry for each process."""
    address = f'127.0.0.1:{free_port()}'
    # Closed by `__exit__`.
    self._texts = [
      tempfile.TemporaryFile('w+')  # noqa: SIM115
      for _ in range(2 * count)
    ]
    self.processes = [
      subprocess.Popen(
        [
          sys.executable,
          '-m',
          module,
          *arguments,
          *(own_arguments[i] if own_arguments else ()),
          f'--coordinator={address}',
          f'--processes={count}',
          f'--process={i}',
          '--heartbeat_timeout=5',
          '--join_timeout=120',
        ],
        cwd=folders[i] if folders else ROOT,
        env=environment(devices),
        stdout=self._texts[2 * i],
        stderr=self._texts[2 * i + 1],
      )
      for i in range(count)
    ]

  def __enter__(self):
    return self

  def __exit__(self, *unused):
    for process in self.processes:
      process.kill()
      process.wait()
    for text in self._texts:
      text.close()

  def wait(self, timeout: float) -> list[tuple[int, str, str]]:
    """Returns each exit code, standard output and standard error."""
    codes = [p.wait(timeout) for p in self.processes]
    for text in self._texts:
      text.seek(0)
    read = [text.read() for text in self._texts]
    return list(zip(codes, read[::2], read[1::2], strict=True))


def run(module: str, count: int, *arguments: str, devices=1, timeout=400):
  with Cluster(module, count, *arguments, devices=devices) as cluster:
    ended = cluster.wait(timeout)
  assert [code for code, _, _ in ended] == [0] * count, ended
  return ended
