"""What the suites of `launch.bench` share: timers, rounds, rows, PyTorch.

A suite is a module with `measure(bench: Bench) -> list[Row]`.
"""

import dataclasses
import functools
import json
import os
import pathlib
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Any

import jax

from hybrid_jax import errors

ROOT = pathlib.Path(__file__).parents[1]

Timer = Callable[[], float]
Row = dict[str, Any]


class Torch:
  """The PyTorch process (`benchmarks.pytorch.worker`); it ends with this one.

  Attributes:
    about: its versions, device and threads.
  """

  about: dict[str, Any]

  def __init__(self, python: str, platform: str):
    """Starts it; `UserError` if `python` is missing or has no PyTorch."""
    pipe = subprocess.PIPE
    try:
      self._process = subprocess.Popen(
        [python, '-m', 'benchmarks.pytorch.worker', platform],
        stdin=pipe,
        stdout=pipe,
        text=True,
        env=os.environ | {'PYTHONPATH': str(ROOT)},
      )
    except OSError as e:
      raise errors.UserError(
        f'--torch_python={python}: {e.strerror}. bash launch/bench.sh makes'
        ' that environment, then measures.'
      ) from e
    self.about = self.ask('about')

  def ask(self, name: str, **arguments: Any) -> Any:
    """What the function `name` of the worker answers; see `worker.ANSWERS`."""
    line = json.dumps({'ask': name, 'arguments': arguments})
    given, answers = self._process.stdin, self._process.stdout
    assert given  # They are pipes.
    assert answers
    try:
      print(line, file=given, flush=True)
      return json.loads(answers.readline())
    except (BrokenPipeError, ValueError) as e:
      raise errors.UserError(
        'the PyTorch process failed; what it said is above. bash'
        ' launch/bench.sh makes its environment.'
      ) from e

  def call(self, function: str, **arguments: Any) -> Any:
    """What a function of `benchmarks.pytorch`, as `'ranks.ranks'`, returns."""
    return self.ask('call', function=function, arguments=arguments)

  def timer(
    self, maker: str, calls: int = 1, share: float = 1, **arguments: Any
  ) -> Timer:
    """Times `calls` of what `maker` makes there: seconds a call over `share`.

    It is made, and compiled, when the timer is first called.

    Args:
      maker: module and function, as `'training.task'`.
      calls: timed at once.
      share: of the work on our side that one call does.
      arguments: the maker's.
    """
    request = {'maker': maker, 'calls': calls, 'arguments': arguments}
    return lambda: self.ask('time', **request)['seconds'] / (calls * share)


@dataclasses.dataclass
class Bench:
  """How to measure.

  Attributes:
    rounds: how often each is timed.
    platform: `'cpu'`, or `'gpu'` for JAX's and PyTorch's own device.
    torch_python: a Python that has PyTorch.
  """

  rounds: int = 5
  platform: str = 'cpu'
  torch_python: str = '.venv-torch/bin/python'

  @functools.cached_property
  def torch(self) -> Torch:
    """The PyTorch process, started when it is first needed."""
    return Torch(self.torch_python, self.platform)

  def times(self, timers: dict[str, Timer]) -> dict[str, list[float]]:
    """Each timer's seconds by round; all by turns.

    There is a round before that does not count, in which programs compile.
    """
    found: list[dict[str, float]] = [
      {name: timer() for name, timer in timers.items()}
      for _ in range(self.rounds + 1)
    ]
    return {name: [r[name] for r in found[1:]] for name in timers}

  def compare(
    self, what: str, timers: dict[str, Timer], goal: float | None = None
  ) -> list[Row]:
    """The first timer over each of the others; `goal` is for the fastest."""
    times = self.times(timers)
    first, *others = times
    rows = [
      row(what, first, second, times[first], times[second]) for second in others
    ]
    fastest = min(rows, key=lambda r: statistics.median(r['second_seconds']))
    fastest['goal'] = goal
    return rows


def row(
  what: str,
  first: str,
  second: str,
  first_seconds: list[float],
  second_seconds: list[float],
  **more: Any,
) -> Row:
  """One line of the table: first over second, round by round.

  Args:
    what: what is done.
    first: who does it.
    second: who else does.
    first_seconds: `[rounds]`.
    second_seconds: `[rounds]`.
    more: `goal`, which the ratio should not pass; `flops` of the first, a
      step; `peak_share`, its share of a measured peak; `extra`, a dict.

  Returns:
    These, and `ratio`, the median over the rounds, with `ratio_min` and
    `ratio_max`.
  """
  pairs = zip(first_seconds, second_seconds, strict=True)
  ratios = [a / b for a, b in pairs]
  return {
    'what': what,
    'first': first,
    'second': second,
    'ratio': statistics.median(ratios),
    'ratio_min': min(ratios),
    'ratio_max': max(ratios),
    'first_seconds': first_seconds,
    'second_seconds': second_seconds,
    'goal': None,
  } | more


def seconds(function: Callable[..., Any], *arguments: Any) -> float:
  """How long one call takes, until its results are there."""
  start = time.perf_counter()
  jax.block_until_ready(function(*arguments))
  return time.perf_counter() - start
