"""Times training beside PyTorch, and the Siamese step beside the plain one.

    bash launch/bench.sh [--out=FILE.json]

All is timed in one run and by turns, A B A B, while the other side is idle. A
ratio is the median over the rounds of A's time over B's of the same round, and
stands with the least and the greatest. Network and settings are those of
`configs/watch.py`; the data are random, in memory.
"""

import json
import os
import pathlib
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import rich.console
import rich.table
from absl import app, flags

from configs import watch
from hybrid_jax import errors, files, progress
from hybrid_jax.models import cnn1d
from hybrid_jax.training import heads, state, steps
from launch import bench_input

_OUT = flags.DEFINE_string('out', 'runs/bench.json', 'The JSON file written.')
_TORCH = flags.DEFINE_string(
  'torch_python', '.venv-torch/bin/python', 'A Python that has PyTorch.'
)
_ROUNDS = flags.DEFINE_integer('rounds', 7, 'Times each is timed.', 1)

_CONFIG = watch.get_config()
# What both sides need to know; see `launch/bench_torch.py`.
_TASK = {
  **_CONFIG.model.options.to_dict(),
  **_CONFIG.training.to_dict(),
  **{'time': 128, 'channels': 6, 'classes': 7, 'examples': 8192},
}
_HEADS = {
  **{'batch_size': 128, 'learning_rate': 5e-3, 'weight_decay': 1e-3},
  **{'features': 64, 'widths': (128, 64), 'classes': 10},
  **{'examples': 3555, 'held': 1185, 'chunk': 100, 'max_chunks': 5},
  'members': 4,  # that PyTorch trains, of `_MEMBERS`
}
_MEMBERS = 32  # adversaries; the time of PyTorch's few is scaled to them
_STEPS = 50  # timed at once at batch 128; fewer of larger batches
_BATCHES = (128, 256, 512, 1024, 2048, 4096)
_LARGEST = 8192  # one Siamese step, to show that it runs

Timer = Callable[[], float]
Row = dict[str, Any]


class Torch:
  """The PyTorch process; it ends with this one."""

  def __init__(self, python: str):
    """Starts it; `UserError` if `python` is missing or has no PyTorch."""
    script = pathlib.Path(__file__).with_name('bench_torch.py')
    pipe = subprocess.PIPE
    try:
      self._process = subprocess.Popen(
        [python, str(script)], stdin=pipe, stdout=pipe, text=True
      )
    except OSError as e:
      raise errors.UserError(
        f'--torch_python={python}: {e.strerror}. bash launch/bench.sh makes'
        ' that environment, then measures.'
      ) from e
    self.about = self._ask({'task': _TASK, 'heads': _HEADS})

  def timer(self, share: float, **request: Any) -> Timer:
    """Asks for a benchmark that does `share` of the work: seconds for all."""
    return lambda: self._ask(request)['seconds'] / share

  def _ask(self, request):
    try:
      print(json.dumps(request), file=self._process.stdin, flush=True)
      return json.loads(self._process.stdout.readline())
    except (BrokenPipeError, ValueError) as e:
      raise errors.UserError(
        'the PyTorch process failed; what it said is above. bash'
        ' launch/bench.sh makes its environment.'
      ) from e


def compare(what: str, timers: dict[str, Timer], goal: float = 0) -> list[Row]:
  """The first timer over each of the others; `goal` is for the fastest.

  All go in turn, round by round, after a round that does not count.
  """
  rounds = [
    {name: timer() for name, timer in timers.items()}
    for _ in range(_ROUNDS.value + 1)
  ]
  times = {name: [r[name] for r in rounds[1:]] for name in timers}
  first, *others = times
  rows: list[Row] = []
  for second in others:
    pairs = zip(times[first], times[second], strict=True)
    ratios = sorted(a / b for a, b in pairs)
    row: Row = {'what': what, 'first': first, 'second': second, 'goal': None}
    row |= {'first_seconds': times[first], 'second_seconds': times[second]}
    row |= {'ratio_min': ratios[0], 'ratio_max': ratios[-1]}
    rows.append({**row, 'ratio': statistics.median(ratios)})
  fastest = min(rows, key=lambda r: statistics.median(r['second_seconds']))
  fastest['goal'] = goal or None
  return rows


def seconds(function: Callable[..., Any], *arguments: Any) -> float:
  """How long one call takes, until its results are there."""
  start = time.perf_counter()
  jax.block_until_ready(function(*arguments))
  return time.perf_counter() - start


def scanned(objective: str, batch_size: int, length: int) -> tuple[Any, ...]:
  """A jitted scan of `length` steps, as in `training.loop`, and its arguments.

  The objective is `'task'`, or `'siamese'` at split point dense1.
  """
  model = cnn1d.Model(classes=_TASK['classes'], **_CONFIG.model.options)
  tx = state.optimizer(_CONFIG.training)
  step = steps.make_task_step(model, tx)
  if objective == 'siamese':
    step = steps.make_siamese_step(model, tx, 'dense1', _CONFIG.siamese)
  n, key = _TASK['examples'], jax.random.key(0)
  x = jax.random.normal(key, (n, 1, _TASK['time'], _TASK['channels']))
  y = jax.random.randint(key, (n,), 0, _TASK['classes'])
  params = model.init(key, x[:1])['params']

  @jax.jit
  def run(start, data, key):
    def body(now, number):
      step_key = jax.random.fold_in(key, number)
      rows = jax.random.randint(step_key, (batch_size,), 0, n)
      return step(now, jax.tree.map(lambda a: a[rows], data), step_key)

    end, metrics = jax.lax.scan(body, start, jnp.arange(length))
    return end, jax.tree.map(jnp.mean, metrics)

  return run, state.create(params, tx), {'x': x, 'primary': y}, key


