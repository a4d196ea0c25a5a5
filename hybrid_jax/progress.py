"""Progress bars, log lines and tables on the terminal.

A bar with rate and remaining time on a terminal, plain lines in a log. Within
`overall`, the remaining time is that of the whole work.
"""

import contextlib
import io
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

import rich.console
import rich.progress
import rich.table
import rich.text

_LINE_EVERY_SECONDS = 10.0
_REFRESH_PER_SECOND = 4
# Of the work; before that no remaining time is shown.
_LEAST_SHARE = 0.07
# Set by `silence`.
_silent = False
# Set by `overall`.
_overall: '_Overall | None' = None


class Estimator:
  """Estimates how long some stages still take, from their planned costs.

  A cost is a number of seconds on some machine. The scale, seconds per cost, is
  measured: in the current stage for the rest of this stage, and in all work
  that was done for the later stages.

  Attributes:
    scale: seconds per cost of all work that was done.
  """

  def __init__(
    self, plan: Mapping[str, Mapping[str, tuple[float, float]]], scale: float
  ):
    """Starts before the first stage.

    Args:
      plan: stage to its parts, in order; a part has a unit, the number of units
        and the cost of all of them. A stage that counts nothing has the unit
        `''` once.
      scale: what is expected before anything was measured.
    """
    self._left = {
      stage: {unit: [units, cost] for unit, (units, cost) in parts.items()}
      for stage, parts in plan.items()
    }
    self._total = sum(cost for p in plan.values() for _, cost in p.values())
    self._prior, self._stage = scale, ''
    self._done = self._seconds = 0.0
    self._stage_done = self._started = 0.0
    self._tasks: dict[object, tuple[float, float, int]] = {}

  def start(self, stage: str) -> None:
    """Begins a stage."""
    self._stage, self._started = stage, time.monotonic()
    self._stage_done = 0.0

  def finish(self) -> None:
    """Ends the current stage; what is left of it was not needed."""
    self.advance('', 1.0)
    left = self._left.pop(self._stage, {})
    self._total -= sum(cost for _, cost in left.values())
    self._done += self._stage_done
    self._seconds += time.monotonic() - self._started
    self._stage, self._stage_done = '', 0.0

  def advance(self, unit: str, units: float, is_new: bool = True) -> None:
    """Counts units of the current stage; an earlier run may have done them."""
    part = self._left.get(self._stage, {}).get(unit)
    if part is None or part[0] <= 0:
      return
    cost = part[1] * min(1.0, units / part[0])
    part[0], part[1] = max(0.0, part[0] - units), part[1] - cost
    if is_new:
      self._stage_done += cost
    else:
      self._total -= cost

  def begin(self, task: object, cost: float, workers: int) -> None:
    """Notes that a task runs in the current stage, as one of `workers`."""
    self._tasks[task] = (time.monotonic(), cost, workers)

  def end(self, task: object) -> None:
    """Counts a task as done."""
    _, cost, _ = self._tasks.pop(task)
    self.advance('task', cost)

  @property
  def scale(self) -> float:
    """Seconds per cost, with a little weight of what was expected."""
    weight = 0.02 * self._total
    running = time.monotonic() - self._started if self._stage else 0.0
    done = self._done + self._stage_done + self._in_flight(self._prior)
    seconds = self._seconds + running + weight * self._prior
    return seconds / max(done + weight, 1e-9)

  def _in_flight(self, scale):
    """The cost of the running tasks that is probably done."""
    return sum(self._credit(*task, scale) for task in self._tasks.values())

  def _credit(self, start, cost, workers, scale):
    """The part of a running task's cost that is probably done."""
    seconds = time.monotonic() - start
    return min(0.75 * cost, seconds / max(scale * workers, 1e-9))

  def _stage_scale(self):
    scale = self.scale
    left = sum(cost for _, cost in self._left.get(self._stage, {}).values())
    weight = 0.1 * (left + self._stage_done)
    done = self._stage_done + self._in_flight(scale)
    running = time.monotonic() - self._started
    return (running + weight * scale) / max(done + weight, 1e-9)

  def share(self) -> float:
    """Returns the share of the whole work that is done, 0 to 1."""
    done = self._done + self._stage_done + self._in_flight(self.scale)
    return min(1.0, done / self._total) if self._total else 1.0

  def seconds_left(self) -> float | None:
    """Returns the seconds that are left; `None` before it means something."""
    if self.share() < _LEAST_SHARE:
      return None
    now = later = 0.0
    for stage, parts in self._left.items():
      cost = sum(cost for _, cost in parts.values())
      if stage == self._stage:
        now = max(0.0, cost - self._in_flight(self.scale))
      else:
        later += cost
    if now:
      scale = self._stage_scale()
      # At the end of a stage its last tasks do not fill the workers.
      longest = max(
        (
          (cost - self._credit(start, cost, workers, scale)) * workers
          for start, cost, workers in self._tasks.values()
        ),
        default=0.0,
      )
      now = max(now, longest) * scale
    return now + later * self.scale


class _Overall:
  """The bar of the whole work, and the estimate behind it."""

  def __init__(self, label, estimator, stream):
    self.estimator, self.lock = estimator, threading.RLock()
    self.last, self._label = float('-inf'), label
    self.bar = _bar(stream) if stream.isatty() and not _silent else None
    if self.bar is not None:
      self.bar.add_task(label, total=1.0, completed=0.0, status=self.status)
      self.bar.start()

  def status(self):
    with self.lock:
      left = self.estimator.seconds_left()
    return '' if left is None else f'{_duration(left)} left'

  def text(self):
    """The text of a log line."""
    with self.lock:
      share = self.estimator.share()
    status = self.status()
    return f'{self._label} {share:.0%}' + (f', {status}' if status else '')

  def refresh(self):
    if self.bar is not None:
      with self.lock:
        share = self.estimator.share()
      self.bar.update(self.bar.task_ids[0], completed=share)


