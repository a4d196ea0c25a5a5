"""Progress bars, log lines and tables on the terminal.

A bar with rate and remaining time on a terminal, plain lines in a log.
"""

import io
import shutil
import sys
import time
from typing import Any, TextIO

import rich.console
import rich.progress
import rich.table

_LINE_EVERY_SECONDS = 10.0
_REFRESH_PER_SECOND = 4
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
    """Starts the count.

    Args:
      label: the name of the work.
      total: the number of units of the whole work.
      initial: the number of units that an earlier run has done; they do not
        count towards the rate.
      unit: the unit's name in the singular.
      stream: where to write; standard error by default.
    """
    stream = stream or sys.stderr
    self._label, self._total, self._done = label, total, initial
    self._unit, self._stream = unit, stream
    self._start, self._initial, self._last = time.monotonic(), initial, 0.0
    self._bar = _bar(stream) if stream.isatty() and not _silent else None
    if self._bar is not None:
      self._bar.add_task(label, total=total, completed=initial, status='')
      self._bar.start()

  def __enter__(self) -> 'Progress':
    return self

  def __exit__(self, *unused: Any) -> None:
    if self._bar is not None:
      self._bar.stop()

  def advance(self, units: int, **values: float | str) -> None:
    """Adds `units` to the count, and shows `values` beside it."""
    self._done += units
    if _silent:
      return
    if self._bar is not None:
      self._bar.update(
        self._bar.task_ids[0],
        completed=self._done,
        status=self._status(values),
      )
      return
    now = time.monotonic()
    if self._done < self._total and now - self._last < _LINE_EVERY_SECONDS:
      return
    self._last = now
    print(
      f'{self._label}: {self._status(values)}', file=self._stream, flush=True
    )

  def _status(self, values):
    elapsed = max(time.monotonic() - self._start, 1e-9)
    rate = (self._done - self._initial) / elapsed
    left = (self._total - self._done) / rate if rate else float('inf')
    texts = ''.join(
      f' {name}={value:.4g}' if isinstance(value, float) else f' {name}={value}'
      for name, value in values.items()
    )
    return (
      f'{self._done}/{self._total} {self._unit}s,'
      f' {rate:.3g} {self._unit}s/s, {left:.0f} s left{texts}'
    )


def _bar(stream):
  return rich.progress.Progress(
    rich.progress.TextColumn(
      '{task.description}: {task.percentage:>3.0f}%', markup=False
    ),
    rich.progress.BarColumn(bar_width=20),
    rich.progress.TextColumn(
      '{task.fields[status]}',
      markup=False,
      # Only this text is cut where the terminal is narrow.
      table_column=rich.table.Column(no_wrap=True, ratio=1),
    ),
    console=rich.console.Console(file=stream),
    expand=True,
    refresh_per_second=_REFRESH_PER_SECOND,
    # Otherwise output for a pipe would land on the terminal.
    redirect_stdout=False,
  )


def say(message: str) -> None:
  """Writes one plain line to standard error, above any bar."""
  if not _silent:
    print(message, file=sys.stderr, flush=True)


def silence() -> None:
  """Turns all output of this module off in this process.

  In a run of several processes only the first one reports.
  """
  global _silent
  _silent = True


def render_text(
  *parts: rich.console.RenderableType, fallback_width: int = 160
) -> str:
  """Returns tables and lines as plain text.

  Args:
    *parts: rich tables, or lines of text without markup.
    fallback_width: the width in characters where there is no terminal.
  """
  stream = io.StringIO()
  console = rich.console.Console(
    file=stream,
    width=shutil.get_terminal_size((fallback_width, 24)).columns,
    markup=False,
    emoji=False,
    highlight=False,
  )
  for part in parts:
    console.print(part)
  return stream.getvalue()
