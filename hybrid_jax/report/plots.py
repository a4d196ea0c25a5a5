"""The trade-off between utility and leakage, as a picture to hover over."""

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
  """Utility against how often `attribute` is found, with 95 % intervals.

  Colour tells the embedding, shape the split point; a ring marks the
  recommended point, lines the chance level and the controls, and a band goes
  from what the best attacker found to the ceiling, where that is below 1.
  """
  figure = go.Figure()
  colours = style.colours(table)
  cuts = list(dict.fromkeys(row['split_point'] for row in table))
  _bands(figure, table, attribute, colours)
  for embedding in dict.fromkeys(row['embedding'] for row in table):
    own = [row for row in table if row['embedding'] == embedding]
    symbols = [_symbol(cuts, row['split_point']) for row in own]
    _points(figure, own, attribute, colours[embedding], symbols)
  for cut in cuts:
    style.legend_marker(figure, f'cut at {cut}', _symbol(cuts, cut))
  _mark(figure, table, point, attribute, colours)
  for value, text in _levels(table, controls, attribute):
    figure.add_vline(
      100 * value,
      line={'dash': 'dash', 'color': '#999', 'width': 1},
      opacity=1,
    )
    figure.add_annotation(
      x=100 * value,
      y=0,
      yref='paper',
      text=text,
      textangle=-90,
      showarrow=False,
      xanchor='right',
      yanchor='bottom',
      font={'size': 11, 'color': '#666'},
    )
  style.lay_out(figure, f'{attribute} found, %', 'utility, %', 620)
  return figure


def _symbol(cuts, cut):
  return style.SYMBOLS[cuts.index(cut) % len(style.SYMBOLS)]


def _points(figure, own, attribute, colour, symbols):
  leaks = [row['leakage'][attribute] for row in own]
  utilities = [row['utility'] for row in own]
  name = style.name_of(own[0]['embedding'])
  figure.add_trace(
    go.Scatter(
      x=[100 * f['value'] for f in leaks],
      y=[100 * f['value'] for f in utilities],
      error_x=style.whiskers(leaks),
      error_y=style.whiskers(utilities),
      mode='markers',
      name=name,
      marker={'color': colour, 'symbol': symbols, 'size': 11},
      text=[_hover(row, attribute) for row in own],
      hovertemplate='%{text}<extra></extra>',
    )
  )


def _hover(row, attribute):
  found = row['leakage'][attribute]
  text = (
    f'<b>{row["split_point"]}, {style.name_of(row["embedding"])}</b><br>'
    f'utility {100 * row["utility"]["value"]:.1f} %<br>{attribute} found'
    f' {100 * found["value"]:.1f} %<br>by {found["adversary"]}'
  )
  if 'ceiling' in row:
    limit = row['ceiling'][attribute]['value']
    text += f'<br>ceiling {100 * limit:.1f} %'
  return text


def _bands(figure, table, attribute, colours):
  """From the best attacker to the ceiling; one entry in the legend for all."""
  limited = [
    row
    for row in table
    if 'ceiling' in row and row['ceiling'][attribute]['value'] < 1
  ]
  for row in limited:
    ends = (row[m][attribute]['value'] for m in ('leakage', 'ceiling'))
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
  if limited:
    style.legend_line(figure, 'up to the ceiling', width=_BAND, color='#bbb')


def _levels(table, controls, attribute):
  """Where the marks of reference stand; those that coincide share a label."""
  marks = [(table[0]['leakage'][attribute]['chance'], 'chance')]
  for name, text in (('decision', 'answer alone'), ('raw', 'raw input')):
    if name in controls:
      marks.append((controls[name]['leakage'][attribute]['value'], text))
  levels = []
  for value, text in sorted(marks):
    if levels and value - levels[-1][0] < 0.02:
      levels[-1] = (levels[-1][0], f'{levels[-1][1]}, {text}')
    else:
      levels.append((value, text))
  return levels


def _mark(figure, table, point, attribute, colours):
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
