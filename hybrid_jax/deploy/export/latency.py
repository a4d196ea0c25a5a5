"""A file's times: of a fresh process on this machine, or told by another."""

import json
import pathlib
import subprocess
import sys
from typing import Any

from hybrid_jax import errors, files


def run(path: pathlib.Path, threads: int, seconds: float) -> dict[str, float]:
  """`probe.measure` of a file, in a fresh process.

  Raises:
    UserError: the file did not run.
  """
  done = subprocess.run(
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
  if done.returncode:
    last = (done.stderr.strip().splitlines() or ['it said nothing'])[-1]
    raise errors.UserError(f'{path} did not run: {last}')
  return json.loads(done.stdout.strip().splitlines()[-1])


def read_profile(path: pathlib.Path) -> dict[str, Any]:
  """Times that another device took.

  Args:
    path: JSON, `{"device": NAME, "files": [{"sha256": HEX, "p50_ms": NUMBER,
      "p95_ms": NUMBER}]}`.

  Returns:
    `device`, and `files`, a file's SHA-256 to its times.

  Raises:
    UserError: the file is not there, or is another JSON.
  """
  found = files.read_json(path)
  try:
    times = {
      entry['sha256']: {k: float(entry[k]) for k in ('p50_ms', 'p95_ms')}
      for entry in found['files']
    }
    return {'device': str(found['device']), 'files': times}
  except (AttributeError, KeyError, TypeError, ValueError) as e:
    raise errors.UserError(
      f'{path} is no profile: it needs device, and files with sha256, p50_ms'
      f' and p95_ms each; {type(e).__name__}: {e}.'
    ) from e
