"""The Siamese step with all pairs of a batch, compared with a plain step."""

import resource
import sys

from benchmarks import networks, step_time, timing
from hybrid_jax import progress

_GOAL, _GOAL_TO = 1.1, 1024
BATCHES = (128, 256, 512, 1024, 2048, 4096, 8192)


def measure(bench: timing.Bench) -> list[timing.Row]:
  """Returns a row for each batch; the last `extra` has the peak memory."""
  rows = []
  for count in BATCHES:
    progress.say(f'the Siamese step, batch {count}')
    timers = {
      side: step_time.step_timer(networks.WATCH, objective, count)
      for side, objective in (('all pairs', 'siamese'), ('plain', 'task'))
    }
    goal = _GOAL if count <= _GOAL_TO else None
    rows += bench.compare(f'Siamese step, batch {count}', timers, goal)
  used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  used /= 2**30 if sys.platform == 'darwin' else 2**20
  rows[-1]['extra'] = {'peak_gib': used, 'note': f'peak memory {used:.1f} GiB'}
  return rows
