"""Interactive plots of utility against leakage."""

from typing import Any

import plotly.graph_objects as go

from hybrid_jax.report import rows, style

_BAND = 7  # pixels


def trade_off(
  table: list[rows.Row],
  controls: dict[str, Any],
  point: dict[str, str],
  attribute: str,
) -> go.Figure:
  """Draws utility against the best attacker's accuracy, with 95 % intervals.

  The colour shows the embedding, the shape the split point. A ring marks the
  recommended point. Vertical lines mark chance and the controls. A band joins
  each point with its ceiling, where the ceiling is below 1.

  Args:
    table: see `results.gather`.
    controls: see `results.controls`.
    point: see `rows.recommend`.
    attribute: the sensitive label that is attacked.
  """
  figure = go.Figure()
  colours = style.colours(table)
  cuts = list(dict.fromkeys(row['split_point'] for row in table))
  _bands(figure, table, attribute, colours)
  for embedding in dict.fromkeys(row['embedding'] for row in table):
    rows_of_embedding = [row for row in table if row['embedding'] == embedding]
    _points(figure, rows_of_embedding, attribute, colours[embedding], cuts)
  for cut in cuts:
    style.legend_marker(figure, f'cut at {cut}', _symbol(cuts, cut))
  _ring(figure, table, point, attribute, colours)
  for value, text in _levels(table, controls, attribute):
    figure.add_vline(
      100 * value,
      line={'dash': 'dash', 'color': '#999', 'width': 1},
      opacity=1,
    )
    figure.add_annotation(
      x=100 * value,
      y=0,  # At the top, the points would hide it.
      yref='paper',
      text=text,
      textangle=-90,
      showarrow=False,
      xanchor='left',
      yanchor='bottom',
      font={'size': 11, 'color': '#666'},
    )
  style.lay_out(figure, f'{style.plain(attribute)} found, %', 'utility, %', 620)
  return figure


def _symbol(cuts, cut):
  return style.SYMBOLS[cuts.index(cut) % len(style.SYMBOLS)]


def _points(figure, table, attribute, colour, cuts):
  leakage = [row['leakage'][attribute] for row in table]
  utility = [row['utility'] for row in table]
  name = style.plain(style.title_of(table[0]))
  symbols = [_symbol(cuts, row['split_point']) for row in table]
  figure.add_trace(
    go.Scatter(
      x=[100 * f['value'] for f in leakage],
      y=[100 * f['value'] for f in utility],
      error_x=style.whiskers(leakage),
      error_y=style.whiskers(utility),
      mode='markers',
      name=name,
      marker={'color': colour, 'symbol': symbols, 'size': 11},
      text=[_hover(row, attribute) for row in table],
      hovertemplate='%{text}<extra></extra>',
    )
  )


def _hover(row, attribute):
  leakage = row['leakage'][attribute]
  text = (
    f'<b>{row["split_point"]}, {style.plain(style.title_of(row))}</b><br>'
    f'utility {100 * row["utility"]["value"]:.1f} %<br>'
    f'{style.plain(attribute)} found {100 * leakage["value"]:.1f} %<br>'
    f'by {leakage["adversary"]}'
  )
  if 'ceiling' in row:
    limit = row['ceiling'][attribute]['high']
    text += f'<br>ceiling {100 * limit:.1f} %'
  return text


def _bands(figure, table, attribute, colours):
  """Draws bands from the best attacker to the ceiling."""
  bounded = [
    row
    for row in table
    if 'ceiling' in row and row['ceiling'][attribute]['high'] < 1
  ]
  for row in bounded:
    best, limit = row['leakage'][attribute], row['ceiling'][attribute]
    ends = (best['value'], limit['high'])
    figure.add_trace(
      go.Scatter(
        x=[100 * end for end in ends],
        y=[100 * row['utility']['value']] * 2,
        mode='lines',
        line={'color': colours[row['embedding']], 'width': _BAND},
        opacity=0.25,
        showlegend=False,
        hoverinfo='skip',
      )
    )
  if bounded:
    style.legend_line(figure, 'up to the ceiling', width=_BAND, color='#bbb')


def _levels(table, controls, attribute):
  """Returns the vertical lines' values and texts; close lines share one."""
  lines = [(table[0]['leakage'][attribute]['chance'], 'chance')]
  for name in ('decision', 'raw'):
    if name in controls:
      value = controls[name]['leakage'][attribute]['value']
      lines.append((value, style.CONTROLS[name]))
  levels = []
  for value, text in sorted(lines):
    if levels and value - levels[-1][0] < 0.02:
      levels[-1] = (levels[-1][0], f'{levels[-1][1]}, {text}')
    else:
      levels.append((value, text))
  return levels


def _ring(figure, table, point, attribute, colours):
  chosen = rows.find(table, point)
  figure.add_trace(
    go.Scatter(
      x=[100 * chosen['leakage'][attribute]['value']],
      y=[100 * chosen['utility']['value']],
      mode='markers',
      name='recommended',
      marker={
        'symbol': 'circle-open',
        'size': 26,
        'color': colours[chosen['embedding']],
        'line': {'width': 3},
      },
      hoverinfo='skip',
    )
  )
