"""A grid of trainings as a table for a terminal and as a page."""

from typing import Any

import rich.table

from hybrid_jax import progress
from hybrid_jax.report import grid_plot, page, style, tables


def terminal(grid: dict[str, Any]) -> str:
  """Returns a grid as text: a table, its hypervolumes, its operating point.

  The table has a row for each training and level of noise, in per cent, and one
  for chance. The operating point is the row of least leakage whose utility is
  high enough; the last sentence says so if there is none.

  Args:
    grid: see `grid.summarise`.
  """
  attributes = list(grid['chance']['leakage'])
  out = rich.table.Table(title='Accuracy, %, means over seeds with intervals')
  out.add_column('training')
  for name in (
    'noise',
    'utility',
    *(f'{attribute} found' for attribute in attributes),
    'advantage',
    'bits',
  ):
    out.add_column(name, justify='right')
  out.add_column('')
  for row, mark in zip(grid['table'], marks(grid), strict=True):
    out.add_row(
      grid_plot.title(row['method'], grid),
      f'{row["noise"]:g}',
      tables.percent(row['utility']),
      *(tables.percent(row['leakage'][name]) for name in attributes),
      tables.percent(row['advantage']),
      tables.plain(row['bits']),
      mark,
    )
  out.add_section()
  chance = grid['chance']
  out.add_row(
    'chance',
    '',
    tables.share(chance['utility']),
    *(tables.share(chance['leakage'][name]) for name in attributes),
  )
  hypervolumes = ', '.join(
    f'{grid_plot.method_title(name)} {tables.percent(value)} %'
    for name, value in grid['hypervolume'].items()
  )
  return progress.render_text(
    out, f'Hypervolume: {hypervolumes}.', choice(grid), fallback_width=140
  )


def marks(grid: dict[str, Any]) -> list[str]:
  """Returns `'front'`, `'chosen'`, both or nothing for each row."""
  chosen = grid['operating_point']
  return [
    ', '.join(
      ['front'] * row['front']
      + ['chosen'] * (row is (chosen and grid_plot.find(grid['table'], chosen)))
    )
    for row in grid['table']
  ]


def choice(grid: dict[str, Any]) -> str:
  """Returns a sentence about the operating point."""
  wanted = tables.share(grid['wanted_utility'])
  point = grid['operating_point']
  if point is None:
    return f'No point reaches the wanted utility of {wanted} % on validation.'
  return (
    f'Operating point: {grid_plot.title(point["method"], grid)}, noise'
    f' {point["noise"]:g}. It has the least advantage on validation of all'
    f' points with a utility of {wanted} % or more there.'
  )


def deployment(grid: dict[str, Any]) -> str:
  """Returns the flags with which `hybrid-jax study` trains the operating point.

  Empty without an operating point, for a defence with other noise than in its
  training, and for a method of which the study has no embedding.
  """
  point = grid['operating_point']
  if point is None:
    return ''
  training = grid['trainings'][point['method']]
  method, weight = training['method'], training['weight']
  flags = []
  if method == 'siamese':
    for name in ('weight', 'margin'):
      if training[name] is not None:
        flags.append(f'--config.siamese.{name}={training[name]:g}')
    flags.append(f'--config.release.noise={point["noise"]:g}')
  elif point['noise'] != 1 or not training['is_released']:
    return ''
  elif weight is not None:
    flags.append(f'--config.defend.{method}.weight={weight:g}')
  return ' '.join(flags)


def render(grid: dict[str, Any], title: str) -> str:
  """Returns the page's HTML, which needs no network.

  Args:
    grid: see `grid.summarise`.
    title: the data set's name.
  """
  return page.template('grid.html').render(
    title=title,
    **page.scripts(),
    figures={'front': style.html(grid_plot.front(grid))},
    grid=grid,
    methods=grid_plot.methods(grid),
    names={label: grid_plot.title(label, grid) for label in grid['trainings']},
    marks=marks(grid),
    choice=choice(grid),
    deployment=deployment(grid),
  )
