"""The table of a study as text, and the format of its figures."""

from typing import Any

import rich.table

from hybrid_jax import progress
from hybrid_jax.report import rows, style


def share(value: float) -> str:
  """Formats a share in per cent: `97.1`."""
  return f'{100 * value:.1f}'


def percent(figures: dict[str, Any]) -> str:
  """Formats a share with its interval in per cent: `97.1 [95.8, 98.3]`."""
  return (
    f'{100 * figures["value"]:.1f} [{100 * figures["low"]:.1f},'
    f' {100 * figures["high"]:.1f}]'
  )


def plain(figures: dict[str, Any]) -> str:
  """Formats a figure with its interval: `0.53 [0.50, 0.57]`."""
  # Adding 0 makes a rounded -0.0 a 0.0.
  value, low, high = (
    round(figures[name], 2) + 0.0 for name in ('value', 'low', 'high')
  )
  return f'{value:.2f} [{low:.2f}, {high:.2f}]'


def ceiling(figures: dict[str, Any] | None, certain: str = '-') -> str:
  """Formats a ceiling in per cent: `77.4`.

  Args:
    figures: the ceiling; `None` where it was not measured, which gives ''.
    certain: the text for 100 %, the ceiling of most releases without noise.
  """
  if figures is None:
    return ''
  text = share(figures['high'])
  return certain if text == share(1) else text


def terminal(table: list[rows.Row], controls: dict[str, Any]) -> str:
  """Formats the rows, with the controls and chance below them, as text.

  Args:
    table: see `results.gather`.
    controls: see `results.controls`; may be empty.
  """
  attributes = list(table[0]['leakage'])
  with_ceiling = any('ceiling' in row for row in table)
  out = rich.table.Table(title='Accuracy, %, with 95 % intervals')
  out.add_column('split point')
  longest = max(len(row['embedding']) for row in table)
  out.add_column('embedding', min_width=longest)
  out.add_column('d', justify='right')
  out.add_column('noise / rms', justify='right')
  out.add_column('utility', justify='right')
  for attribute in attributes:
    out.add_column(f'{attribute} found', justify='right')
    if with_ceiling:
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
      *_leakage_cells(row, with_ceiling),
    )
  out.add_section()
  for name, control in controls.items():
    cells = _leakage_cells(control, with_ceiling)
    out.add_row('control', style.CONTROLS[name], '', '', '', *cells)
  first = table[0]
  out.add_row(
    'chance',
    '',
    '',
    '',
    share(first['utility']['chance']) if first['utility'] else '',
    *_chance_cells(first['leakage'], with_ceiling),
  )
  return progress.render_text(out)


def strangers(figures: dict[str, Any]) -> str:
  """Formats the figures of people whom the network never saw, as text.

  Args:
    figures: see `study.strangers.join_folds.summarise`.
  """
  by_embedding = figures['embeddings']
  first = next(iter(by_embedding.values()))
  attributes = list(first['leakage'])
  out = rich.table.Table(
    title=f'Strangers at {figures["split_point"]}, %, with 95 % intervals'
  )
  answers = figures.get('controls', {}).get('decision')
  answer = {style.CONTROLS['decision']: answers} if answers else {}
  out.add_column('embedding', min_width=max(map(len, by_embedding | answer)))
  out.add_column('utility', justify='right')
  for attribute in attributes:
    for name in (f'{attribute} found', 'by recording', 'ceiling'):
      out.add_column(name, justify='right')
  for name, row in (by_embedding | answer).items():
    cells = [name, percent(row['utility']) if 'utility' in row else '']
    for attribute in attributes:
      found = row['leakage'][attribute]
      cells += [percent(found), percent(found['per_recording'])]
      cells.append(ceiling(row['ceiling'].get(attribute)))
    out.add_row(*cells)
  out.add_section()
  cells = ['chance', share(first['utility']['chance'])]
  for attribute in attributes:
    found = first['leakage'][attribute]
    cells += [share(f['chance']) for f in (found, found['per_recording'])] + [
      ''
    ]
  out.add_row(*cells)
  return progress.render_text(out)


def _leakage_cells(row, with_ceiling):
  for attribute, figures in row['leakage'].items():
    yield percent(figures)
    if with_ceiling:
      yield ceiling(row.get('ceiling', {}).get(attribute))
    yield share(figures['per_recording']['value'])


def _chance_cells(leakage, with_ceiling):
  for figures in leakage.values():
    yield share(figures['chance'])
    if with_ceiling:
      yield ''
    yield share(figures['per_recording']['chance'])
