"""Measures the time in which JAX traces, compiles, or reads compiled programs.

Several threads can compile at the same time. Such a time counts once. The
programs are counted too.
"""

import time
from collections.abc import Iterable
from typing import Any

import jax

Span = tuple[float, float]  # start and end, in seconds

_EVENTS = '/jax/core/compile/'
_PROGRAM = '/jax/core/compile/backend_compile_duration'


class CompileTimer:
  """Measures how long this process has been compiling.

  Attributes:
    programs: names of the programs that were compiled, or read from the
      compilation cache, in order.
  """

  def __init__(self):
    """Starts to measure."""
    self._spans: list[Span] = []
    self.programs: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(self._note)

  def seconds(self) -> float:
    """Returns the seconds of compiling until now."""
    return total_length(list(self._spans))

  def _note(self, event: str, duration_secs: float, **more: Any) -> None:
    if event == _PROGRAM:
      self.programs.append(str(more.get('fun_name', '')))
    if event.startswith(_EVENTS):
      now = time.perf_counter()
      self._spans.append((now - duration_secs, now))


def total_length(spans: Iterable[Span]) -> float:
  """Returns the length of the union of spans, in seconds."""
  total, done = 0.0, float('-inf')
  for start, end in sorted(spans):
    total += max(0.0, end - max(start, done))
    done = max(done, end)
  return total