def step_timer(objective: str, batch_size: int) -> Timer:
  """Seconds a step; see `scanned`."""
  length = max(1, _STEPS * _BATCHES[0] // batch_size)
  program = scanned(objective, batch_size, length)
  return lambda: seconds(*program) / length


def heads_timer() -> Timer:
  """Seconds for training all adversaries in one program, without a stop."""
  settings = _CONFIG.attack.copy_and_resolve_references()
  settings.update({k: v for k, v in _HEADS.items() if k in settings})
  settings.patience = 10**6
  n, held, k = (_HEADS[a] for a in ('examples', 'held', 'classes'))
  rng, zeros = np.random.default_rng(0), np.zeros(_MEMBERS, int)
  x = jnp.asarray(rng.normal(size=(1, n, _HEADS['features'])), jnp.float32)
  y, valid = jnp.asarray(rng.integers(k, size=(1, n))), jnp.ones((1, k), bool)
  data = heads.Data(x, None, y, x[:, :held], y[:, :held], valid)
  members = heads.Members(
    view=zeros,
    label=zeros,
    seed=np.arange(_MEMBERS),
    rate=np.full(_MEMBERS, settings.learning_rate),
    decay=np.full(_MEMBERS, settings.weight_decay),
    width=np.ones(_MEMBERS),
  )
  widths = _HEADS['widths']
  return lambda: seconds(heads.train, data, members, widths, settings)


def measure(torch: Torch) -> list[Row]:
  """All comparisons; some minutes on two cores."""
  progress.say('1 of 3: the training step')
  timers = {'JAX': step_timer('task', _TASK['batch_size'])} | {
    f'PyTorch {layout}, {adamw} AdamW': torch.timer(
      _STEPS, benchmark='task', layout=layout, adamw=adamw, steps=_STEPS
    )
    for layout in ('contiguous', 'channels_last')
    for adamw in ('default', 'fused')
  }
  rows = compare(f'training step, batch {_TASK["batch_size"]}', timers, 1.0)
  progress.say('2 of 3: the Siamese step')
  for count in _BATCHES:
    timers = {name: step_timer(name, count) for name in ('siamese', 'task')}
    rows += compare(f'Siamese step, batch {count}', timers)
  progress.say('3 of 3: the adversaries')
  trained = _HEADS['members']
  timers = {'JAX, together': heads_timer()} | {
    f'PyTorch ({trained}, scaled), {adamw} AdamW': torch.timer(
      trained / _MEMBERS, benchmark='heads', adamw=adamw
    )
    for adamw in ('default', 'fused')
  }
  return rows + compare(f'{_MEMBERS} adversaries', timers, 0.5)


def table(rows: list[Row]) -> rich.table.Table:
  """The ratios, as a table."""
  out = rich.table.Table()
  for name in ('what', 'A', 'B', 'A, ms', 'B, ms', 'A / B', 'range', 'goal'):
    out.add_column(name)
  for r in rows:
    a, b = (statistics.median(r[f'{k}_seconds']) for k in ('first', 'second'))
    goal, met = r['goal'], 'met' if r['ratio'] <= (r['goal'] or 0) else 'missed'
    out.add_row(
      *(r['what'], r['first'], r['second'], f'{1e3 * a:.4g}', f'{1e3 * b:.4g}'),
      f'{r["ratio"]:.2f}',
      f'{r["ratio_min"]:.2f} to {r["ratio_max"]:.2f}',
      f'<= {goal}: {met}' if goal else '',
    )
  return out


def main(argv: list[str]) -> None:
  """Measures, prints, writes."""
  if len(argv) > 1:
    raise errors.UserError(f'unknown argument {argv[1]!r}; see --help.')
  jax.config.update('jax_platforms', 'cpu')
  torch, cores, load = Torch(_TORCH.value), os.cpu_count(), os.getloadavg()[0]
  if load > 0.5:
    progress.say(f'load {load:.1f}: other work slows PyTorch more than JAX')
  machine = {'machine': platform.machine(), 'cores': cores, 'load': load}
  machine |= {'python': platform.python_version(), 'jax': jax.__version__}
  machine |= {'pytorch': torch.about}
  rows, large = measure(torch), step_timer('siamese', _LARGEST)
  large = [large(), large()][-1]
  progress.say('and training on examples that are read')
  read = bench_input.measure(_ROUNDS.value)
  print(', '.join(f'{k} {v}' for k, v in machine.items()))
  width = shutil.get_terminal_size((150, 24)).columns
  rich.console.Console(width=width).print(table(rows))
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  peak /= 2**30 if sys.platform == 'darwin' else 2**20
  print(f'Siamese step, batch {_LARGEST}: {large:.2f} s, peak {peak:.1f} GiB')
  print(bench_input.told(read))
  results = {'machine': machine, 'rows': rows, 'input': read}
  results |= {'largest': {'seconds': large, 'peak_gib': peak}}
  files.write_json(pathlib.Path(_OUT.value), results)


if __name__ == '__main__':
  try:
    app.run(main)
  except errors.UserError as error:
    sys.exit(f'error: {error}')
