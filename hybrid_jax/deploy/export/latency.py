"""Measures the latency of a TFLite file in a fresh process."""

import json
import pathlib
import subprocess
import sys

from hybrid_jax import errors


def run(path: pathlib.Path, threads: int, seconds: float) -> dict[str, float]:
  """Runs `latency_probe.measure` on a file in a fresh process.

  Args:
    path: the TFLite file.
    threads: how many threads the interpreter uses.
    seconds: how long the file is called.

  Raises:
    UserError: the file did not run.
  """
  completed = subprocess.run(
    [
      sys.executable,
      '-m',
      'hybrid_jax.deploy.export.latency_probe',
      str(path),
      f'--threads={threads}',
      f'--seconds={seconds}',
    ],
    capture_output=True,
    text=True,
    check=False,
  )
  if completed.returncode:
    lines = completed.stderr.strip().splitlines() or ['no error message']
    raise errors.UserError(f'{path} did not run: {lines[-1]}')
  return json.loads(completed.stdout.strip().splitlines()[-1])
