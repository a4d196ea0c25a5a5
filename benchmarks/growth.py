"""How time grows: with the batch, with the windows, with the adversaries.

A row is one size over the one before it, and has in `extra` the `exponent`: 1
where twice the work takes twice the time, less where what is fixed is shared.
"""

import itertools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from benchmarks import adversaries, networks, siamese, step_time, timing
from hybrid_jax import progress
from hybrid_jax.training import loop, runners, steps, train_state

_WINDOWS = 5924  # about as many as the watch study has
_TIMES = (1, 10, 100)


def measure(bench: timing.Bench) -> list[timing.Row]:
  """Rows of the three; see the module."""
  progress.say('how a step grows with its batch')
  found = grown(
    bench,
    'step of the watch CNN, batch',
    siamese.BATCHES,
    lambda size: step_time.step_timer(networks.WATCH, 'task', size),
  )
  progress.say('how an epoch grows with its windows')
  found += grown(
    bench,
    'epoch of the watch CNN, windows',
    [_WINDOWS * times for times in _TIMES],
    epoch_timer,
  )
  progress.say('how attacks grow with the adversaries')
  return found + grown(
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
  """Rows of each size over the one before; `make` makes a size's timer."""
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
  """Seconds of an epoch over `windows` in memory, by the loop's own runner.

  They are `_WINDOWS`, so many times. No more steps are timed
  than the study takes between two checkpoints; they are scaled to the epoch.
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
