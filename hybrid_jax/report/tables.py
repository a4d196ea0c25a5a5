"""The study's table, for a terminal or a log."""

import io
import shutil
from typing import Any

import rich.console
import rich.table

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


def terminal(table: list[rows.Row], controls: dict[str, Any]) -> str:
  """The table split point x embedding, and the controls below it."""
  attributes = list(table[0]['leakage'])
  out = rich.table.Table(title='Accuracy, %, with 95 % intervals')
  out.add_column('split point')
  out.add_column('embedding')
  out.add_column('d', justify='right')
  out.add_column('noise / rms', justify='right')
  out.add_column('utility', justify='right')
  for attribute in attributes:
    out.add_column(f'{attribute} found', justify='right')
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
      percent(row['utility']),
      *_leaks(row['leakage']),
    )
  out.add_section()
  for name, found in controls.items():
    out.add_row('control', name, '', '', '', *_leaks(found))
  some = table[0]
  out.add_row(
    'chance',
    '',
    '',
    '',
    f'{100 * some["utility"]["chance"]:.1f}',
    *(
      text
      for attribute in attributes
      for text in (
        f'{100 * some["leakage"][attribute]["chance"]:.1f}',
        f'{100 * some["leakage"][attribute]["per_recording"]["chance"]:.1f}',
      )
    ),
  )
  width = shutil.get_terminal_size((160, 24)).columns
  stream = io.StringIO()
  rich.console.Console(file=stream, width=width).print(out)
  return stream.getvalue()


def _leaks(leakage):
  for figures in leakage.values():
    yield percent(figures)
    yield f'{100 * figures["per_recording"]["value"]:.1f}'
