"""What each cut costs, as tables for a terminal and as a page of its own."""

from typing import Any

import plotly.graph_objects as go
import plotly.offline
import rich.table

from hybrid_jax import progress
from hybrid_jax.report import page, style


def terminal(found: dict[str, Any]) -> str:
  """Two tables: what is on the device, and from the window to the answer."""
  device = rich.table.Table(
    title=f'On the device: this machine, {found["machine"]["cores"]} cores'
    + (f'; times of {found["device"]}' if found.get('device') else '')
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
  for link in found['links']:
    answer.add_column(
      f'{link["name"]} ({link["mbit"]:g} Mbit/s, {link["round_trip"]:g} ms)',
      justify='right',
    )
  answer.add_column('utility, %', justify='right')
  answer.add_column('advantage, %', justify='right')
  previous = None
  for row in found['rows']:
    if previous not in (None, row['cut']):
      device.add_section()
      answer.add_section()
    previous = row['cut']
    device.add_row(*_device(row))
    answer.add_row(*_answer(row))
  advised = found['advised']
  weights = ', '.join(f'{k} {v:g}' for k, v in found['weights'].items())
  return progress.render_text(
    device,
    answer,
    '* of the network as trained; launch.audit --bundle measures the files.',
    f'Advised: cut at {advised["cut"]}, {advised["embedding"]},'
    f' {advised["variant"]}: the least of the weighted costs ({weights}).',
  )


def render(found: dict[str, Any], title: str) -> str:
  """The page's HTML, which needs no network."""
  return page.template('cost.html').render(
    title=title,
    plotly=plotly.offline.get_plotlyjs(),
    figure=style.html(figure(found), 'cost'),
    found=found,
    names=style.NAMES,
    device=[(row, _device(row)) for row in found['rows']],
    answer=[(row, _answer(row)) for row in found['rows']],
  )


def figure(found: dict[str, Any]) -> go.Figure:
  """The best attacker's advantage against the device's time, for all cuts.

  Colour tells the cut, shape the variant; a ring marks the advised one.
  """
  out = go.Figure()
  cuts = [r for r in found['rows'] if r['advantage'] is not None]
  order = list(dict.fromkeys(row['cut'] for row in cuts))
  kinds = list(dict.fromkeys(row['variant'] for row in cuts))
  for i, cut in enumerate(order):
    own = [row for row in cuts if row['cut'] == cut]
    out.add_trace(
      go.Scatter(
        x=[row['one']['p50_ms'] for row in own],
        y=[100 * row['advantage'] for row in own],
        mode='markers',
        name=f'cut at {cut}',
        marker={
          'color': style.COLOURS[(i + 1) % len(style.COLOURS)],
          'symbol': [style.SYMBOLS[kinds.index(row['variant'])] for row in own],
          'size': 12,
        },
        text=[
          f'<b>{row["cut"]}, {row["variant"]}</b><br>'
          f'{style.name_of(row["embedding"])}<br>'
          f'{row["one"]["p50_ms"]:.3f} ms, {row["edge_bytes"]:,} bytes<br>'
          f'utility {100 * row["utility"]["value"]:.1f} %'
          for row in own
        ],
        hovertemplate='%{text}<extra></extra>',
      )
    )
  for kind in kinds:
    style.legend_marker(out, kind, style.SYMBOLS[kinds.index(kind)])
  advised = next(
    row for row in cuts if all(row[k] == v for k, v in found['advised'].items())
  )
  out.add_trace(
    go.Scatter(
      x=[advised['one']['p50_ms']],
      y=[100 * advised['advantage']],
      mode='markers',
      name='advised',
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
    style.name_of(row['embedding']) if row['embedding'] else '',
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
  # As trained, before any quantisation.
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
