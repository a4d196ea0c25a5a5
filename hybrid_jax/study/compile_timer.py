"""How long JAX has been tracing and compiling, or reading what it had compiled.

Threads compile at the same time: a moment in which several do counts once.
"""

import time
from collections.abc import Iterable
from typing import Any

import jax

Span = tuple[float, float]

_EVENTS = '/jax/core/compile/'


class Watch:
  """Notes when this process compiles, from the moment when it is made."""

  def __init__(self):
    self._spans: list[Span] = []
    jax.monitoring.register_event_duration_secs_listener(self._note)

  def seconds(self) -> float:
    """In how much of the time until now something was being compiled."""
    return covered(list(self._spans))

  def _note(self, event: str, duration_secs: float, **_: Any) -> None:
    if event.startswith(_EVENTS):
      now = time.perf_counter()
      self._spans.append((now - duration_secs, now))


def covered(spans: Iterable[Span]) -> float:
  """How long at least one of some spans, each a start and an end, lasts."""
  total, done = 0.0, float('-inf')
  for start, end in sorted(spans):
    total += max(0.0, end - max(start, done))
    done = max(done, end)
  return total
