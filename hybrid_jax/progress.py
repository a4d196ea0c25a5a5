"""Progress: a bar with rate and ETA on a terminal, plain lines in a log."""

import sys
import time
from typing import Any, TextIO

import tqdm

_LINE_EVERY_SECONDS = 10.0
# Set by `silence`.
_silent = False


class Progress:
  """Counts units of work towards a total. Use it as a context manager."""

  def __init__(
    self,
    label: str,
    total: int,
    initial: int = 0,
    unit: str = 'step',
    stream: TextIO | None = None,
  ):
    """Starts counting at `initial` of `total` `unit`s, onto standard error."""
    stream = stream or sys.stderr
    self._label, self._total, self._done = label, total, initial
    self._unit, self._stream = unit, stream
    self._start, self._initial, self._last = time.monotonic(), initial, 0.0
    self._bar = (
      tqdm.tqdm(
        desc=label,
        total=total,
        initial=initial,
        unit=unit,
        file=stream,
        dynamic_ncols=True,
      )
      if stream.isatty() and not _silent
      else None
    )

  def __enter__(self) -> 'Progress':
    return self

  def __exit__(self, *unused: Any) -> None:
    if self._bar is not None:
      self._bar.close()

  def advance(self, units: int, **values: float | str) -> None:
    """Adds `units` done, and shows `values` beside them."""
    self._done += units
    if _silent:
      return
    if self._bar is not None:
      self._bar.set_postfix(values, refresh=False)
      self._bar.update(units)
      return
    now = time.monotonic()
    if self._done < self._total and now - self._last < _LINE_EVERY_SECONDS:
      return
    self._last = now
    elapsed = max(now - self._start, 1e-9)
    rate = (self._done - self._initial) / elapsed
    left = (self._total - self._done) / rate if rate else float('inf')
    shown = ''.join(
      f' {name}={value:.4g}' if isinstance(value, float) else f' {name}={value}'
      for name, value in values.items()
    )
    print(
      f'{self._label}: {self._done}/{self._total} {self._unit}s,'
      f' {rate:.3g} {self._unit}s/s, {left:.0f} s left{shown}',
      file=self._stream,
      flush=True,
    )


def say(message: str) -> None:
  """One plain line on standard error, between bars."""
  if _silent:
    return
  tqdm.tqdm.write(message, file=sys.stderr)
  sys.stderr.flush()


def silence() -> None:
  """Shows nothing more: another process speaks for this one."""
  global _silent
  _silent = True
