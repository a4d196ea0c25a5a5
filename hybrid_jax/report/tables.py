"""The study's table, for a terminal or a log, and how figures are written."""

from typing import Any

import rich.table

from hybrid_jax import progress
from hybrid_jax.report import rows


def share(value: float) -> str:
  """`97.1`: a share, in per cent."""
  return f'{100 * value:.1f}'


def percent(figures: dict[str, Any]) -> str:
  """`97.1 [95.8, 98.3]`: a share and its interval, in per cent."""
  return (
    f'{100 * figures["value"]:.1f} [{100 * figures["low"]:.1f},'
    f' {100 * figures["high"]:.1f}]'
  )


def plain(figures: dict[str, Any]) -> str:
  """`0.53 [0.50, 0.57]`: a figure that is no share."""
  # Adding 0 makes a rounded -0.0 a 0.0.
  value, low, high = (
    round(figures[name], 2) + 0.0 for name in ('value', 'low', 'high')
  )
  return f'{value:.2f} [{low:.2f}, {high:.2f}]'


def ceiling(figures: dict[str, Any] | None, certain: str = '-') -> str:
  """`60.7 [77.4]`: the bound and its upper end, in per cent.

  `certain` where it is 100, as it is for nearly all releases without noise,
  and nothing where it was not measured.
  """
  if figures is None:
    return ''
  if share(figures['value']) == share(1):
    return certain
  return f'{share(figures["value"])} [{share(figures["high"])}]'


def terminal(table: list[rows.Row], controls: dict[str, Any]) -> str:
  """The table split point x embedding, and the controls below it."""
  attributes = list(table[0]['leakage'])
  limited = any('ceiling' in row for row in table)
  out = rich.table.Table(title='Accuracy, %, with 95 % intervals')
  out.add_column('split point')
  longest = max(len(row['embedding']) for row in table)
  out.add_column('embedding', min_width=longest)
  out.add_column('d', justify='right')
  out.add_column('noise / rms', justify='right')
  out.add_column('utility', justify='right')
  for attribute in attributes:
    out.add_column(f'{attribute} found', justify='right')
    if limited:
      out.add_column('ceiling', justify='right')
    out.add_column('by recording', justify='right')
  previous = None
  for row in table:
    if previous not in (None, row['split_point']):
      out.add_section()
    previous = row['split_point']
    out.add_row(
      row['split_point'],
      row['embedding'],
      str(row['dim']),
      f'{row["relative_noise"]:.2f}' if row['sigma'] else '-',
      percent(row['utility']) if row['utility'] else '-',
      *_leaks(row, limited),
    )
  out.add_section()
  for name, found in controls.items():
    out.add_row('control', name, '', '', '', *_leaks(found, limited))
  some = table[0]
  out.add_row(
    'chance',
    '',
    '',
    '',
    share(some['utility']['chance']) if some['utility'] else '',
    *_chance(some['leakage'], limited),
  )
  return progress.render_text(out)


def _leaks(found, limited):
  for attribute, figures in found['leakage'].items():
    yield percent(figures)
    if limited:
      yield ceiling(found.get('ceiling', {}).get(attribute))
    yield share(figures['per_recording']['value'])


def _chance(leakage, limited):
  for figures in leakage.values():
    yield share(figures['chance'])
    if limited:
      yield ''
    yield share(figures['per_recording']['chance'])
