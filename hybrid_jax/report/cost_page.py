"""The cost of each cut: tables for the terminal, and a page."""

from typing import Any

import plotly.graph_objects as go
import rich.table

from hybrid_jax import progress
from hybrid_jax.report import page, style


def terminal(cost: dict[str, Any]) -> str:
  """Formats the costs on the device, and the time to the answer, as text.

  Args:
    cost: see `study.cost.run`.
  """
  device = rich.table.Table(
    title=f'On the device: this machine, {cost["machine"]["cores"]} cores'
  )
  for name in ('cut', 'embedding', 'variant'):
    device.add_column(name)
  for name in (
    'file, KiB',
    'parameters',
    'multiply-adds',
    'load, ms',
    'first, ms',
    'p50 / p95, ms',
    'all cores',
    'memory, MiB',
  ):
    device.add_column(name, justify='right')
  answer = rich.table.Table(
    title='From the window to the answer, ms, with the cloud on this machine'
  )
  for name in ('cut', 'variant'):
    answer.add_column(name)
  answer.add_column('bytes sent', justify='right')
  answer.add_column('cloud, ms', justify='right')
  for link in cost['links']:
    answer.add_column(
      f'{link["name"]} ({link["mbit"]:g} Mbit/s, {link["round_trip"]:g} ms)',
      justify='right',
    )
  answer.add_column('utility, %', justify='right')
  answer.add_column('advantage, %', justify='right')
  previous = None
  for row in cost['rows']:
    if previous not in (None, row['cut']):
      device.add_section()
      answer.add_section()
    previous = row['cut']
    device.add_row(*_device(row))
    answer.add_row(*_answer(row))
  advised = cost['advised']
  weights = ', '.join(f'{k} {v:g}' for k, v in cost['weights'].items())
  return progress.render_text(
    device,
    answer,
    '* of the trained network; hybrid-jax audit --bundle measures the files.',
    f'Recommended: cut at {advised["cut"]}, {advised["embedding"]},'
    f' {advised["variant"]}: the lowest weighted cost ({weights}).',
  )


def render(cost: dict[str, Any], title: str) -> str:
  """Returns the page as HTML, which works offline."""
  return page.template('cost.html').render(
    title=title,
    **page.scripts(),
    figure=style.html(figure(cost)),
    cost=cost,
    names={row['embedding']: style.title_of(row) for row in cost['rows']},
    device=[(row, _device(row)) for row in cost['rows']],
    answer=[(row, _answer(row)) for row in cost['rows']],
  )


def figure(cost: dict[str, Any]) -> go.Figure:
  """Draws the best attacker's advantage against the time on the device.

  The colour shows the cut, the shape the variant. A ring marks the recommended
  cut.
  """
  out = go.Figure()
  cuts = [r for r in cost['rows'] if r['advantage'] is not None]
  order = list(dict.fromkeys(row['cut'] for row in cuts))
  kinds = list(dict.fromkeys(row['variant'] for row in cuts))
  for i, cut in enumerate(order):
    variants = [row for row in cuts if row['cut'] == cut]
    out.add_trace(
      go.Scatter(
        x=[row['one']['p50_ms'] for row in variants],
        y=[100 * row['advantage'] for row in variants],
        mode='markers',
        name=f'cut at {cut}',
        marker={
          'color': style.COLOURS[(i + 1) % len(style.COLOURS)],
          'symbol': [
            style.SYMBOLS[kinds.index(row['variant'])] for row in variants
          ],
          'size': 12,
        },
        text=[
          f'<b>{row["cut"]}, {row["variant"]}</b><br>'
          f'{style.plain(style.title_of(row))}<br>'
          f'{row["one"]["p50_ms"]:.3f} ms, {row["edge_bytes"]:,} bytes<br>'
          f'utility {100 * row["utility"]["value"]:.1f} %'
          for row in variants
        ],
        hovertemplate='%{text}<extra></extra>',
      )
    )
  for kind in kinds:
    style.legend_marker(out, kind, style.SYMBOLS[kinds.index(kind)])
  advised = next(
    row for row in cuts if all(row[k] == v for k, v in cost['advised'].items())
  )
  out.add_trace(
    go.Scatter(
      x=[advised['one']['p50_ms']],
      y=[100 * advised['advantage']],
      mode='markers',
      name='recommended',
      marker={
        'symbol': 'circle-open',
        'size': 26,
        'color': style.INK,
        'line': {'width': 2.5},
      },
      hoverinfo='skip',
    )
  )
  style.lay_out(
    out,
    'edge half on the device, median ms of one thread',
    "best attacker's advantage over chance, %",
    520,
  )
  out.update_xaxes(rangemode='tozero')
  out.update_yaxes(rangemode='tozero')
  return out


def _device(row):
  one, many = row['one'], row['all']
  return (
    row['cut'],
    style.title_of(row) if row['embedding'] else '',
    row['variant'] if one else '',
    f'{row["edge_bytes"] / 1024:,.1f}' if one else '',
    f'{row["edge_parameters"]:,}',
    f'{row["edge_multiply_adds"]:,}',
    f'{one["load_ms"]:.2f}' if one else '',
    f'{one["first_ms"]:.3f}' if one else '',
    f'{one["p50_ms"]:.3f} / {one["p95_ms"]:.3f}' if one else '',
    f'{many["p50_ms"]:.3f}' if many else '',
    f'{one["own_mib"]:.1f}' if one and one['own_mib'] is not None else '',
  )


def _answer(row):
  cloud, advantage = row['cloud_p50_ms'], row['advantage']
  # An asterisk: measured before quantisation.
  mark = '' if row['as_deployed'] or row['variant'] == 'float32' else '*'
  return (
    row['cut'],
    row['variant'] if row['one'] else '',
    f'{row["sent_bytes"]:,}',
    f'{cloud:.3f}' if cloud is not None else '',
    *(f'{ms:.1f}' for ms in row['end_to_end'].values()),
    f'{100 * row["utility"]["value"]:.1f}' + mark,
    f'{100 * advantage:.1f}{mark}' if advantage is not None else '',
  )