@contextlib.contextmanager
def overall(
  label: str, estimator: Estimator, stream: TextIO | None = None
) -> Iterator[None]:
  """Shows one bar for all work within, beside the bars of its stages.

  Args:
    label: the name of the whole work.
    estimator: of this work; the caller starts and finishes its stages.
    stream: where to write; standard error by default.
  """
  global _overall
  _overall = _Overall(label, estimator, stream or sys.stderr)
  try:
    yield
  finally:
    if _overall.bar is not None:
      _overall.bar.stop()
    _overall = None


@contextlib.contextmanager
def task(cost: float, workers: int) -> Iterator[None]:
  """Counts a task of the current stage within `overall`, also while it runs.

  Args:
    cost: its planned cost, in units of `'task'`.
    workers: the number of tasks that run at once.
  """
  whole, token = _overall, object()
  if whole is None:
    yield
    return
  with whole.lock:
    whole.estimator.begin(token, cost, workers)
  try:
    yield
  finally:
    with whole.lock:
      whole.estimator.end(token)


def _duration(seconds):
  """`45 s`, `3 min` or `1 h 5 min`."""
  if seconds < 120:
    return f'{seconds:.0f} s'
  minutes = round(seconds / 60)
  if minutes < 120:
    return f'{minutes} min'
  return f'{minutes // 60} h {minutes % 60} min'


class Progress:
  """Counts units of work towards a total. Use it as a context manager."""

  def __init__(
    self,
    label: str,
    total: int,
    initial: int = 0,
    unit: str = 'step',
    stream: TextIO | None = None,
    weight: int = 1,
  ):
    """Starts the count.

    Args:
      label: the name of the work.
      total: the number of units of the whole work.
      initial: the number of units that an earlier run has done; they do not
        count towards the rate.
      unit: the unit's name in the singular.
      stream: where to write; standard error by default.
      weight: how many planned units of `overall` one of these stands for.
    """
    stream = stream or sys.stderr
    self._label, self._total, self._done = label, total, initial
    self._unit, self._stream = unit, stream
    self._start, self._initial, self._last = time.monotonic(), initial, 0.0
    self._weight, self._whole, self._bar = weight, _overall, None
    if self._whole is not None:
      self._bar = self._whole.bar
      with self._whole.lock:
        self._whole.estimator.advance(unit, initial * weight, is_new=False)
    elif stream.isatty() and not _silent:
      self._bar = _bar(stream)
      self._bar.start()
    if self._bar is not None:
      self._task = self._bar.add_task(
        label, total=total, completed=initial, status=''
      )

  def __enter__(self) -> 'Progress':
    return self

  def __exit__(self, *unused: Any) -> None:
    if self._bar is None:
      return
    if self._whole is not None:
      self._bar.remove_task(self._task)
    else:
      self._bar.stop()

  def advance(self, units: int, **values: float | str) -> None:
    """Adds `units` to the count, and shows `values` beside it."""
    self._done += units
    if self._whole is not None:
      with self._whole.lock:
        self._whole.estimator.advance(self._unit, units * self._weight)
    if _silent:
      return
    if self._bar is not None:
      self._bar.update(
        self._task, completed=self._done, status=self._status(values)
      )
      if self._whole is not None:
        self._whole.refresh()
    elif self._is_due():
      print(
        f'{self._label}: {self._status(values)}', file=self._stream, flush=True
      )

  def _is_due(self):
    """Whether to write a line: at most one in some seconds, of all bars."""
    now = time.monotonic()
    if self._whole is not None:
      with self._whole.lock:
        if now - self._whole.last < _LINE_EVERY_SECONDS:
          return False
        self._whole.last = now
      return True
    if self._done < self._total and now - self._last < _LINE_EVERY_SECONDS:
      return False
    self._last = now
    return True

  def _status(self, values):
    elapsed = max(time.monotonic() - self._start, 1e-9)
    rate = (self._done - self._initial) / elapsed
    if self._whole is not None:
      left = '' if self._bar is not None else f', {self._whole.text()}'
    elif self._done - self._initial < 0.1 * (self._total - self._initial):
      left = ''  # Too early to know.
    else:
      left = f', {_duration((self._total - self._done) / rate)} left'
    texts = ''.join(
      f' {name}={value:.4g}' if isinstance(value, float) else f' {name}={value}'
      for name, value in values.items()
    )
    return (
      f'{self._done}/{self._total} {self._unit}s,'
      f' {rate:.3g} {self._unit}s/s{left}{texts}'
    )


class _Status(rich.progress.ProgressColumn):
  """A task's status: a text, or a function that returns it."""

  max_refresh = 0.5

  def render(self, task: rich.progress.Task) -> rich.text.Text:
    status = task.fields['status']
    return rich.text.Text(status() if callable(status) else status)


def _bar(stream):
  return rich.progress.Progress(
    rich.progress.TextColumn(
      '{task.description}: {task.percentage:>3.0f}%', markup=False
    ),
    rich.progress.BarColumn(bar_width=20),
    # Only this text is cut where the terminal is narrow.
    _Status(table_column=rich.table.Column(no_wrap=True, ratio=1)),
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
