"""Summary of a study's results, small enough to keep in a repository."""

import datetime
import os
import pathlib
import platform
import subprocess
from importlib import metadata
from typing import Any

import hybrid_jax
from hybrid_jax import errors, files

_DIGITS = 6
# Details of a row that take much room and that no page shows.
_LEFT_OUT = ('by_bound', 'by_class', 'by_kind', 'channels', 'classes')
_PACKAGES = ('jax', 'flax', 'numpy', 'scikit-learn')


def describe_run() -> dict[str, Any]:
  """Returns the code, the machine and the versions of this process."""
  return {
    'version': hybrid_jax.__version__,
    'commit': _commit(),
    'date': datetime.datetime.now(datetime.UTC).date().isoformat(),
    'cores': len(os.sched_getaffinity(0))
    if hasattr(os, 'sched_getaffinity')
    else os.cpu_count(),
    'processor': _processor(),
    'python': platform.python_version(),
    'packages': {name: metadata.version(name) for name in _PACKAGES},
  }


def summarize(workdir: pathlib.Path) -> dict[str, Any]:
  """Returns the figures of a finished study, with where they come from.

  Shares are rounded to six decimals. Of a path of the machine, such as that of
  the data, the last name is kept.

  Args:
    workdir: the work directory of the study.

  Returns:
    `origin`, `config` and the content of `metrics.json`. `origin` has what
    `describe_run` returned during the study, and the `seconds` of all stages.

  Raises:
    UserError: a file is missing or damaged, or the study was run by a version
      that did not record its origin.
  """
  metrics = files.read_json(workdir / 'metrics.json')
  config = files.read_json(workdir / 'config.json')
  timings = files.read_json(workdir / 'timings.json')
  for name, value, key in (
    ('metrics.json', metrics, 'rows'),
    ('timings.json', timings, 'run'),
  ):
    if not isinstance(value, dict) or key not in value:
      raise errors.UserError(
        f'{workdir / name} has no {key!r}: the study was run by another'
        ' version. Run its stage report again.'
      )
  seconds = sum(v for v in timings.values() if isinstance(v, int | float))
  origin = {**timings['run'], 'seconds': round(seconds)}
  return {
    'origin': origin,
    'config': _without_folders(config),
    **_rounded(metrics),
  }


def _without_folders(value):
  """Replaces absolute paths in a config by their last names."""
  if isinstance(value, dict):
    return {k: _without_folders(v) for k, v in value.items()}
  if isinstance(value, list):
    return [_without_folders(v) for v in value]
  if isinstance(value, str) and pathlib.Path(value).is_absolute():
    return pathlib.Path(value).name
  return value


def _rounded(value):
  if isinstance(value, dict):
    if 'by_windows' in value:  # No page shows those of one recording.
      windows = value['by_windows']
      kept = {k: v for k, v in windows.items() if k != 'recording'}
      value = {**value, 'by_windows': kept}
    return {k: _rounded(v) for k, v in value.items() if k not in _LEFT_OUT}
  if isinstance(value, list):
    return [_rounded(v) for v in value]
  return round(value, _DIGITS) if isinstance(value, float) else value


def _commit() -> str | None:
  """Returns the commit of the checkout, or None of an installed package."""
  root = pathlib.Path(hybrid_jax.__file__).parents[1]
  if not (root / '.git').exists():
    return None
  try:
    return subprocess.run(
      ['git', '-C', str(root), 'describe', '--always', '--dirty'],
      capture_output=True,
      text=True,
      check=True,
    ).stdout.strip()
  except (OSError, subprocess.CalledProcessError):
    return None


def _processor() -> str:
  try:
    lines = pathlib.Path('/proc/cpuinfo').read_text().splitlines()
    return next(
      line.partition(':')[2].strip()
      for line in lines
      if line.startswith('model name')
    )
  except (OSError, StopIteration):
    return platform.processor() or platform.machine()
