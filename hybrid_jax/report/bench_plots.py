"""Results of benchmarks: a table, as text and in Markdown, and a plot.

All functions take the rows of `benchmarks.timing.row`, each with its `suite`.
"""

import itertools
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import rich.table
from plotly import subplots

from hybrid_jax import errors, files
from hybrid_jax.report import style

Row = dict[str, Any]

_HEADINGS = (
  *('what', 'A', 'B', 'A, ms', 'B, ms', 'A / B', 'range', 'goal', 'note'),
)
_LINE, _HEAD = 22, 60  # heights of a line and of a suite's title, in pixels
_WIDTH = 1000
_LONG = 70  # maximum letters of a label in one line
_TICKS = [m * 10.0**e for e in range(-3, 4) for m in (1, 2, 5)]
_MET, _MISSED, _PLAIN = '#009E73', '#D55E00', '#0072B2'
_BROWSERS = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')


def table(rows: list[Row]) -> rich.table.Table:
  """Returns the rows as a table for the terminal."""
  out = rich.table.Table(*_HEADINGS)
  for line in _lines(rows):
    out.add_row(*line)
  return out


def markdown(rows: list[Row]) -> str:
  """Returns the rows as a table in GitHub's Markdown, as text.

  The columns are those of `table`. Repeated cells of `what` and `first` are
  left empty.
  """
  lines = [_HEADINGS, ('---',) * len(_HEADINGS), *_lines(rows)]
  return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _lines(rows):
  """Yields cells of text; a cell that repeats the line above is empty."""
  before = None
  for r in rows:
    a, b = (statistics.median(r[f'{k}_seconds']) for k in ('first', 'second'))
    new, before = r['what'] != before, r['what']
    goal = ''
    if r['goal']:
      goal = f'<= {r["goal"]:.2g}: {"met" if _met(r) else "missed"}'
    yield (
      *(r['what'] if new else '', r['first'] if new else '', r['second']),
      *(_four_digits(1e3 * a), _four_digits(1e3 * b), f'{r["ratio"]:.2f}'),
      f'{r["ratio_min"]:.2f} to {r["ratio_max"]:.2f}',
      goal,
      note(r, with_operations=new),
    )


def _four_digits(value):
  """Four digits, or all before the point: 0.1235, 12.35, 1235, 123457."""
  return f'{value:.0f}' if value >= 1000 else f'{value:.4g}'


def note(row: Row, with_operations: bool = True) -> str:
  """Returns the remark of a row.

  Args:
    row: the row, whose `extra` may have a `note`.
    with_operations: whether to add the number of operations of a step of the
      first side, and their share of the peak. They are the same for all rows of
      one benchmark.
  """
  parts = []
  if with_operations and 'flops' in row:
    parts.append(f'{row["flops"] / 1e9:.3g} GFLOP')
  if with_operations and 'peak_share' in row:
    parts.append(f'{row["peak_share"]:.0%} of the peak')
  if remark := row.get('extra', {}).get('note'):
    parts.append(remark)
  return '; '.join(parts)


def _met(row):
  return row['ratio'] <= row['goal']


def drawn(rows: list[Row]) -> list[Row]:
  """Returns the rows that compare two sides; rows of growth are left out."""
  return [r for r in rows if 'exponent' not in r.get('extra', {})]


def plot(rows: list[Row]) -> go.Figure:
  """Draws the ratios and their ranges on a log axis, one panel for each suite.

  Raises:
    UserError: no row compares two sides.
  """
  rows = drawn(rows)
  if not rows:
    raise errors.UserError('there is no ratio to draw.')
  by_suite = {
    suite: _Panel(list(of_suite))
    for suite, of_suite in itertools.groupby(rows, lambda r: r['suite'])
  }
  counts = [len(panel.labels) for panel in by_suite.values()]
  height = sum(_LINE * n + _HEAD for n in counts) + _HEAD
  figure = subplots.make_subplots(
    rows=len(counts),
    cols=1,
    shared_xaxes=True,
    subplot_titles=list(by_suite),
    row_heights=counts,
    vertical_spacing=_HEAD / height if len(counts) > 1 else 0,
  )
  for place, panel in enumerate(by_suite.values(), start=1):
    panel.draw(figure, {'row': place, 'col': 1})
  style.lay_out(figure, '', '', height)
  figure.update_layout(
    margin={'l': 12, 'r': 24, 't': 40, 'b': 48}, showlegend=False, width=_WIDTH
  )
  figure.update_annotations(x=0, xanchor='left', font={'size': 15})
  figure.update_xaxes(type='log', showgrid=True, tickvals=_TICKS)
  figure.update_xaxes(title='time of A over B (bars: goals)', row=len(counts))
  return figure


