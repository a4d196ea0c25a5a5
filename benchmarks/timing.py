"""Timers, rounds, result rows and the PyTorch process of `launch.bench`.

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
  """PyTorch process, running `benchmarks.pytorch.worker` until this one ends.

  Attributes:
    about: the versions, device and threads of PyTorch.
  """

  about: dict[str, Any]

  def __init__(self, python: str, platform: str):
    """Starts the process.

    Raises:
      UserError: `python` does not exist or has no PyTorch.
    """
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
        ' that environment.'
      ) from e
    self.about = self.ask('about')

  def ask(self, name: str, **arguments: Any) -> Any:
    """Returns the worker's answer; `name` is one of `worker.ANSWERS`."""
    line = json.dumps({'ask': name, 'arguments': arguments})
    requests, answers = self._process.stdin, self._process.stdout
    assert requests  # Both are pipes.
    assert answers
    try:
      print(line, file=requests, flush=True)
      return json.loads(answers.readline())
    except (BrokenPipeError, ValueError) as e:
      raise errors.UserError(
        'the PyTorch process failed; its output is above. bash'
        ' launch/bench.sh makes its environment.'
      ) from e

  def call(self, function: str, **arguments: Any) -> Any:
    """Calls a function of `benchmarks.pytorch`, such as `'ranks.ranks'`."""
    return self.ask('call', function=function, arguments=arguments)

  def timer(
    self, maker: str, calls: int = 1, share: float = 1, **arguments: Any
  ) -> Timer:
    """Returns a timer of a PyTorch function: seconds a call, over `share`.

    The first call of the timer makes and compiles the function.

    Args:
      maker: the module and function that makes it, such as `'training.task'`.
      calls: the number of calls that are timed at once.
      share: the part of JAX's work that one call does.
      arguments: the arguments of the maker.
    """
    request = {'maker': maker, 'calls': calls, 'arguments': arguments}
    return lambda: self.ask('time', **request)['seconds'] / (calls * share)


@dataclasses.dataclass
class Bench:
  """Settings of a measurement.

  Attributes:
    rounds: the number of times that each side is timed.
    platform: `'cpu'`, or `'gpu'` for the GPU of JAX and of PyTorch.
    torch_python: the path of a Python with PyTorch.
  """

  rounds: int = 5
  platform: str = 'cpu'
  torch_python: str = '.venv-torch/bin/python'

  @functools.cached_property
  def torch(self) -> Torch:
    """The PyTorch process, started at its first use."""
    return Torch(self.torch_python, self.platform)

  def times(self, timers: dict[str, Timer]) -> dict[str, list[float]]:
    """Returns the seconds of each timer by round; timers take turns.

    A first round, in which programs compile, does not count.
    """
    rounds: list[dict[str, float]] = [
      {name: timer() for name, timer in timers.items()}
      for _ in range(self.rounds + 1)
    ]
    return {name: [r[name] for r in rounds[1:]] for name in timers}

  def compare(
    self, what: str, timers: dict[str, Timer], goal: float | None = None
  ) -> list[Row]:
    """Compares the first timer with the others; `goal` is for the fastest."""
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
  """Returns a line of the table: the first side over the second, by round.

  Args:
    what: the name of the work.
    first: the name of the first side.
    second: the name of the second side.
    first_seconds: `[rounds]`.
    second_seconds: `[rounds]`.
    more: `goal`, the largest ratio that is wanted; `flops` of a step of the
      first side; `peak_share`, its share of a measured peak; `extra`, a dict.

  Returns:
    The arguments, and `ratio`, the median over the rounds, with `ratio_min` and
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
  """Returns the seconds of one call, until its results are computed."""
  start = time.perf_counter()
  jax.block_until_ready(function(*arguments))
  return time.perf_counter() - start
