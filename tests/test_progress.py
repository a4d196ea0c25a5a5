import io
import types

import numpy as np
import pytest
import rich.table

from hybrid_jax import progress


@pytest.fixture
def clock(monkeypatch):
  """A clock that a test sets."""
  clock = types.SimpleNamespace(now=5000.0)
  monkeypatch.setattr(
    progress, 'time', types.SimpleNamespace(monotonic=lambda: clock.now)
  )
  return clock


def test_lines_have_rate_and_remaining_time(clock):
  stream = io.StringIO()
  with progress.Progress('a run', 100, stream=stream) as bar:
    clock.now += 20
    bar.advance(40, loss=0.123456, target='x')
    clock.now += 40
    bar.advance(20)
  # 40 in 20 s, and 60 at 2 a second; then 60 in 60 s, and 40 at 1.
  assert stream.getvalue().splitlines() == [
    'a run: 40/100 steps, 2 steps/s, 30 s left loss=0.1235 target=x',
    'a run: 60/100 steps, 1 steps/s, 40 s left',
  ]


def test_earlier_units_do_not_count_towards_the_rate(clock):
  stream = io.StringIO()
  with progress.Progress('a run', 90, 70, 'target', stream) as bar:
    clock.now += 4
    bar.advance(10)
  assert stream.getvalue() == (
    'a run: 80/90 targets, 2.5 targets/s, 4 s left\n'
  )


def test_a_line_every_ten_seconds_and_at_the_end(clock):
  stream = io.StringIO()
  with progress.Progress('a run', 40, stream=stream) as bar:
    for _ in range(40):
      clock.now += 1
      bar.advance(1)
  done = [line.split()[2] for line in stream.getvalue().splitlines()]
  assert done == ['1/40', '11/40', '21/40', '31/40', '40/40']


def test_no_division_by_zero_elapsed_time(clock):
  stream = io.StringIO()
  with progress.Progress('a run', 2, stream=stream) as bar:
    bar.advance(0)
    bar.advance(2)
  first, last = stream.getvalue().splitlines()
  assert first == 'a run: 0/2 steps, 0 steps/s'  # Too early to know.
  assert last.startswith('a run: 2/2 steps')
  assert last.endswith(', 0 s left')


class Terminal(io.StringIO):
  """A stream that says it is a terminal."""

  def isatty(self) -> bool:
    return True


def test_a_bar_on_a_terminal():
  stream = Terminal()
  with progress.Progress('a run', 3, 1, stream=stream) as bar:
    bar.advance(2, loss=0.5)
  text = stream.getvalue()
  assert '\r' in text
  assert 'a run:  33%' in text
  assert 'a run: 100%' in text
  assert '3/3' in text
  assert 'steps/s' in text
  assert 'loss=0.5' in text


def test_a_line_above_a_bar(monkeypatch):
  stream = Terminal()
  monkeypatch.setattr('sys.stderr', stream)
  with progress.Progress('a run', 3) as bar:
    bar.advance(1)
    progress.say('[bold]a line[/bold] :smile:')
    bar.advance(2)
  assert '\x1b[2K[bold]a line[/bold] :smile:\n' in stream.getvalue()
  assert 'a run: 100%' in stream.getvalue().splitlines()[-2]


def test_text_of_tables_and_lines(monkeypatch):
  monkeypatch.delenv('COLUMNS', raising=False)
  table = rich.table.Table('label [a]', 'value')
  table.add_row('[b]', ':smile:')
  text = progress.render_text(table, 'a line', fallback_width=40)
  assert text == (
    '┏━━━━━━━━━━━┳━━━━━━━━━┓\n'
    '┃ label [a] ┃ value   ┃\n'
    '┡━━━━━━━━━━━╇━━━━━━━━━┩\n'
    '│ [b]       │ :smile: │\n'
    '└───────────┴─────────┘\n'
    'a line\n'
  )


def test_standard_error_by_default(capsys):
  with progress.Progress('a run', 1) as bar:
    bar.advance(1)
  progress.say('a message')
  out, err = capsys.readouterr()
  assert out == ''
  lines = err.splitlines()
  assert lines[0].startswith('a run: 1/1 steps')
  assert lines[1] == 'a message'


# Stage to unit, number, planned cost; as `study.stage_costs` plans the studies
# of `configs/watch.py`.
_TASKS = {
  f'{measure}{i}': cost
  for i in range(25)
  for measure, cost in (('leakage', 8.0), ('ceiling', 1.5), ('ranks', 0.5))
}
_PLAN = {
  'train': {'step': (800, 17.0)},
  'siamese': {'step': (2400, 40.0)},
  'defend': {'step': (1100, 37.0)},
  'release': {'embedding': (22, 14.0)},
  'attack': {'task': (250.0, 250.0)},
  'grid': {'step': (22500, 660.0), 'training': (27, 92.0)},
  'export': {'split point': (4, 17.0)},
  'report': {'': (1, 5.0)},
}


