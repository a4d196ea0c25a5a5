"""Growth of time with the batch, the windows and the number of adversaries.

A row compares one size with the next smaller one. Its `extra` has the
`exponent`: 1 if twice the work takes twice the time, less if a fixed cost is
shared.
"""

import itertools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from benchmarks import adversaries, networks, siamese, step_time, timing
from hybrid_jax import progress
from hybrid_jax.training import loop, runners, steps, train_state

_WINDOWS = 5924  # about the number of the watch study
_TIMES = (1, 10, 100)


def measure(bench: timing.Bench) -> list[timing.Row]:
  """Returns the rows of all three."""
  progress.say('growth of a step with its batch')
  rows = grown(
    bench,
    'step of the watch CNN, batch',
    siamese.BATCHES,
    lambda size: step_time.step_timer(networks.WATCH, 'task', size),
  )
  progress.say('growth of an epoch with its windows')
  rows += grown(
    bench,
    'epoch of the watch CNN, windows',
    [_WINDOWS * times for times in _TIMES],
    epoch_timer,
  )
  progress.say('growth of attacks with the adversaries')
  return rows + grown(
    bench,
    'chunk of 100 steps, adversaries',
    adversaries.COUNTS,
    lambda size: adversaries.timer(size, chunks=1),
  )


def grown(
  bench: timing.Bench,
  what: str,
  sizes: list[int] | tuple[int, ...],
  make: Callable[[int], timing.Timer],
) -> list[timing.Row]:
  """Returns the rows of sizes; `make` returns the timer of a size."""
  times = bench.times({str(size): make(size) for size in sizes})
  rows = []
  for small, large in itertools.pairwise(sizes):
    row = timing.row(
      f'{what} {large}',
      *(str(large), str(small), times[str(large)], times[str(small)]),
    )
    exponent = math.log(row['ratio']) / math.log(large / small)
    note = f'exponent {exponent:.2f}'
    rows.append(row | {'extra': {'exponent': exponent, 'note': note}})
  return rows


def epoch_timer(windows: int) -> timing.Timer:
  """Times an epoch over `windows` windows in memory, with the loop's runner.

  The data are copies of `_WINDOWS` windows. At most the steps between two
  checkpoints of the study are timed, and scaled to the epoch.
  """
  network = networks.WATCH
  model, tx = network.model(), train_state.optimizer(network.config)
  key = jax.random.key(0)
  few = jax.random.normal(key, (_WINDOWS, *network.example))
  x = jnp.tile(few, (windows // _WINDOWS, 1, 1, 1))
  y = jnp.arange(windows) % network.classes
  start = train_state.create(jax.jit(model.init)(key, x[:1])['params'], tx)
  runner = runners.ScanRunner(
    steps.make_task_step(model, tx),
    {'x': x, 'primary': y},
    network.batch_size,
    key,
    loop.data_mesh(),
  )
  epoch = windows // network.batch_size
  size = min(epoch, network.config.every)
  return lambda: timing.seconds(runner.run, start, size) * epoch / size
