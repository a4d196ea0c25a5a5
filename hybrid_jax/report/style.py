"""What all pictures of the page share: names, colours, whiskers, layout."""

from collections.abc import Iterable
from typing import Any

import plotly.graph_objects as go
import plotly.io

NAMES = {
  'simple': 'simple',
  'reduced': 'reduced simple',
  'siamese': 'Siamese',
  'reduced_siamese': 'reduced Siamese',
  'noisy_reduced_siamese': 'noisy reduced Siamese',
  'bounded': 'bounded',
  'snapped': 'snapped',
}
# Okabe and Ito's colours, which most colour-blind readers can tell apart.
COLOURS = (
  '#000000',
  '#E69F00',
  '#0072B2',
  '#009E73',
  '#D55E00',
  '#CC79A7',
  '#56B4E9',
)
SYMBOLS = ('circle', 'square', 'diamond', 'cross', 'triangle-up', 'star')
INK, GREY = '#1d1d1f', '#777'
_APART = 0.05  # share of the distance from one tick to the next


def name_of(embedding: str) -> str:
  """An embedding's name for people."""
  return NAMES.get(embedding, embedding)


def colours(table: list[dict[str, Any]]) -> dict[str, str]:
  """Each embedding's colour, the same in every picture of a page."""
  found = list(dict.fromkeys(row['embedding'] for row in table))
  of_name = dict(zip(NAMES, COLOURS, strict=True))
  out = {name: of_name[name] for name in found if name in of_name}
  free = [c for c in COLOURS if c not in out.values()] or list(COLOURS)
  own = [name for name in found if name not in of_name]
  return out | {name: free[i % len(free)] for i, name in enumerate(own)}


def titles(table: list[dict[str, Any]]) -> list[str]:
  """Each row's name, with its split point where there are several."""
  several = len({row['split_point'] for row in table}) > 1
  return [
    (f'{row["split_point"]}, ' if several else '') + name_of(row['embedding'])
    for row in table
  ]


def whiskers(figures: Iterable[dict[str, float]]) -> dict[str, Any]:
  """Error bars from `low` to `high`, in per cent."""
  figures = list(figures)
  return {
    'type': 'data',
    'symmetric': False,
    'array': [100 * (f['high'] - f['value']) for f in figures],
    'arrayminus': [100 * (f['value'] - f['low']) for f in figures],
    'thickness': 1,
    'width': 2,
  }


def apart(
  x: Iterable[float], i: int, count: int, step: float = 2.0
) -> list[float]:
  """Moves a curve's points on a log axis, so that whiskers do not hide.

  Args:
    x: where the points belong.
    i: which of `count` curves it is.
    count: how many curves there are.
    step: the factor from one tick to the next.
  """
  return [value * step ** (_APART * (i - (count - 1) / 2)) for value in x]


def level(figure: go.Figure, value: float, text: str, dash: str) -> None:
  """A horizontal line at a share; the legend, where there is room, names it."""
  figure.add_hline(
    100 * value, line={'dash': dash, 'color': GREY, 'width': 1.3}
  )
  key(figure, text, dash=dash, width=1.3)


def key(figure: go.Figure, name: str, **line: Any) -> None:
  """An entry of the legend for a kind of line that several curves have."""
  figure.add_trace(
    go.Scatter(
      x=[None], y=[None], mode='lines', name=name, line={'color': GREY} | line
    )
  )


def marker_key(
  figure: go.Figure, name: str, symbol: str, size: float = 9
) -> None:
  """An entry of the legend for a shape of marker, or a size."""
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
  """Axes' names, and the legend above, where it pushes the plot down."""
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


def html(figure: go.Figure, name: str) -> str:
  """A figure's HTML; the page itself holds plotly's program."""
  return plotly.io.to_html(
    figure,
    include_plotlyjs=False,
    full_html=False,
    div_id=name,
    config={'responsive': True, 'displayModeBar': False},
  )
