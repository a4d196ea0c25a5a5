"""Leakage against releases, windows, and the attacker's share of the data."""

from typing import Any

import plotly.graph_objects as go

from hybrid_jax.report import rows, style

# Points behind which fewer recordings or classes stand say little.
FEW = 5


def releases(table: list[rows.Row], attribute: str) -> go.Figure:
  """Found against the number of averaged releases, beside the ceiling."""
  figure = go.Figure()
  own = [row for row in table if 'releases' in row]
  colours, names = style.colours(table), style.titles(own)
  counts = set()
  for i, (row, name) in enumerate(zip(own, names, strict=True)):
    curve = in_order(row['releases'][attribute]['by_count'])
    counts |= set(curve)
    _curve(figure, curve, name, colours[row['embedding']], i, len(own))
    if 'ceiling' in row:
      _ceiling(figure, row, attribute, name, colours[row['embedding']])
  if any('ceiling' in row for row in own):
    style.legend_line(figure, 'ceiling', dash='dash')
  found = own[0]['releases'][attribute]
  chance = next(iter(found['by_count'].values()))['chance']
  style.level(figure, chance, 'chance', 'dot')
  limit = f'limit, chance + {100 * found["limit"]:g} points'
  style.level(figure, chance + found['limit'], limit, 'dashdot')
  _log_axis(figure, counts)
  style.lay_out(figure, 'k, averaged releases of one input', _found(attribute))
  return figure


def windows(table: list[rows.Row], attribute: str, of: str) -> go.Figure:
  """Found against the number of windows that are added up.

  Args:
    table: the rows, of which those at the last split point are drawn.
    attribute: the sensitive label.
    of: `'recording'`, or `'class'` for windows of any recordings. Numbers that
      too few of these have are left out; all are hollow where all are few.
  """
  figure = go.Figure()
  own = [r for r in table if r['split_point'] == table[-1]['split_point']]
  colours, chance = style.colours(table), {}
  for i, row in enumerate(own):
    curve = _enough(in_order(row['leakage'][attribute]['by_windows'][of]))
    chance |= {k: f['chance'] for k, f in curve.items()}
    name = style.name_of(row['embedding'])
    _curve(figure, curve, name, colours[row['embedding']], i, len(own))
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
  whose = 'one recording' if of == 'recording' else f'one {attribute}'
  style.lay_out(figure, f'windows of {whose}, added up', _found(attribute))
  return figure


def attacker_data(table: list[rows.Row], attribute: str) -> go.Figure:
  """Found against the share of the training fold that an attacker has."""
  figure = go.Figure()
  own = [row for row in table if 'attacker_data' in row]
  colours, names = style.colours(table), style.titles(own)
  shares = set()
  for i, (row, name) in enumerate(zip(own, names, strict=True)):
    curve = in_order(row['attacker_data'][attribute]['by_share'])
    curve = {100 * share: found for share, found in curve.items()}
    shares |= set(curve)
    _curve(figure, curve, name, colours[row['embedding']], i, len(own))
  chance = own[0]['leakage'][attribute]['chance']
  style.level(figure, chance, 'chance', 'dot')
  _log_axis(figure, shares)
  style.lay_out(
    figure, 'share of every training recording, %', _found(attribute)
  )
  return figure


def in_order(curve: dict[str, Any]) -> dict[float, Any]:
  """A curve of a JSON file by number: its keys come as text, sorted so."""
  return {float(k): curve[k] for k in sorted(curve, key=float)}


def _enough(curve):
  return {k: f for k, f in curve.items() if f['groups'] >= FEW} or curve


def _found(attribute):
  return f'{attribute} found, %'


def _curve(figure, curve, name, colour, i, count):
  figures = list(curve.values())
  hollow = [f.get('groups', FEW) < FEW for f in figures]
  figure.add_trace(
    go.Scatter(
      x=style.separate(curve, i, count),
      y=[100 * f['value'] for f in figures],
      error_y=style.whiskers(figures),
      mode='lines+markers',
      name=name,
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


def _hover(name, k, found):
  behind = f'<br>{found["groups"]} behind it' if 'groups' in found else ''
  by = f'<br>by {found["adversary"]}' if 'adversary' in found else ''
  return (
    f'<b>{name}</b><br>at {k:g}: {100 * found["value"]:.1f} %'
    f' [{100 * found["low"]:.1f}, {100 * found["high"]:.1f}]{by}{behind}'
  )


def _ceiling(figure, row, attribute, name, colour):
  curve = in_order(row['ceiling'][attribute]['by_releases'])
  figure.add_trace(
    go.Scatter(
      x=list(curve),
      y=[100 * f['value'] for f in curve.values()],
      mode='lines+markers',
      line={'color': colour, 'dash': 'dash', 'width': 1.5},
      marker={'symbol': 'line-ew-open', 'size': 9, 'color': colour},
      showlegend=False,
      text=[
        f'<b>{name}, ceiling</b><br>at {k:g}: {100 * f["value"]:.1f} %, upper'
        f' end {100 * f["high"]:.1f} %'
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
