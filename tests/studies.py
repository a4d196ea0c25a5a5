"""Runs the small study as a user would: one process, its own workdir."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent
# In so few steps, all of the time is compiling.
LEAST_OPTIMIZED = '--xla_backend_optimization_level=0'
FEW_STEPS = '--config=tests/training/distributed/config.py'
# All that a study of few steps has.
QUICK = '--stages=data,train,siamese,defend,release,attack,report'


def command(workdir: pathlib.Path, *arguments: str) -> list[str]:
  return [
    sys.executable,
    '-m',
    'launch.study',
    '--config=configs/watch.py:small',
    f'--workdir={workdir}',
    *arguments,
  ]


def environment(flags: str = '') -> dict[str, str]:
  """As it was before the tests asked for eight devices; `flags` are XLA's."""
  kept = {k: v for k, v in os.environ.items() if k != 'XLA_FLAGS'}
  kept |= {'XLA_FLAGS': flags} if flags else {}
  return kept | {'JAX_PLATFORMS': 'cpu'}


def run(
  workdir: pathlib.Path,
  *arguments: str,
  timeout: float = 900,
  flags: str = '',
) -> subprocess.CompletedProcess:
  """Runs a study; `flags` are XLA's, in place of those of the command."""
  return subprocess.run(
    command(workdir, *arguments),
    cwd=ROOT,
    env=environment(flags),
    capture_output=True,
    text=True,
    timeout=timeout,
    check=False,
  )
