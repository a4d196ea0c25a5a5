"""The Siamese step, with all pairs of the batch, beside the plain step."""

import resource
import sys

from benchmarks import networks, step_time, timing
from hybrid_jax import progress

_GOAL, _GOAL_TO = 1.1, 1024
BATCHES = (128, 256, 512, 1024, 2048, 4096, 8192)


def measure(bench: timing.Bench) -> list[timing.Row]:
  """A row for each batch; `extra` of the last has the peak of memory."""
  rows = []
  for count in BATCHES:
    progress.say(f'the Siamese step, batch {count}')
    timers = {
      who: step_time.step_timer(networks.WATCH, objective, count)
      for who, objective in (('all pairs', 'siamese'), ('plain', 'task'))
    }
    goal = _GOAL if count <= _GOAL_TO else None
    rows += bench.compare(f'Siamese step, batch {count}', timers, goal)
  used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  used /= 2**30 if sys.platform == 'darwin' else 2**20
  rows[-1]['extra'] = {'peak_gib': used, 'note': f'{used:.1f} GiB at most'}
  return rows
