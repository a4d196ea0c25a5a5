"""Defences side by side: a picture of their front, and a table's rows."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from hybrid_jax.report import style

METHODS = {
  'bounded': 'bounded',
  'contrastive': 'Siamese (contrastive)',
  'dpfe': 'DPFE',
  'gradient_reversal': 'gradient reversal',
  'max_entropy': 'maximum entropy',
  'distance_correlation': 'distance correlation',
  'noise_alone': 'noise alone',
}
# Where a method is an embedding's, the embedding's colour.
_COLOURS = dict(zip(METHODS, (5, 2, 1, 4, 3, 6, 0), strict=True))


def name_of(method: str) -> str:
  """A method's name for people; `NAME@WEIGHT` tells its weight."""
  name, _, weight = method.partition('@')
  return METHODS.get(name, name) + (f', weight {weight}' if weight else '')


def front(rivals: dict[str, Any]) -> go.Figure:
  """Utility against the worst label's advantage, means over seeds."""
  figure = go.Figure()
  table = rivals['table']
  levels = sorted({row['noise'] for row in table})
  methods = list(dict.fromkeys(row['method'] for row in table))
  for i, method in enumerate(methods):
    own = [row for row in table if row['method'] == method]
    # Of several weights of a method each has another symbol.
    before = [m.partition('@')[0] for m in methods[:i]]
    symbol = style.SYMBOLS[
      before.count(method.partition('@')[0]) % len(style.SYMBOLS)
    ]
    _method(figure, own, i, symbol, levels)
  best = sorted(
    (row for row in table if row['front']),
    key=lambda row: row['advantage']['value'],
  )
  figure.add_trace(
    go.Scatter(
      x=[100 * row['advantage']['value'] for row in best],
      y=[100 * row['utility']['value'] for row in best],
      mode='lines+markers',
      name='front: nothing beats these',
      line={'color': style.INK, 'width': 1.2, 'dash': 'dash', 'shape': 'hv'},
      marker={
        'symbol': 'circle-open',
        'size': 20,
        'color': style.INK,
        'line': {'width': 1.5},
      },
      hoverinfo='skip',
    )
  )
  _mark(figure, rivals)
  style.level(figure, rivals['wanted_utility'], 'wanted utility', 'dashdot')
  if abs(rivals['simple_utility'] - rivals['wanted_utility']) > 0.001:
    style.level(
      figure, rivals['simple_utility'], 'simple features, no noise', 'dot'
    )
  style.lay_out(
    figure,
    "worst label's advantage, %<br>(its way from chance to certainty)",
    'utility, %',
    620,
  )
  return figure


def listed(rivals: dict[str, Any]) -> list[dict[str, Any]]:
  """One row for each method: its operating point, or its best utility.

  Each has `name`, `point`, a row of the rivals' table, `reaches`, whether
  the utility on validation is the wanted one there, `hypervolume`, and
  `chosen`, whether it is the operating point of all.
  """
  out = []
  for method, matched in rivals['matched'].items():
    own = [
      row
      for row in rivals['table']
      if row['method'].partition('@')[0] == method
    ]
    point = (
      max(own, key=lambda row: row['validation_utility'])
      if matched is None
      else _find(own, matched)
    )
    out.append(
      {
        'name': name_of(point['method']),
        'point': point,
        'reaches': matched is not None,
        'hypervolume': rivals['hypervolume'][method],
        'chosen': matched is not None and matched == rivals['operating_point'],
      }
    )
  return sorted(
    out, key=lambda r: (not r['reaches'], r['point']['advantage']['value'])
  )


def _find(table, point):
  return next(
    row for row in table if all(row[name] == point[name] for name in point)
  )


def _method(figure, own, i, symbol, levels):
  """A method's points, larger with more noise, and a line through them."""
  own = sorted(own, key=lambda row: row['noise'])
  method = own[0]['method']
  colour = style.COLOURS[
    _COLOURS.get(method.partition('@')[0], i) % len(style.COLOURS)
  ]
  sizes = np.linspace(7, 14, len(levels)) if len(levels) > 1 else [10.0]
  figure.add_trace(
    go.Scatter(
      x=[100 * row['advantage']['value'] for row in own],
      y=[100 * row['utility']['value'] for row in own],
      error_x=style.whiskers(row['advantage'] for row in own),
      error_y=style.whiskers(row['utility'] for row in own),
      mode='lines+markers',
      name=name_of(method),
      line={'color': colour, 'width': 1},
      marker={
        'color': colour,
        'size': [float(sizes[levels.index(row['noise'])]) for row in own],
        'symbol': symbol,
      },
      text=[_hover(row) for row in own],
      hovertemplate='%{text}<extra></extra>',
    )
  )


def _hover(row):
  leaks = ''.join(
    f'<br>{label} found {100 * f["value"]:.1f} %'
    for label, f in row['leakage'].items()
  )
  return (
    f'<b>{name_of(row["method"])}, noise times {row["noise"]:g}</b>'
    f'<br>utility {100 * row["utility"]["value"]:.1f} %'
    f'<br>advantage {100 * row["advantage"]["value"]:.1f} %{leaks}'
  )


def _mark(figure, rivals):
  if rivals['operating_point'] is None:
    return
  row = _find(rivals['table'], rivals['operating_point'])
  figure.add_trace(
    go.Scatter(
      x=[100 * row['advantage']['value']],
      y=[100 * row['utility']['value']],
      mode='markers',
      name='operating point',
      marker={
        'symbol': 'star',
        'size': 15,
        'color': '#F0E442',
        'line': {'color': style.INK, 'width': 1},
      },
      hoverinfo='skip',
    )
  )
