"""Names, colours, error bars and layout that all plots share."""

from collections.abc import Iterable, Mapping
from typing import Any

import markupsafe
import plotly.graph_objects as go
import plotly.io

# The palette of Okabe and Ito, which colour-blind readers can distinguish.
COLOURS = (
  '#000000',
  '#E69F00',
  '#0072B2',
  '#009E73',
  '#D55E00',
  '#CC79A7',
  '#56B4E9',
)
# Titles of the controls.
CONTROLS = {
  'raw': 'raw input',
  'noise': 'pure noise',
  'decision': 'the answer alone',
}
SYMBOLS = ('circle', 'square', 'diamond', 'cross', 'triangle-up', 'star')
INK, GREY = '#1d1d1f', '#777'
# Draws all figures of a page that holds Plotly's script.
DRAW = """
for (const element of document.querySelectorAll('.figure')) {
  const { data, layout } = JSON.parse(element.dataset.figure);
  Plotly.newPlot(element, data, layout, {
    responsive: true,
    displayModeBar: false,
  });
}
"""
_SHIFT = 0.05  # of a curve, as a share of the distance between two ticks


def title_of(row: Mapping[str, Any]) -> str:
  """Returns the title of a row's embedding; by default its name in words."""
  return row.get('title') or (row['embedding'] or '').replace('_', ' ')


def colours(table: list[dict[str, Any]]) -> dict[str, str]:
  """Returns a colour for each embedding, the same in all plots of a page."""
  places = {row['embedding']: row.get('place') for row in table}
  out = {
    name: COLOURS[place]
    for name, place in places.items()
    if place is not None and place < len(COLOURS)
  }
  free = [c for c in COLOURS if c not in out.values()] or list(COLOURS)
  others = [name for name in places if name not in out]
  return out | {name: free[i % len(free)] for i, name in enumerate(others)}


def titles(table: list[dict[str, Any]]) -> list[str]:
  """Returns a title for each row; with the split point if there are several."""
  several = len({row['split_point'] for row in table}) > 1
  return [
    (f'{row["split_point"]}, ' if several else '') + title_of(row)
    for row in table
  ]


def whiskers(figures: Iterable[dict[str, float]]) -> dict[str, Any]:
  """Returns Plotly's error bars from `low` to `high`, in per cent."""
  figures = list(figures)
  return {
    'type': 'data',
    'symmetric': False,
    'array': [100 * (f['high'] - f['value']) for f in figures],
    'arrayminus': [100 * (f['value'] - f['low']) for f in figures],
    'thickness': 1,
    'width': 2,
  }


def separate(
  x: Iterable[float], i: int, count: int, step: float = 2.0
) -> list[float]:
  """Shifts a curve on a log axis, so that error bars do not overlap.

  Args:
    x: the true positions of the points.
    i: the curve's index, from 0 to `count - 1`.
    count: the number of curves.
    step: the factor from one tick to the next.
  """
  return [value * step ** (_SHIFT * (i - (count - 1) / 2)) for value in x]


def level(figure: go.Figure, value: float, text: str, dash: str) -> None:
  """Draws a horizontal line at a share, and names it in the legend."""
  figure.add_hline(
    100 * value, line={'dash': dash, 'color': GREY, 'width': 1.3}
  )
  legend_line(figure, text, dash=dash, width=1.3)


def legend_line(figure: go.Figure, name: str, **line: Any) -> None:
  """Adds a legend entry for a style of line that several curves share."""
  figure.add_trace(
    go.Scatter(
      x=[None], y=[None], mode='lines', name=name, line={'color': GREY} | line
    )
  )


def legend_marker(
  figure: go.Figure, name: str, symbol: str, size: float = 9
) -> None:
  """Adds a legend entry for a shape or a size of markers."""
  figure.add_trace(
    go.Scatter(
      x=[None],
      y=[None],
      mode='markers',
      name=name,
      marker={'color': GREY, 'symbol': symbol, 'size': size},
    )
  )


def lay_out(figure: go.Figure, x: str, y: str, height: int = 480) -> None:
  """Sets the axis titles, the fonts, and a legend above the plot."""
  figure.update_layout(
    template='simple_white',
    xaxis_title=x,
    yaxis_title=y,
    legend={
      'orientation': 'h',
      'x': 0,
      'y': 1.02,
      'yanchor': 'bottom',
      'font': {'size': 12},
    },
    margin={'l': 56, 'r': 12, 't': 16, 'b': 48},
    height=height,
    font={'family': 'system-ui, sans-serif', 'size': 13},
    hoverlabel={'align': 'left'},
  )


def html(figure: go.Figure) -> markupsafe.Markup:
  """Returns a figure's element for a page; `DRAW` draws it there.

  All text of the figure is in an attribute, which is escaped, and nothing of it
  in a script.
  """
  return markupsafe.Markup(
    '<div class="figure" data-figure="{}"></div>'
  ).format(plotly.io.to_json(figure))


def plain(text: str) -> str:
  """Returns `text` so that Plotly shows it, and reads no tags in it."""
  return text.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')
