"""Plot and table rows of a grid of trainings: utility against leakage."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from hybrid_jax import plugins
from hybrid_jax.report import style

# The Siamese loss is no plug-in; its title and colour are its embedding's.
_SIAMESE, _SIAMESE_TITLE = 'siamese', 'Siamese'
_SIAMESE_COLOUR = style.COLOURS[2]


def method_title(method: str) -> str:
  """Returns the name of a method for people."""
  if method == _SIAMESE:
    return _SIAMESE_TITLE
  return plugins.title('defence', method)


def title(label: str, grid: dict[str, Any]) -> str:
  """Returns the name of a training for people.

  Args:
    label: the training's.
    grid: see `grid.summarise`.
  """
  training = grid['trainings'][label]
  out = method_title(training['method'])
  for name in ('weight', 'margin'):
    if training[name] is not None:
      out += f', {name} {training[name]:g}'
  return out


def front(grid: dict[str, Any]) -> go.Figure:
  """Plots utility against the worst label's advantage, means over seeds.

  Args:
    grid: see `grid.summarise`.
  """
  figure = go.Figure()
  table = grid['table']
  labels = list(dict.fromkeys(row['method'] for row in table))
  methods = [grid['trainings'][label]['method'] for label in labels]
  for i, (label, method) in enumerate(zip(labels, methods, strict=True)):
    # Trainings of one method differ in their symbol.
    symbol = style.SYMBOLS[methods[:i].count(method) % len(style.SYMBOLS)]
    _add_curve(figure, label, grid, symbol, _colour(method, i))
  _add_front(figure, table)
  _add_operating_point(figure, grid)
  style.level(figure, grid['wanted_utility'], 'wanted utility', 'dashdot')
  if abs(grid['simple_utility'] - grid['wanted_utility']) > 0.001:
    style.level(
      figure, grid['simple_utility'], 'simple features, no noise', 'dot'
    )
  style.lay_out(
    figure,
    "worst label's advantage, %<br>(its way from chance to certainty)",
    'utility, %',
    620,
  )
  return figure


def methods(grid: dict[str, Any]) -> list[dict[str, Any]]:
  """Returns one row for each method: its operating point, or its best utility.

  Args:
    grid: see `grid.summarise`.

  Returns:
    Rows with `name`; `point`, a row of the grid's table; `reaches`, whether its
    utility on validation is the wanted one; `hypervolume`; and `chosen`,
    whether it is the operating point of the grid.
  """
  out = []
  for method, matched in grid['matched'].items():
    if matched is None:
      point = max(
        (
          row
          for row in grid['table']
          if grid['trainings'][row['method']]['method'] == method
        ),
        key=lambda row: row['validation_utility'],
      )
    else:
      point = find(grid['table'], matched)
    out.append(
      {
        'name': title(point['method'], grid),
        'point': point,
        'reaches': matched is not None,
        'hypervolume': grid['hypervolume'][method],
        'chosen': matched is not None and matched == grid['operating_point'],
      }
    )
  return sorted(
    out, key=lambda r: (not r['reaches'], r['point']['advantage']['value'])
  )


def find(table: list[dict[str, Any]], point: dict[str, Any]) -> dict[str, Any]:
  """Returns the row of a table with a point's `method` and `noise`."""
  return next(
    row for row in table if all(row[name] == point[name] for name in point)
  )


def _colour(method, i):
  if method == _SIAMESE:
    return _SIAMESE_COLOUR
  default = style.COLOURS[i % len(style.COLOURS)]
  return plugins.colour('defence', method) or default


def _percent(rows, name):
  return [100 * row[name]['value'] for row in rows]


def _add_curve(figure, label, grid, symbol, colour):
  """Adds a training's points, larger with more noise, joined by a line."""
  levels = sorted({row['noise'] for row in grid['table']})
  sizes = np.linspace(7, 14, len(levels)) if len(levels) > 1 else [10.0]
  rows = sorted(
    (row for row in grid['table'] if row['method'] == label),
    key=lambda row: row['noise'],
  )
  name = title(label, grid)
  figure.add_trace(
    go.Scatter(
      x=_percent(rows, 'advantage'),
      y=_percent(rows, 'utility'),
      error_x=style.whiskers(row['advantage'] for row in rows),
      error_y=style.whiskers(row['utility'] for row in rows),
      mode='lines+markers',
      name=style.plain(name),
      line={'color': colour, 'width': 1},
      marker={
        'color': colour,
        'size': [float(sizes[levels.index(row['noise'])]) for row in rows],
        'symbol': symbol,
      },
      text=[_hover(name, row) for row in rows],
      hovertemplate='%{text}<extra></extra>',
    )
  )


def _add_front(figure, table):
  rows = sorted(
    (row for row in table if row['front']),
    key=lambda row: row['advantage']['value'],
  )
  figure.add_trace(
    go.Scatter(
      x=_percent(rows, 'advantage'),
      y=_percent(rows, 'utility'),
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


def _add_operating_point(figure, grid):
  if grid['operating_point'] is None:
    return
  row = find(grid['table'], grid['operating_point'])
  figure.add_trace(
    go.Scatter(
      x=_percent([row], 'advantage'),
      y=_percent([row], 'utility'),
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


def _hover(name, row):
  leaks = ''.join(
    f'<br>{style.plain(label)} found {100 * figures["value"]:.1f} %'
    for label, figures in row['leakage'].items()
  )
  return (
    f'<b>{style.plain(name)}, noise {row["noise"]:g}</b>'
    f'<br>utility {100 * row["utility"]["value"]:.1f} %'
    f'<br>advantage {100 * row["advantage"]["value"]:.1f} %{leaks}'
  )
