"""The whole watch study, cold and warm, beside the same written in PyTorch.

`configs/watch.py:fast` from its data to its attacks, each time in a process of
its own whose start counts: here with an empty and with a filled compilation
cache, there by `benchmarks.pytorch.study`. Each runs once, whatever `--rounds`
is. Both attack on all cores: JAX's study several targets at once, the other one
by one, where forests and neighbours use as many threads.
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
_VARIANT = 'fast'
_ARRAYS = ('primary', 'recording', 'fold')
# What is the same code on both sides: scikit-learn and NumPy.
_SHARED = ('knn', 'trees', 'choice', 'ceiling')

Run = dict[str, Any]


def measure(bench: timing.Bench) -> list[timing.Row]:
  """Three runs, two rows; where the time went is in their `extra`."""
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    progress.say('1 of 3: the study in JAX, nothing compiled before')
    cold = run_jax(folder / 'cold', folder / 'cache', bench.platform)
    progress.say('2 of 3: the study in PyTorch')
    other = run_torch(folder / 'torch', bench)
    progress.say('3 of 3: the study in JAX, compiled before')
    warm = run_jax(folder / 'warm', folder / 'cache', bench.platform)
  return [
    row_of(kind, run, other) for kind, run in (('cold', cold), ('warm', warm))
  ]


def run_jax(workdir: pathlib.Path, cache: pathlib.Path, platform: str) -> Run:
  """The study in JAX: `seconds` of all, `stages`, `compiling`, `found`."""
  command = [
    *(sys.executable, '-m', 'launch.study'),
    f'--config=configs/watch.py:{_VARIANT}',
    f'--workdir={workdir}',
    f'--compilation_cache={cache}',
    f'--stages={",".join(STAGES)}',
  ]
  own = {'JAX_PLATFORMS': 'cpu'} if platform == 'cpu' else {}
  seconds = _run(command, own, 'JAX')
  found = {}
  for path in sorted((workdir / 'results/leakage').glob('*.json')):
    leakage = files.read_json(path)
    found[path.stem] = {k: v['value'] for k, v in leakage.items()}
    released = workdir / 'results/release' / path.name
    if released.exists():
      found[path.stem]['utility'] = files.read_json(released)['test']['value']
  times = files.read_json(workdir / 'timings.json')
  return {
    'seconds': seconds,
    'stages': times,
    'compiling': sum(times['compiling'].values()),
    'found': found,
  }


def run_torch(out: pathlib.Path, bench: timing.Bench) -> Run:
  """The study in PyTorch: `seconds`, `stages`, `attack` by kind, `found`."""
  config = watch.get_config(_VARIANT)
  data, settings = f'{out}.npz', f'{out}.json'
  write_data(config, pathlib.Path(data))
  pathlib.Path(settings).write_text(config.to_json_best_effort())
  command = [
    *(bench.torch_python, '-m', 'benchmarks.pytorch.study'),
    *(f'--data={data}', f'--config={settings}', f'--out={out}'),
    f'--device={"cpu" if bench.platform == "cpu" else "cuda"}',
  ]
  seconds = _run(command, {}, 'PyTorch')
  times = files.read_json(out / 'timings.json')
  found = {
    target: {k: v['value'] for k, v in figures['leakage'].items()}
    | ({'utility': figures['utility']['value']} if 'utility' in figures else {})
    for target, figures in files.read_json(out / 'metrics.json').items()
  }
  return {'seconds': seconds, 'found': found, **times}


def write_data(config: ml_collections.ConfigDict, path: pathlib.Path) -> None:
  """The data set of a config as an `.npz`; see `benchmarks.pytorch.study`."""
  data = examples.Examples(config).data
  arrays = {f'sensitive_{k}': v for k, v in data.sensitive.items()}
  arrays |= {name: getattr(data, name) for name in _ARRAYS}
  files.write_npz(path, arrays | {'x': sources.read_all(data.x)})


def row_of(kind: str, run: Run, other: Run) -> timing.Row:
  """The row of a run in JAX beside that in PyTorch.

  `extra` has each stage's seconds on both sides and their `ratio`; the seconds
  and share of the time in which anything was traced, compiled, or fetched from
  the cache, as `compiling`; what PyTorch's attacks took by kind; the share of
  its time that is `shared`, code of scikit-learn and NumPy that both run; and
  `differences`, by how much each target's figures in JAX are above PyTorch's.
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
    'differences': differences(run['found'], other['found']),
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
  found: dict[str, dict[str, float]], others: dict[str, dict[str, float]]
) -> dict[str, dict[str, float]]:
  """`found` less `others`, for the targets and figures that both have."""
  return {
    target: {
      name: value - others[target][name]
      for name, value in figures.items()
      if name in others[target]
    }
    for target, figures in found.items()
    if target in others
  }


def _run(command: Sequence[str], own: dict[str, str], side: str) -> float:
  """Seconds of a process; its output goes where ours goes."""
  started = time.perf_counter()
  try:
    done = subprocess.run(
      command,
      cwd=timing.ROOT,
      env=os.environ | own | {'PYTHONPATH': str(timing.ROOT)},
      stdout=sys.stderr,
      check=False,
    )
  except OSError as e:
    raise errors.UserError(
      f'{command[0]}: {e.strerror}. bash launch/bench.sh makes the environment'
      ' of PyTorch, then measures.'
    ) from e
  if done.returncode:
    raise errors.UserError(
      f'the study in {side} ended with exit code {done.returncode}; what it'
      ' said is above.'
    )
  return time.perf_counter() - started
