import io
import types

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
  assert first == 'a run: 0/2 steps, 0 steps/s, inf s left'
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
