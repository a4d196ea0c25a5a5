"""Plots of leakage against releases, windows and the attacker's data."""

from typing import Any

import plotly.graph_objects as go

from hybrid_jax import files
from hybrid_jax.report import rows, style

# Figures over fewer recordings or classes than this are drawn hollow.
FEW = 5


def releases(table: list[rows.Row], attribute: str) -> go.Figure:
  """Draws accuracy against the number of averaged releases, and the ceiling."""
  figure = go.Figure()
  measured = [row for row in table if 'releases' in row]
  colours, titles = style.colours(table), style.titles(measured)
  counts = set()
  for i, (row, title) in enumerate(zip(measured, titles, strict=True)):
    colour = colours[row['embedding']]
    curve = sort_keys(row['releases'][attribute]['by_count'])
    counts |= set(curve)
    _curve(figure, curve, title, colour, i, len(measured))
    if 'ceiling' in row:
      curve = sort_keys(row['ceiling'][attribute]['by_releases'])
      counts |= set(curve)
      _ceiling(figure, curve, title, colour)
  if any('ceiling' in row for row in measured):
    style.legend_line(figure, 'ceiling', dash='dash')
  figures = measured[0]['releases'][attribute]
  chance = next(iter(figures['by_count'].values()))['chance']
  style.level(figure, chance, 'chance', 'dot')
  limit = figures['limit']
  text = f'limit: chance + {100 * limit:g} points'
  style.level(figure, chance + limit, text, 'dashdot')
  _log_axis(figure, counts)
  style.lay_out(
    figure, 'averaged releases of one input', _axis_title(attribute)
  )
  return figure


def windows(table: list[rows.Row], attribute: str, of: str) -> go.Figure:
  """Draws accuracy against the number of windows that are combined.

  Counts that fewer than `FEW` groups have are left out. If no count has so many
  groups, all are drawn, with hollow points.

  Args:
    table: the rows; those at the last split point are drawn.
    attribute: the sensitive label.
    of: the group of windows: `'recording'`, or `'class'` for windows of one
      class from any recording.
  """
  figure = go.Figure()
  last = [r for r in table if r['split_point'] == table[-1]['split_point']]
  colours, chance = style.colours(table), {}
  for i, row in enumerate(last):
    curve = sort_keys(row['leakage'][attribute]['by_windows'][of])
    curve = {k: f for k, f in curve.items() if f['groups'] >= FEW} or curve
    chance |= {k: f['chance'] for k, f in curve.items()}
    name = style.title_of(row)
    _curve(figure, curve, name, colours[row['embedding']], i, len(last))
  counts = sorted(chance)
  figure.add_trace(
    go.Scatter(
      x=counts,
      y=[100 * chance[k] for k in counts],
      mode='lines',
      name='chance',
      line={'color': style.GREY, 'dash': 'dot', 'width': 1},
      hovertemplate='chance %{y:.1f} %<extra></extra>',
    )
  )
  _log_axis(figure, counts)
  group = 'one recording' if of == 'recording' else f'one {attribute}'
  style.lay_out(
    figure, f'combined windows of {style.plain(group)}', _axis_title(attribute)
  )
  return figure


def attacker_data(table: list[rows.Row], attribute: str) -> go.Figure:
  """Draws accuracy against the attacker's share of the training fold."""
  figure = go.Figure()
  measured = [row for row in table if 'attacker_data' in row]
  colours, titles = style.colours(table), style.titles(measured)
  shares = set()
  for i, (row, title) in enumerate(zip(measured, titles, strict=True)):
    curve = sort_keys(row['attacker_data'][attribute]['by_share'])
    curve = {100 * share: figures for share, figures in curve.items()}
    shares |= set(curve)
    _curve(figure, curve, title, colours[row['embedding']], i, len(measured))
  chance = measured[0]['leakage'][attribute]['chance']
  style.level(figure, chance, 'chance', 'dot')
  _log_axis(figure, shares)
  style.lay_out(
    figure, 'share of every training recording, %', _axis_title(attribute)
  )
  return figure


def sort_keys(curve: dict[str, Any]) -> dict[float, Any]:
  """Returns a curve of JSON with its keys as numbers, in their order."""
  return {float(k): curve[k] for k in files.by_number(curve)}


def _axis_title(attribute):
  return f'{style.plain(attribute)} found, %'


def _curve(figure, curve, name, colour, i, count):
  figures = list(curve.values())
  hollow = [f.get('groups', FEW) < FEW for f in figures]
  figure.add_trace(
    go.Scatter(
      x=style.separate(curve, i, count),
      y=[100 * f['value'] for f in figures],
      error_y=style.whiskers(figures),
      mode='lines+markers',
      name=style.plain(name),
      line={'color': colour, 'width': 1.5},
      marker={
        'size': 7,
        'color': ['#fff' if few else colour for few in hollow],
        'line': {'color': colour, 'width': 1.5},
      },
      text=[_hover(name, k, f) for k, f in curve.items()],
      hovertemplate='%{text}<extra></extra>',
    )
  )


def _hover(name, k, figures):
  groups = f'<br>over {figures["groups"]} groups' if 'groups' in figures else ''
  by = f'<br>by {figures["adversary"]}' if 'adversary' in figures else ''
  return (
    f'<b>{style.plain(name)}</b><br>at {k:g}: {100 * figures["value"]:.1f} %'
    f' [{100 * figures["low"]:.1f}, {100 * figures["high"]:.1f}]{by}{groups}'
  )


def _ceiling(figure, curve, name, colour):
  figure.add_trace(
    go.Scatter(
      x=list(curve),
      y=[100 * f['high'] for f in curve.values()],
      mode='lines+markers',
      line={'color': colour, 'dash': 'dash', 'width': 1.5},
      marker={'symbol': 'line-ew-open', 'size': 9, 'color': colour},
      showlegend=False,
      text=[
        f'<b>{style.plain(name)}, ceiling</b><br>'
        f'at {k:g}: {100 * f["high"]:.1f} %'
        for k, f in curve.items()
      ],
      hovertemplate='%{text}<extra></extra>',
    )
  )


def _log_axis(figure, ticks):
  ticks = sorted(ticks)
  figure.update_xaxes(
    type='log',
    tickvals=ticks,
    ticktext=[f'{tick:g}' for tick in ticks],
    minor={'ticks': ''},
  )
