"""Training on examples that are read one by one, compared with an array.

Network and settings are those of `configs/watch.py`. The source makes each
example in Python. A disk, or the decoding of images, would take more time.
"""

import math
import pathlib
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

import jax
import numpy as np

from benchmarks import timing
from configs import watch
from hybrid_jax import progress
from hybrid_jax.datasets import sources
from hybrid_jax.models import cnn1d
from hybrid_jax.training import loop, runners, steps, train_state

_CONFIG = watch.get_config()
_SHAPE, _CLASSES = (1, 128, 6), 7
_EXAMPLES = 8192  # examples in memory
_LARGE = 20.0  # GiB of the large source
_STEPS = 100  # steps that are timed at once
_LARGE_ALONE = '--large_alone'


class Windows(sources.Source):
  """Source of `length` windows; each is a copy of one in memory."""

  def __init__(self, length: int):
    """Draws the windows in memory from a normal distribution."""
    self.shape, self.dtype = (length, *_SHAPE), np.dtype(np.float32)
    rng = np.random.default_rng(0)
    self.held = rng.standard_normal((_EXAMPLES, *_SHAPE), np.float32)

  def __getitem__(self, index: int) -> np.ndarray:
    return self.held[index % _EXAMPLES].copy()


class _Training:
  """Training of the watch network on `x` with the loop's runner."""

  def __init__(self, x: np.ndarray | sources.Source):
    model = cnn1d.Model(classes=_CLASSES, **_CONFIG.model.options)
    tx = train_state.optimizer(_CONFIG.training)
    make = runners.StreamRunner if sources.is_lazy(x) else runners.ScanRunner
    key = jax.random.key(0)
    self._runner = make(
      steps.make_task_step(model, tx),
      {'x': x, 'primary': np.arange(len(x)) % _CLASSES},
      _CONFIG.training.batch_size,
      key,
      loop.data_mesh(),
    )
    first = np.zeros((1, *_SHAPE), np.float32)
    self._state = train_state.create(model.init(key, first)['params'], tx)
    self._runner.start(0, None)

  def run(self) -> dict[str, Any]:
    """Takes `_STEPS` steps; returns their mean metrics and `seconds`."""
    start = time.perf_counter()
    self._state, means = self._runner.run(self._state, _STEPS)
    jax.block_until_ready(means)
    return means | {'seconds': time.perf_counter() - start}

  def close(self) -> None:
    """Stops the reading threads."""
    self._runner.close()


def measure(bench: timing.Bench) -> list[timing.Row]:
  """Returns one row: reading compared with an array.

  Its `extra` has `input_wait`, the median share of the time in which a step
  waited for its batch; `large_gib`; and `growth_gib`, see `growth`.
  """
  progress.say('training on examples that are read')
  source, waits = Windows(_EXAMPLES), []
  held, streamed = _Training(source.held), _Training(source)

  def read():
    metrics = streamed.run()
    waits.append(metrics['input_wait'])
    return metrics['seconds'] / _STEPS

  (row,) = bench.compare(
    'training step, watch CNN, examples one by one',
    {
      'read while the steps run': read,
      'in memory': lambda: held.run()['seconds'] / _STEPS,
    },
  )
  held.close()
  streamed.close()
  wait, peak = statistics.median(waits[1:]), growth()
  row['extra'] = {'input_wait': wait, 'large_gib': _LARGE, 'growth_gib': peak}
  row['extra']['note'] = (
    f'waits {wait:.1%} of the time; {_LARGE:g} GiB read take {peak:.2f} GiB'
  )
  return [row]


def growth() -> float:
  """Returns the growth of a fresh process's peak memory in training, in GiB.

  The process takes `_STEPS` steps on `Windows` of 20 GiB. The memory of the
  compiler counts too.
  """
  done = subprocess.run(
    [sys.executable, '-m', 'benchmarks.input', _LARGE_ALONE],
    cwd=timing.ROOT,
    stdout=subprocess.PIPE,
    check=True,
    text=True,
  )
  return float(done.stdout)


def _train_on_large():
  size = 4 * math.prod(_SHAPE)
  source = Windows(int(_LARGE * 2**30 / size))
  before = _peak()
  training = _Training(source)
  training.run()
  training.close()
  return _peak() - before


def _peak():
  """Returns this process's peak memory in GiB.

  On Linux `getrusage` would include the parent process.
  """
  status = pathlib.Path('/proc/self/status')
  if status.exists():
    words = status.read_text().split()
    return int(words[words.index('VmHWM:') + 1]) / 2**20
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30


if __name__ == '__main__' and sys.argv[1:] == [_LARGE_ALONE]:
  jax.config.update('jax_platforms', 'cpu')
  print(_train_on_large())
