"""Growth of time and memory of an audit of released vectors.

It grows with the rows of the report, the examples, the people, and the windows
that an attacker adds up. Each size is measured once, after a first run in which
programs compile. The attackers are those of `hybrid-jax audit --fast`.
"""

import dataclasses
import time

import numpy as np

from benchmarks import growth, timing
from hybrid_jax import progress
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset
from hybrid_jax.deploy.export import latency_probe
from hybrid_jax.measures import measurement
from hybrid_jax.study import audit_config

_EXAMPLES, _PEOPLE = 4000, 10
# Title to sizes and the argument of `timer` that they are.
SIZES = {
  'audit, rows': ((1, 4, 16), 'rows'),
  'audit, examples': ((1000, 4000, 16_000), 'examples'),
  'audit, people': ((10, 40, 160), 'people'),
  'audit, windows added up': ((1, 8, 64), 'windows'),
}
_DIM = 6
_RECORDINGS = 10  # of a person


def measure(bench: timing.Bench) -> list[timing.Row]:
  """Returns the rows of all sizes; `extra` has `peak_gib`, too."""
  bench = dataclasses.replace(bench, rounds=1)
  rows = []
  for title, (sizes, argument) in SIZES.items():
    progress.say(f'growth: {title}')
    peaks: dict[int, float | None] = {}

    def make(size, argument=argument, peaks=peaks):
      return timer(peaks, size, **{argument: size})

    for row, size in zip(
      growth.grown(bench, title, sizes, make), sizes[1:], strict=True
    ):
      row['extra']['peak_gib'] = peaks[size]
      if peaks[size]:
        row['extra']['note'] += f'; {peaks[size]:.1f} GiB at most'
      rows.append(row)
  return rows


def timer(
  peaks: dict[int, float | None],
  key: int,
  rows: int = 1,
  examples: int = _EXAMPLES,
  people: int = _PEOPLE,
  windows: int = 1,
) -> timing.Timer:
  """Returns a timer of an audit; it writes its peak memory to `peaks[key]`.

  Args:
    peaks: GiB of the process; `None` where it cannot be measured.
    key: of `peaks`.
    rows: the number of released arrays.
    examples: windows of each.
    people: the classes of the label to find.
    windows: the largest number of windows that attackers add up.
  """
  config = audit_config.get(fast=True)
  attack = config.attack
  attack.windows = tuple(k for k in attack.windows if k <= windows)

  def run() -> float:
    problems = [problem(examples, people, seed) for seed in range(rows)]
    latency_probe.reset_peak()
    started = time.perf_counter()
    for each in problems:
      for name in (measurement.LEAKAGE, 'ceiling', 'ranks'):
        measurement.run(name, each, attack, config.seed)
    spent = time.perf_counter() - started
    peak = latency_probe.memory('VmHWM')
    peaks[key] = None if peak is None else peak / 2**10
    return spent

  return run


def problem(examples: int, people: int, seed: int) -> adversary.Problem:
  """Returns noisy vectors of people, who differ a little, in recordings.

  Args:
    examples: the number of windows.
    people: the number of people.
    seed: for the vectors.
  """
  rng = np.random.default_rng(seed)
  recordings = people * _RECORDINGS
  recording = np.sort(np.arange(examples) % recordings)
  person, number = recording % people, recording // people
  primary = rng.integers(4, size=examples)
  means = rng.standard_normal((4, _DIM)), rng.standard_normal((people, _DIM))
  clean = 4 * means[0][primary] + means[1][person]
  clean += rng.standard_normal(clean.shape)
  of_number = np.repeat(
    np.array([dataset.TRAIN, dataset.VALIDATION, dataset.TEST], np.int8),
    [6, 2, 2],
  )
  return adversary.Problem(
    clean=clean.astype(np.float32),
    noise_scale=np.eye(_DIM, dtype=np.float32),
    primary=primary,
    sensitive={'person': person},
    recording=recording,
    fold=of_number[number],
  )