class _Panel:
  """Panel of a suite: a line for each row, and headings of benchmarks."""

  def __init__(self, rows):
    self.labels, self.rows = [], []  # each row with its line's number
    for what, group in itertools.groupby(rows, lambda r: r['what']):
      same_work = list(group)
      head = f'<b>{what}</b>: {same_work[0]["first"]}'
      label = f'{head} over {same_work[0]["second"]}'
      if len(same_work) == 1 and len(label) < _LONG:
        self.rows.append((len(self.labels), same_work[0]))
        self.labels.append(label)
        continue
      self.labels.append(head)
      for r in same_work:
        self.rows.append((len(self.labels), r))
        self.labels.append(f'over {r["second"]}')

  def draw(self, figure, place):
    colours = [
      _PLAIN if not r['goal'] else _MET if _met(r) else _MISSED
      for _, r in self.rows
    ]
    for (at, r), colour in zip(self.rows, colours, strict=True):
      ends = {'x': [r['ratio_min'], r['ratio_max']], 'y': [at, at]}
      line = {'color': colour, 'width': 3}
      figure.add_scatter(**ends, mode='lines', line=line, **place)
    figure.add_scatter(
      x=[r['ratio'] for _, r in self.rows],
      y=[at for at, _ in self.rows],
      mode='markers',
      marker={'color': colours, 'size': 11},
      text=[f'{r["ratio"]:.2f}<br>{note(r)}' for _, r in self.rows],
      hovertemplate='%{text}<extra></extra>',
      **place,
    )
    bar = {'width': 2, 'color': style.INK}
    figure.add_scatter(
      x=[r['goal'] for _, r in self.rows if r['goal']],
      y=[at for at, r in self.rows if r['goal']],
      mode='markers',
      marker={'symbol': 'line-ns', 'size': 16, 'line': bar},
      hoverinfo='skip',
      **place,
    )
    # After the traces: Plotly draws no line in an empty panel.
    figure.add_vline(1, line={'color': style.INK, 'width': 1}, **place)
    figure.update_yaxes(
      tickvals=list(range(len(self.labels))),
      ticktext=self.labels,
      range=[len(self.labels) - 0.5, -0.5],
      **place,
    )


def check_path(path: Path) -> None:
  """Checks that `write_plot` can write this file.

  Raises:
    UserError: the ending is unknown, or a PNG file needs a browser.
  """
  if path.suffix not in ('.html', '.png'):
    raise errors.UserError(f'{path} must end in .html or .png.')
  if path.suffix == '.png' and not browser():
    raise errors.UserError(
      f'{path} needs one of {", ".join(_BROWSERS)}; .html needs none.'
    )


def write_plot(figure: go.Figure, path: Path) -> None:
  """Writes an HTML page, or a PNG picture by a headless browser."""
  page = figure.to_html(config={'displayModeBar': False}).encode()
  if path.suffix == '.html':
    files.write_bytes(path, page)
    return
  with tempfile.TemporaryDirectory() as folder:
    html, picture = Path(folder, 'page.html'), Path(folder, 'page.png')
    html.write_bytes(page)
    subprocess.run(
      [
        browser(),
        *('--headless', '--no-sandbox', '--hide-scrollbars'),
        f'--user-data-dir={folder}/profile',
        f'--window-size={_WIDTH + 16},{figure.layout.height + 16}',
        f'--screenshot={picture}',
        html.as_uri(),
      ],
      check=True,
      capture_output=True,
    )
    files.write_bytes(path, picture.read_bytes())


def browser() -> str:
  """Returns the path of a headless browser, or an empty text."""
  return next(filter(None, map(shutil.which, _BROWSERS)), '')