def _simulate(estimator, clock, seconds, rng):
  """Runs a study; yields the time at each event, and the estimate.

  Args:
    estimator: of `_PLAN`.
    clock: which the study moves on.
    seconds: stage to what it takes, in place of what is planned.
    rng: of the tasks' times, half to twice of what is planned.
  """
  for stage, total in seconds.items():
    start = clock.now
    estimator.start(stage)
    if stage == 'attack':
      works = {t: c * rng.uniform(0.5, 2) for t, c in _TASKS.items()}
      unit = total / sum(works.values())
      waiting, running = list(works), []
      while waiting or running:
        while waiting and len(running) < 4:
          task = waiting.pop(0)
          estimator.begin(task, _TASKS[task], 4)
          running.append([works[task] * unit * 4, task])
        # Events between the ends of tasks, too.
        step = min(min(running)[0], 5.0)
        clock.now += step
        for each in running:
          each[0] -= step
        for each in [r for r in running if r[0] <= 1e-9]:
          running.remove(each)
          estimator.end(each[1])
        yield clock.now, estimator.seconds_left()
    else:
      parts = _PLAN[stage]
      planned = sum(cost for _, cost in parts.values())
      for unit, (count, cost) in parts.items():
        for _ in range(8 if unit else 1):
          clock.now += total * cost / planned / (8 if unit else 1)
          estimator.advance(unit, count / 8)
          yield clock.now, estimator.seconds_left()
    clock.now = max(clock.now, start + total)
    estimator.finish()


_STUDY = ('train', 'siamese', 'defend', 'release', 'attack', 'export', 'report')
_TIMES = {
  'cold': (21, 43, 26, 26, 400, 20, 6),
  'warm': (17, 38, 20, 14, 150, 17, 5),
  'as planned': (17, 40, 37, 14, 250, 17, 5),
  'three times slower': (51, 120, 111, 42, 750, 51, 15),
  'half-cold attacks': (21, 43, 26, 26, 300, 20, 6),
}


@pytest.mark.parametrize('case', [*_TIMES, 'with a grid'])
@pytest.mark.parametrize('seed', range(3))
def test_the_estimate_is_true_within_a_factor_of_two(clock, case, seed):
  seconds = dict(zip(_STUDY, _TIMES.get(case, _TIMES['cold']), strict=True))
  if case == 'with a grid':
    seconds['grid'] = 674
    seconds = {stage: seconds[stage] for stage in _PLAN}
  plan = {stage: _PLAN[stage] for stage in seconds}
  estimator = progress.Estimator(plan, 1.0)
  start = clock.now
  events = list(
    _simulate(estimator, clock, seconds, np.random.default_rng(seed))
  )
  total = clock.now - start
  shown = 0
  for now, estimate in events:
    left = total - (now - start)
    if now - start >= 0.1 * total and left > 0.03 * total:
      shown += 1
      assert estimate is not None, (now - start, total)
      assert left / 2 <= estimate <= 2 * left, (now - start, total, estimate)
  assert shown > 30
  assert estimator.share() == pytest.approx(1)


def test_nothing_is_said_too_early_and_work_of_an_earlier_run_is_no_rate(clock):
  plan = {'one': {'step': (100, 10.0)}, 'two': {'step': (100, 90.0)}}
  estimator = progress.Estimator(plan, 1.0)
  estimator.start('one')
  clock.now += 5
  estimator.advance('step', 50)
  assert estimator.seconds_left() is None
  clock.now += 5
  estimator.advance('step', 50)
  estimator.finish()
  estimator.start('two')
  assert estimator.seconds_left() == pytest.approx(90)
  # Half of it was done before: 45 are left, and no time was needed.
  estimator.advance('step', 50, is_new=False)
  assert estimator.seconds_left() == pytest.approx(45)
  assert estimator.share() == pytest.approx(10 / 55)
  # What the plan does not know counts nothing.
  estimator.advance('page', 3)
  assert estimator.seconds_left() == pytest.approx(45)
  # A stage that ends early had less to do.
  estimator.finish()
  assert estimator.seconds_left() == 0


def test_lines_of_a_whole_are_ten_seconds_apart(clock):
  stream = io.StringIO()
  estimator = progress.Estimator({'one': {'step': (100, 100.0)}}, 1.0)
  estimator.start('one')
  with progress.overall('study', estimator, stream):
    for label in ('first', 'second'):
      with progress.Progress(label, 50, stream=stream) as bar:
        for _ in range(50):
          clock.now += 1
          bar.advance(1)
    with progress.task(1.0, 2):
      pass
  lines = stream.getvalue().splitlines()
  assert lines[0] == 'first: 1/50 steps, 1 steps/s, study 1%'
  assert lines[1] == 'first: 11/50 steps, 1 steps/s, study 11%, 89 s left'
  assert lines[-1].startswith('second: 41/50 steps, ')
  assert len(lines) == 10
  # Outside, a bar tells its own time again.
  with progress.Progress('third', 2, stream=stream) as bar:
    clock.now += 3
    bar.advance(1)
  assert stream.getvalue().splitlines()[-1].endswith('steps/s, 3 s left')


def test_the_whole_and_its_stage_on_a_terminal(clock):
  stream = Terminal()
  estimator = progress.Estimator({'one': {'step': (4, 8.0)}}, 1.0)
  estimator.start('one')
  with (
    progress.overall('study', estimator, stream),
    progress.Progress('first', 1, stream=stream, weight=2) as bar,
  ):
    clock.now += 4
    bar.advance(1)
  text = stream.getvalue()
  assert 'study:  50%' in text
  assert '4 s left' in text
  assert 'first:   0%' in text
