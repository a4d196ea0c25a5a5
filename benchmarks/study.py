"""The whole watch study in JAX, cold and warm, compared with PyTorch.

The study is `watch`, from its data to its attacks, with the attackers that both
sides have. It runs once
in a new process, whose start counts: in JAX with an empty and with a full
compilation cache, in PyTorch by `benchmarks.pytorch.study`. `--rounds` has no
effect. Both attack on all cores: JAX several targets at once, PyTorch one
target at a time, with threads for forests and neighbours.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import ml_collections

from benchmarks import timing
from configs import watch
from hybrid_jax import errors, files, progress
from hybrid_jax.datasets import sources
from hybrid_jax.study import examples

STAGES = ('data', 'train', 'siamese', 'defend', 'release', 'attack')
_GOAL = 1 / 3  # of PyTorch's time
# What the study in PyTorch lacks.
_LEFT_OUT = ('transfer', 'decensor', 'mixture')
_ARRAYS = ('primary', 'recording', 'fold')
# Attacks that are the same code on both sides, of scikit-learn and NumPy.
_SHARED = ('knn', 'trees', 'choice', 'ceiling')

Run = dict[str, Any]


def measure(bench: timing.Bench) -> list[timing.Row]:
  """Returns two rows of three runs; `extra` has the times of the parts."""
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    progress.say('1 of 3: the study in JAX, nothing compiled before')
    names = ','.join(config().attack.adversaries)
    settings = (f'--config.attack.adversaries={names}',)
    cold = run_jax(folder / 'cold', folder / 'cache', bench.platform, settings)
    progress.say('2 of 3: the study in PyTorch')
    other = run_torch(folder / 'torch', bench)
    progress.say('3 of 3: the study in JAX, compiled before')
    warm = run_jax(folder / 'warm', folder / 'cache', bench.platform, settings)
  return [
    row_of(kind, run, other) for kind, run in (('cold', cold), ('warm', warm))
  ]


def config() -> ml_collections.ConfigDict:
  """Returns the config of the study with the attackers that both sides have."""
  c = watch.get_config()
  c.attack.adversaries = tuple(
    name for name in c.attack.adversaries if name not in _LEFT_OUT
  )
  return c


def run_jax(
  workdir: pathlib.Path,
  cache: pathlib.Path,
  platform: str,
  settings: Sequence[str] = (),
  stages: Sequence[str] = STAGES,
  timeout: float | None = None,
) -> Run:
  """Runs the study in JAX.

  Args:
    workdir: its work directory.
    cache: of compiled programs.
    platform: `'cpu'` or `'gpu'`.
    settings: more flags.
    stages: which stages run.
    timeout: the seconds after which it ends.

  Returns:
    `seconds` of the run, `stages`, `compiling`, and `figures` by target.

  Raises:
    UserError: it failed, or took too long.
  """
  command = [
    *(sys.executable, '-m', 'launch.study'),
    '--config=watch',
    *settings,
    f'--workdir={workdir}',
    f'--compilation_cache={cache}',
    f'--stages={",".join(stages)}',
  ]
  variables = {'JAX_PLATFORMS': 'cpu'} if platform == 'cpu' else {}
  seconds = _run(command, variables, 'JAX', timeout)
  figures = {}
  for path in sorted((workdir / 'results/leakage').glob('*.json')):
    leakage = files.read_json(path)
    figures[path.stem] = {k: v['value'] for k, v in leakage.items()}
    released = workdir / 'results/release' / path.name
    if released.exists():
      figures[path.stem]['utility'] = files.read_json(released)['test']['value']
  times = files.read_json(workdir / 'timings.json')
  return {
    'seconds': seconds,
    'stages': times,
    'compiling': sum(times['compiling'].values()),
    'figures': figures,
  }


def run_torch(out: pathlib.Path, bench: timing.Bench) -> Run:
  """Runs the study in PyTorch.

  Returns:
    `seconds`, `stages`, `attack` by kind, and `figures` by target.
  """
  both = config()
  data, settings = f'{out}.npz', f'{out}.json'
  write_data(both, pathlib.Path(data))
  pathlib.Path(settings).write_text(both.to_json_best_effort())
  command = [
    *(bench.torch_python, '-m', 'benchmarks.pytorch.study'),
    *(f'--data={data}', f'--config={settings}', f'--out={out}'),
    f'--device={"cpu" if bench.platform == "cpu" else "cuda"}',
  ]
  seconds = _run(command, {}, 'PyTorch')
  times = files.read_json(out / 'timings.json')
  figures = {
    target: {k: v['value'] for k, v in row['leakage'].items()}
    | ({'utility': row['utility']['value']} if 'utility' in row else {})
    for target, row in files.read_json(out / 'metrics.json').items()
  }
  return {'seconds': seconds, 'figures': figures, **times}


def write_data(config: ml_collections.ConfigDict, path: pathlib.Path) -> None:
  """Writes the data set of a config as `.npz` for the PyTorch study."""
  data = examples.Examples(config).data
  arrays = {f'sensitive_{k}': v for k, v in data.sensitive.items()}
  arrays |= {name: getattr(data, name) for name in _ARRAYS}
  files.write_npz(path, arrays | {'x': sources.read_all(data.x)})


def row_of(kind: str, run: Run, other: Run) -> timing.Row:
  """Returns the row of a run in JAX, compared with the run in PyTorch.

  `extra` has:

  - `stages`: the seconds of each stage on both sides, and their `ratio`;
  - `compiling_seconds`, `compiling_share`: the time in which JAX traced,
    compiled, or read the compilation cache;
  - `attack`: the seconds of PyTorch's attacks by kind;
  - `shared`: the share of PyTorch's time in code of scikit-learn and NumPy that
    both sides run;
  - `differences`: each figure in JAX minus that in PyTorch, by target.
  """
  shared = sum(other['attack'].get(k, 0) for k in _SHARED) / other['seconds']
  share = run['compiling'] / run['seconds']
  extra = {
    'note': (
      f'one run; {share:.0%} of it compiling; {shared:.0%} of that in PyTorch'
      ' is code of scikit-learn and NumPy that both run'
    ),
    'stages': {
      stage: {
        'first': run['stages'][stage],
        'second': other['stages'][stage],
        'ratio': run['stages'][stage] / other['stages'][stage],
      }
      for stage in STAGES
    },
    'compiling_seconds': run['compiling'],
    'compiling_share': share,
    'attack': other['attack'],
    'shared': shared,
    'differences': differences(run['figures'], other['figures']),
  }
  return timing.row(
    f'watch study, {kind}',
    'JAX',
    'PyTorch',
    [run['seconds']],
    [other['seconds']],
    goal=_GOAL,
    extra=extra,
  )


def differences(
  ours: dict[str, dict[str, float]], others: dict[str, dict[str, float]]
) -> dict[str, dict[str, float]]:
  """Returns `ours` minus `others`, for the targets and figures of both."""
  return {
    target: {
      name: value - others[target][name]
      for name, value in figures.items()
      if name in others[target]
    }
    for target, figures in ours.items()
    if target in others
  }


def _run(
  command: Sequence[str],
  variables: dict[str, str],
  side: str,
  timeout: float | None = None,
) -> float:
  """Runs a process, and returns its seconds; its output is shown."""
  started = time.perf_counter()
  try:
    done = subprocess.run(
      command,
      cwd=timing.ROOT,
      env=os.environ | variables | {'PYTHONPATH': str(timing.ROOT)},
      stdout=sys.stderr,
      check=False,
      timeout=timeout,
    )
  except subprocess.TimeoutExpired as e:
    raise errors.UserError(
      f'the study in {side} took more than {timeout:.0f} s.'
    ) from e
  except OSError as e:
    raise errors.UserError(
      f'{command[0]}: {e.strerror}. Run bash launch/bench.sh, which makes the'
      ' environment of PyTorch.'
    ) from e
  if done.returncode:
    raise errors.UserError(
      f'the study in {side} ended with exit code {done.returncode}; its output'
      ' is above.'
    )
  return time.perf_counter() - started
