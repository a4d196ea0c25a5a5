"""The report page: plots, tables, and how to deploy, in one HTML file."""

import base64
import functools
import hashlib
import math
from collections.abc import Sequence
from typing import Any

import jinja2
import plotly.offline

from hybrid_jax import files
from hybrid_jax.report import (
  curves,
  grid_plot,
  plots,
  reconstructions,
  rows,
  style,
  tables,
)

# The titles of the bounds of `metrics.bayes_ceiling`.
BOUNDS = {'fano': 'information', 'people': 'densities', 'cells': 'cells'}


def render(
  title: str,
  data: dict[str, Any],
  cost: dict[str, Any],
  table: list[rows.Row],
  controls: dict[str, Any],
  failed: list[str],
  point: dict[str, str],
  grid: dict[str, Any],
  deployed: list[dict[str, Any]],
  strangers: dict[str, Any],
  missing: Sequence[str] = (),
) -> str:
  """Returns a study's page as HTML, which works offline.

  Args:
    title: the name of the data set.
    data: the result of the data stage.
    cost: see `results.read_cost`; may be empty.
    table: see `results.gather`; the page has a section for each measure in it.
    controls: see `results.controls`.
    failed: the sentences of `rows.failed_controls`.
    point: see `rows.recommend`.
    grid: see `grid.summarise`; may be empty.
    deployed: see `results.read_deployed`; may be empty.
    missing: what a full study also measures; see `config_parts.missing_parts`.
    strangers: see `results.read_strangers`; may be empty.
  """
  context = _context(table, controls, failed, _channels(data))
  for attribute in context['attributes']:
    context['figures'][f'trade_off-{attribute}'] = style.html(
      plots.trade_off(table, controls, point, attribute)
    )
  if grid:
    context['figures']['front'] = style.html(grid_plot.front(grid))
  return template('report.html').render(
    context,
    title=title,
    missing=missing,
    data=data,
    faults=data.get('faults', []),
    notes=data.get('remarks', []),
    point=point,
    chosen=rows.find(table, point),
    cost=cost,
    grid=grid,
    methods=grid_plot.methods(grid) if grid else [],
    chance=table[0]['leakage'],
    deployed=[(rows.find(table, row), row) for row in deployed],
    strangers=strangers,
    pairs=_seen_and_strangers(table, strangers) if strangers else [],
    answers=_answers(controls, strangers),
  )


def render_audit(
  name: str,
  row: rows.Row,
  controls: dict[str, Any],
  strangers: dict[str, Any],
  failed: list[str],
  notes: list[str],
  faults: list[str],
) -> str:
  """Returns the page of one file of released vectors as HTML.

  Args:
    name: the name of the file.
    row: a row as in a study, with `None` as its `utility`.
    controls: the measures of `noise`.
    strangers: the leakage and the ceiling of people whom the network never saw;
      may be empty.
    failed: the sentences of `rows.failed_controls`.
    notes: sentences on how the vectors were attacked; may be empty.
    faults: sentences on what is wrong with the vectors; may be empty.
  """
  context = _context([row], controls, failed, None)
  return template('audit.html').render(
    context,
    title=name,
    row=row,
    notes=notes,
    faults=faults,
    point=None,
    pairs=[(row, {'ceiling': {}} | strangers)] if strangers else [],
    answers=(),
  )


def scripts() -> dict[str, str]:
  """Returns the scripts of a page, and the policy that allows no other one.

  `policy` is a Content Security Policy, Level 3: the browser runs the scripts
  with these hashes alone, and loads nothing from anywhere. A tag that came in
  with the name of a label would do nothing.
  """
  contents = {'plotly': plotly.offline.get_plotlyjs(), 'draw': style.DRAW}
  hashes = ' '.join(
    f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    for text in contents.values()
  )
  return contents | {
    'policy': (
      f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline';"
      " img-src data:; base-uri 'none'; form-action 'none'"
    )
  }


def template(name: str) -> jinja2.Template:
  """Returns a page's template, with the filters that all pages use.

  Text is escaped as HTML. A missing variable raises when it is rendered.

  Args:
    name: a file in `report/templates`, such as `report.html`.
  """
  environment = jinja2.Environment(
    loader=jinja2.PackageLoader('hybrid_jax.report'),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters |= {
    'estimate': tables.percent,
    'share': tables.share,
    'control': style.CONTROLS.__getitem__,
    'plain': tables.plain,
    'by_number': files.by_number,
    'ceiling': functools.partial(tables.ceiling, certain='–'),
    'certain': lambda value: tables.ceiling({'high': value}, certain='–'),
    'log_rank_of_chance': _log_rank_of_chance,
  }
  return environment.get_template(name)


def _context(table, controls, failed, channels):
  """Returns the variables that the pages of studies and audits share."""
  attributes = list(table[0]['leakage'])
  has = {name for name in rows.measure_names() if any(name in r for r in table)}
  figures = {}
  for attribute in attributes:
    plotters = {
      'recording': functools.partial(curves.windows, of='recording'),
      'class': functools.partial(curves.windows, of='class'),
    }
    if 'releases' in has:
      plotters['releases'] = curves.releases
    if 'attacker_data' in has:
      plotters['attacker_data'] = curves.attacker_data
    for kind, plot in plotters.items():
      figures[f'{kind}-{attribute}'] = style.html(plot(table, attribute))
  return scripts() | {
    'rows': table,
    'titles': {
      name: style.titles([row for row in table if name in row]) for name in has
    },
    'attributes': attributes,
    'controls': controls,
    'failed': failed,
    'names': {row['embedding']: style.title_of(row) for row in table},
    'has': has,
    'figures': figures,
    'kinds': _adversary_kinds(table, attributes),
    'bounds': BOUNDS,
    'attacks': reconstructions.attacks(table),
    'recognised': {
      attribute: reconstructions.recognised(table, attribute)
      for attribute in attributes
    },
    'pictures': reconstructions.draw(table, channels)
    if 'reconstruction' in has
    else None,
    'few': curves.FEW,
    'box': (reconstructions.WIDTH, reconstructions.HEIGHT),
  }


def _answers(controls, strangers):
  """What the answer alone reveals of seen people and of strangers, if known."""
  pair = [
    of.get('decision', {}) for of in (controls, strangers.get('controls', {}))
  ]
  return pair if all('leakage' in figures for figures in pair) else ()


def _seen_and_strangers(table, strangers):
  """Pairs of a row and the figures of strangers for the same embedding."""
  return [
    (rows.find(table, {**strangers, 'embedding': name}), figures)
    for name, figures in strangers['embeddings'].items()
  ]


def _adversary_kinds(table, attributes):
  """Returns the kinds of attackers, the majority guess first."""
  kinds = {
    kind
    for row in table
    for attribute in attributes
    for kind in row['leakage'][attribute]['by_kind']
  }
  order = {'majority': 0, 'committee': 2}
  return sorted(kinds, key=lambda kind: (order.get(kind, 1), kind))


def _channels(data):
  return [
    {'name': name, 'mean': mean, 'std': std}
    for name, mean, std in zip(
      data['channels'], data['mean'], data['std'], strict=False
    )
  ]


def _log_rank_of_chance(candidates):
  """Returns the mean log-rank of a random order, `log(K!) / (K log K)`."""
  k = candidates
  return math.lgamma(k + 1) / (k * math.log(k))
