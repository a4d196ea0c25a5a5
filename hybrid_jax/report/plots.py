"""The trade-off between utility and leakage, as a picture to hover over."""

from typing import Any

import plotly.graph_objects as go

from hybrid_jax.report import rows

NAMES = {
  'simple': 'simple',
  'reduced': 'reduced simple',
  'siamese': 'Siamese',
  'reduced_siamese': 'reduced Siamese',
  'noisy_reduced_siamese': 'noisy reduced Siamese',
}
# Okabe and Ito's colours, which most colour-blind readers can tell apart.
_COLOURS = ('#000000', '#E69F00', '#0072B2', '#009E73', '#D55E00', '#CC79A7')
_SYMBOLS = ('circle', 'square', 'diamond', 'cross', 'triangle-up', 'star')


def trade_off(
  table: list[rows.Row],
  controls: dict[str, Any],
  point: dict[str, str],
  attribute: str,
) -> go.Figure:
  """Utility against how often `attribute` is found, with 95 % intervals.

  Colour tells the embedding, shape the split point; a ring marks the
  recommended point, and lines the chance level and the controls.
  """
  figure = go.Figure()
  embeddings = list(dict.fromkeys(row['embedding'] for row in table))
  cuts = list(dict.fromkeys(row['split_point'] for row in table))
  for i, embedding in enumerate(embeddings):
    own = [row for row in table if row['embedding'] == embedding]
    leaks = [row['leakage'][attribute] for row in own]
    utilities = [row['utility'] for row in own]
    figure.add_trace(
      go.Scatter(
        x=[100 * f['value'] for f in leaks],
        y=[100 * f['value'] for f in utilities],
        error_x=_whiskers(leaks),
        error_y=_whiskers(utilities),
        mode='markers',
        name=NAMES.get(embedding, embedding),
        marker={
          'color': _COLOURS[i % len(_COLOURS)],
          'symbol': [
            _SYMBOLS[cuts.index(row['split_point']) % len(_SYMBOLS)]
            for row in own
          ],
          'size': 11,
        },
        text=[
          f'<b>{row["split_point"]}, {NAMES.get(embedding, embedding)}</b><br>'
          f'utility {100 * row["utility"]["value"]:.1f} %<br>{attribute} found'
          f' {100 * f["value"]:.1f} %<br>by {f["adversary"]}'
          for row, f in zip(own, leaks, strict=True)
        ],
        hovertemplate='%{text}<extra></extra>',
      )
    )
  for i, cut in enumerate(cuts):
    figure.add_trace(
      go.Scatter(
        x=[None],
        y=[None],
        mode='markers',
        name=f'cut at {cut}',
        marker={
          'color': '#777',
          'symbol': _SYMBOLS[i % len(_SYMBOLS)],
          'size': 9,
        },
      )
    )
  _mark(figure, table, point, attribute)
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
  figure.update_layout(
    template='simple_white',
    xaxis_title=f'{attribute} found, %',
    yaxis_title='utility, %',
    legend={'orientation': 'h', 'y': -0.22, 'x': 0, 'font': {'size': 12}},
    margin={'l': 60, 'r': 16, 't': 16, 'b': 40},
    height=560,
    font={'family': 'system-ui, sans-serif', 'size': 13},
  )
  return figure


def _levels(table, controls, attribute):
  """Where the marks of reference stand; those that coincide share a label."""
  marks = [
    (table[0]['leakage'][attribute]['chance'], 'chance'),
    (controls['decision'][attribute]['value'], 'answer alone'),
    (controls['raw'][attribute]['value'], 'raw input'),
  ]
  levels = []
  for value, text in sorted(marks):
    if levels and value - levels[-1][0] < 0.02:
      levels[-1] = (levels[-1][0], f'{levels[-1][1]}, {text}')
    else:
      levels.append((value, text))
  return levels


def _mark(figure, table, point, attribute):
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
        'color': '#D55E00',
        'line': {'width': 3},
      },
      hoverinfo='skip',
    )
  )


def _whiskers(figures):
  return {
    'type': 'data',
    'symmetric': False,
    'array': [100 * (f['high'] - f['value']) for f in figures],
    'arrayminus': [100 * (f['value'] - f['low']) for f in figures],
    'thickness': 1,
    'width': 2,
  }
