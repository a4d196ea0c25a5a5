"""Benchmarks as a table, for a terminal and in Markdown, and as a picture.

Rows are those of `benchmarks.timing.row`, each with its `suite`.
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
_LINE, _HEAD = 22, 60  # pixels: of a row, around each suite's
_WIDTH = 1000
_LONG = 70  # letters of a label
_TICKS = [m * 10.0**e for e in range(-3, 4) for m in (1, 2, 5)]
_MET, _MISSED, _PLAIN = '#009E73', '#D55E00', '#0072B2'
_BROWSERS = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')


def table(rows: list[Row]) -> rich.table.Table:
  """The rows, for a terminal."""
  out = rich.table.Table(*_HEADINGS)
  for line in _lines(rows):
    out.add_row(*line)
  return out


def markdown(rows: list[Row]) -> str:
  """The rows as a table of GitHub's Markdown."""
  lines = [_HEADINGS, ('---',) * len(_HEADINGS), *_lines(rows)]
  return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _lines(rows):
  """Cells of text; what is as in the line before is left out."""
  before = None
  for r in rows:
    a, b = (statistics.median(r[f'{k}_seconds']) for k in ('first', 'second'))
    new, before = r['what'] != before, r['what']
    goal = ''
    if r['goal']:
      goal = f'<= {r["goal"]:.2g}: {"met" if _met(r) else "missed"}'
    yield (
      *(r['what'] if new else '', r['first'] if new else '', r['second']),
      *(f'{1e3 * a:.4g}', f'{1e3 * b:.4g}', f'{r["ratio"]:.2f}'),
      f'{r["ratio_min"]:.2f} to {r["ratio_max"]:.2f}',
      goal,
      note(r, whole=new),
    )


def note(row: Row, whole: bool = True) -> str:
  """What a row says besides its ratio: the `note` of its `extra`.

  If `whole`, before it what is the same for all rows of one work: operations of
  the first side's step, and their share of the peak.
  """
  parts = []
  if whole and 'flops' in row:
    parts.append(f'{row["flops"] / 1e9:.3g} GFLOP')
  if whole and 'peak_share' in row:
    parts.append(f'{row["peak_share"]:.0%} of the peak')
  if said := row.get('extra', {}).get('note'):
    parts.append(said)
  return '; '.join(parts)


def _met(row):
  return row['ratio'] <= row['goal']


def drawn(rows: list[Row]) -> list[Row]:
  """The rows that compare two sides: those of growth have an `exponent`."""
  return [r for r in rows if 'exponent' not in r.get('extra', {})]


def plot(rows: list[Row]) -> go.Figure:
  """Each ratio of `drawn` with its range, on a log axis, by suite; 1 is marked.

  Raises:
    UserError: there is none.
  """
  rows = drawn(rows)
  if not rows:
    raise errors.UserError('there is no ratio to draw.')
  by_suite = {
    suite: _Panel(list(found))
    for suite, found in itertools.groupby(rows, lambda r: r['suite'])
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
  """A suite's lines: where one is not enough for a work, it has a heading."""

  def __init__(self, rows):
    self.labels, self.rows = [], []  # rows with the line each is at
    for what, found in itertools.groupby(rows, lambda r: r['what']):
      found = list(found)
      head = f'<b>{what}</b>: {found[0]["first"]}'
      alone = f'{head} over {found[0]["second"]}'
      if len(found) == 1 and len(alone) < _LONG:
        self.rows.append((len(self.labels), found[0]))
        self.labels.append(alone)
        continue
      self.labels.append(head)
      for r in found:
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
    # Last: a panel without traces would be left out.
    figure.add_vline(1, line={'color': style.INK, 'width': 1}, **place)
    figure.update_yaxes(
      tickvals=list(range(len(self.labels))),
      ticktext=self.labels,
      range=[len(self.labels) - 0.5, -0.5],
      **place,
    )


def check_path(path: Path) -> None:
  """Raises `UserError` unless `write_plot` can write such a file here."""
  if path.suffix not in ('.html', '.png'):
    raise errors.UserError(f'{path} must end in .html or .png.')
  if path.suffix == '.png' and not _browser():
    raise errors.UserError(
      f'{path} needs one of {", ".join(_BROWSERS)}; .html needs none.'
    )


def write_plot(figure: go.Figure, path: Path) -> None:
  """Writes a page, or a picture of one that a headless browser draws."""
  page = figure.to_html(config={'displayModeBar': False}).encode()
  if path.suffix == '.html':
    files.write_bytes(path, page)
    return
  with tempfile.TemporaryDirectory() as folder:
    own, picture = Path(folder, 'page.html'), Path(folder, 'page.png')
    own.write_bytes(page)
    subprocess.run(
      [
        _browser(),
        *('--headless', '--no-sandbox', '--hide-scrollbars'),
        f'--user-data-dir={folder}/profile',
        f'--window-size={_WIDTH + 16},{figure.layout.height + 16}',
        f'--screenshot={picture}',
        own.as_uri(),
      ],
      check=True,
      capture_output=True,
    )
    files.write_bytes(path, picture.read_bytes())


def _browser():
  return next(filter(None, map(shutil.which, _BROWSERS)), '')
