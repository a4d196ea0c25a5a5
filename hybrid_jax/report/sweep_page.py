"""A sweep's points, as a table for a terminal and as a page of its own."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.offline
import rich.table

from hybrid_jax import progress
from hybrid_jax.report import page, style, tables


def terminal(found: dict[str, Any]) -> str:
  """All points, the front, the hypervolume, and what the program saved."""
  attributes = list(found['rows'][0]['leakage'])
  out = rich.table.Table(title='Accuracy, %, with 95 % intervals')
  for name in ('point', 'seed', 'weight', 'margin', 'noise', 'utility'):
    out.add_column(name, justify='right')
  for attribute in attributes:
    out.add_column(f'{attribute} found', justify='right')
  out.add_column('advantage', justify='right')
  out.add_column('front')
  for row in found['rows']:
    out.add_row(
      str(row['index']),
      str(row['seed']),
      f'{row["weight"]:g}',
      f'{row["margin"]:g}',
      f'{row["noise"]:g}',
      tables.percent(row['utility']['test']),
      *(tables.percent(row['leakage'][a]) for a in attributes),
      tables.share(row['advantage']['test']),
      mark(row, found),
    )
  best = [row['index'] for row in found['rows'] if row['front']]
  lines = [
    f'Front: points {", ".join(map(str, best))}.'
    f' Hypervolume {tables.share(found["hypervolume"]["all"])} %.'
    f' {choice(found)}'
  ]
  if found['comparison']:
    lines.append(saving(found['comparison']))
  return progress.render_text(out, *lines, fallback_width=140)


def mark(row: dict[str, Any], found: dict[str, Any]) -> str:
  """`'front'`, `'chosen'`, both, or nothing."""
  chosen = row['index'] == found['chosen']
  return ', '.join(['front'] * row['front'] + ['chosen'] * chosen)


def choice(found: dict[str, Any]) -> str:
  """Which point is to be taken, in a sentence."""
  wanted = tables.share(found['wanted_utility'])
  if found['chosen'] is None:
    return f'No point reaches the wanted {wanted} % on validation.'
  return (
    f'Chosen on validation, least advantage at {wanted} % or more: point'
    f' {found["chosen"]}.'
  )


def saving(compared: dict[str, Any]) -> str:
  """How long all took together and one by one, in sentences."""
  by = 'at once' if compared['mapping'] == 'vmap' else 'one after the other'
  work = (
    f' Of processor time it is {compared["work_ratio"]:.2f}.'
    if compared['backend'] == 'cpu'
    else ''
  )
  return (
    f'{compared["trainings"]} trainings in one program, {by}, on'
    f' {compared["backend"]}: {compared["together_seconds"]:.1f} s, which is'
    f' {compared["ratio"]:.2f} of the time one by one'
    f' ({compared["alone_seconds"]:.1f} s each, of {compared["alone"]} of them,'
    f' scaled), with compilation, validation and checkpoints.{work} Of the'
    f' steps alone the ratio is {compared["run_ratio"]:.2f}. The largest'
    f' difference between their parameters: {compared["difference"]:.2g}.'
  )


def one(found: dict[str, Any]) -> str:
  """A point that was made alone, and how far it is from the grid's."""
  row, apart = found['row'], found['difference']
  leaks = ', '.join(
    f'{name} found {tables.percent(figures)}'
    for name, figures in row['leakage'].items()
  )
  text = (
    f'point {row["index"]} alone (seed {row["seed"]}, weight'
    f' {row["weight"]:g}, margin {row["margin"]:g}, noise {row["noise"]:g}):'
    f' utility {tables.percent(row["utility"]["test"])}, {leaks}.'
  )
  if apart is None:
    return f'{text}\nThe sweep has not made this point yet.'
  return (
    f'{text}\nFrom the sweep it is {100 * apart["utility"]:.2g} points of'
    f' utility and {100 * apart["advantage"]:.2g} of advantage away; the'
    f' parameters are {apart["simple"]:.2g} (simple) and'
    f' {apart["siamese"]:.2g} (Siamese) apart at most.'
  )


def render(found: dict[str, Any], title: str) -> str:
  """The page's HTML, which needs no network."""
  return page.template('sweep.html').render(
    title=title,
    plotly=plotly.offline.get_plotlyjs(),
    figure=style.html(figure(found), 'sweep'),
    found=found,
    attributes=list(found['rows'][0]['leakage']),
    marks=[mark(row, found) for row in found['rows']],
    choice=choice(found),
    saving=saving(found['comparison']) if found['comparison'] else '',
  )


def figure(found: dict[str, Any]) -> go.Figure:
  """Utility against advantage, test fold, and the front over all points.

  Colour tells the weight, shape the margin, size the noise.
  """
  rows = found['rows']
  weights, margins, noises = (
    list(dict.fromkeys(row[name] for row in rows))
    for name in ('weight', 'margin', 'noise')
  )
  sizes = dict(
    zip(sorted(noises), np.linspace(8, 15, len(noises)), strict=True)
  )
  out = go.Figure()
  for i, weight in enumerate(weights):
    own = [row for row in rows if row['weight'] == weight]
    out.add_trace(
      go.Scatter(
        x=[100 * row['advantage']['test'] for row in own],
        y=[100 * row['utility']['test']['value'] for row in own],
        mode='markers',
        name=f'weight {weight:g}',
        marker={
          'color': style.COLOURS[(i + 1) % len(style.COLOURS)],
          'symbol': [
            style.SYMBOLS[margins.index(row['margin']) % len(style.SYMBOLS)]
            for row in own
          ],
          'size': [float(sizes[row['noise']]) for row in own],
          'opacity': 0.8,
        },
        text=[_hover(row) for row in own],
        hovertemplate='%{text}<extra></extra>',
      )
    )
  for i, margin in enumerate(margins):
    style.legend_marker(
      out, f'margin {margin:g}', style.SYMBOLS[i % len(style.SYMBOLS)]
    )
  for noise, size in sizes.items():
    style.legend_marker(out, f'noise {noise:g}', 'circle', float(size))
  best = sorted(
    (row for row in rows if row['front']),
    key=lambda row: row['advantage']['test'],
  )
  out.add_trace(
    go.Scatter(
      x=[100 * row['advantage']['test'] for row in best],
      y=[100 * row['utility']['test']['value'] for row in best],
      mode='lines',
      name='front: nothing beats these',
      line={'color': style.INK, 'width': 1.2, 'dash': 'dash', 'shape': 'hv'},
      hoverinfo='skip',
    )
  )
  style.level(out, found['wanted_utility'], 'wanted utility', 'dashdot')
  style.lay_out(
    out,
    "worst label's advantage, %<br>(its way from chance to certainty)",
    'utility, %',
    560,
  )
  return out


def _hover(row):
  leaks = ''.join(
    f'<br>{label} found {100 * f["value"]:.1f} %'
    for label, f in row['leakage'].items()
  )
  return (
    f'<b>point {row["index"]}</b>, seed {row["seed"]}'
    f'<br>weight {row["weight"]:g}, margin {row["margin"]:g},'
    f' noise {row["noise"]:g}'
    f'<br>utility {100 * row["utility"]["test"]["value"]:.1f} %{leaks}'
  )
