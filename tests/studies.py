"""Runs the small study as a user would: one process, its own workdir."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent
# All but the export, which needs TensorFlow and has a test of its own.
QUICK = 'data,train,siamese,defend,release,attack,grid,report'


def command(workdir: pathlib.Path, *arguments: str) -> list[str]:
  return [
    sys.executable,
    '-m',
    'launch.study',
    '--config=configs/watch.py:small',
    f'--workdir={workdir}',
    *arguments,
  ]


# Programs compile in half the time and run slower. Not for tests of equal bits:
# these are of programs as users have them.
FAST_COMPILATION = {'JAX_DISABLE_MOST_OPTIMIZATIONS': '1'}


def environment() -> dict[str, str]:
  """As it was before the tests asked for eight devices."""
  kept = {k: v for k, v in os.environ.items() if k != 'XLA_FLAGS'}
  return kept | {'JAX_PLATFORMS': 'cpu'}


def run(
  workdir: pathlib.Path,
  *arguments: str,
  timeout: float = 900,
  **more: str,
) -> subprocess.CompletedProcess:
  """`more` are variables of the environment."""
  return subprocess.run(
    command(workdir, *arguments),
    cwd=ROOT,
    env=environment() | more,
    capture_output=True,
    text=True,
    timeout=timeout,
    check=False,
  )
