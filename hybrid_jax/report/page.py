"""One self-contained page: pictures, tables, and how to deploy."""

import functools
import math
from typing import Any

import jinja2
import plotly.offline

from hybrid_jax.report import (
  curves,
  front_plot,
  plots,
  reconstructions,
  rows,
  style,
  tables,
)

# The reading of each bound of `metrics.ceiling`.
BOUNDS = {'fano': 'information', 'people': 'densities', 'cells': 'cells'}


def render(
  title: str,
  data: dict[str, Any],
  cost: dict[str, Any],
  table: list[rows.Row],
  controls: dict[str, Any],
  failed: list[str],
  point: dict[str, str],
  rivals: dict[str, Any],
  deployed: list[dict[str, Any]],
) -> str:
  """The page's HTML, which needs no network.

  Args:
    title: the data set's name.
    data: the data stage's result.
    cost: see `results.read_cost`; may be empty.
    table: see `results.gather`; a section stands only where its measure does.
    controls: see `results.controls`.
    failed: see `rows.failed_controls`.
    point: see `rows.recommend`.
    rivals: see `results.read_rivals`; may be empty.
    deployed: see `results.read_deployed`; may be empty.
  """
  context = _context(table, controls, failed, _channels(data))
  for attribute in context['attributes']:
    context['figures'][f'trade_off-{attribute}'] = style.html(
      plots.trade_off(table, controls, point, attribute),
      f'trade_off-{attribute}',
    )
  if rivals:
    context['figures']['front'] = style.html(front_plot.front(rivals), 'front')
  return template('report.html').render(
    context,
    title=title,
    data=data,
    point=point,
    chosen=rows.find(table, point),
    cost=cost,
    rivals=rivals,
    methods=front_plot.listed(rivals) if rivals else [],
    chance=table[0]['leakage'],
    deployed=[(rows.find(table, row), row) for row in deployed],
  )


def render_audit(
  name: str, row: rows.Row, controls: dict[str, Any], failed: list[str]
) -> str:
  """The page of one file of released vectors, made by whatever it was.

  Args:
    name: the file's.
    row: as of a study, where `utility` is `None`.
    controls: `noise`, and any others that there are.
    failed: see `rows.failed_controls`.
  """
  context = _context([row], controls, failed, None)
  return template('audit.html').render(context, title=name, row=row, point=None)


def template(name: str) -> jinja2.Template:
  """A page's template, with the filters that all pages share."""
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
    'plain': tables.plain,
    'ceiling': functools.partial(tables.ceiling, certain='–'),
    'log_rank_of_chance': _log_rank_of_chance,
  }
  return environment.get_template(name)


def _context(table, controls, failed, channels):
  """What a study's page and an audit's have in common."""
  attributes = list(table[0]['leakage'])
  every = [*table, *controls.values()]
  has = {name for name in rows.measure_names() if any(name in r for r in table)}
  drawn = {}
  for attribute in attributes:
    makers = {
      'recording': functools.partial(curves.windows, of='recording'),
      'class': functools.partial(curves.windows, of='class'),
    }
    if 'releases' in has:
      makers['releases'] = curves.releases
    if 'attacker_data' in has:
      makers['attacker_data'] = curves.attacker_data
    for kind, make in makers.items():
      name = f'{kind}-{attribute}'
      drawn[name] = style.html(make(table, attribute), name)
  return {
    'plotly': plotly.offline.get_plotlyjs(),
    'rows': table,
    'titles': {
      name: style.titles([row for row in table if name in row]) for name in has
    },
    'attributes': attributes,
    'controls': controls,
    'failed': failed,
    'names': style.NAMES,
    'has': has,
    'figures': drawn,
    'kinds': _kinds(every, attributes),
    'bounds': BOUNDS,
    'attacks': reconstructions.attacks(table),
    'pictures': reconstructions.draw(table, channels)
    if 'reconstruction' in has
    else None,
    'few': curves.FEW,
    'box': (reconstructions.WIDTH, reconstructions.HEIGHT),
  }


def _kinds(every, attributes):
  """The kinds of attackers: first who guesses, last the committee."""
  found = {
    kind
    for row in every
    for attribute in attributes
    for kind in row['leakage'][attribute]['by_kind']
  }
  ends = {'majority': 0, 'committee': 2}
  return sorted(found, key=lambda kind: (ends.get(kind, 1), kind))


def _channels(data):
  return [
    {'name': name, 'mean': mean, 'std': std}
    for name, mean, std in zip(
      data['channels'], data['mean'], data['std'], strict=False
    )
  ]


def _log_rank_of_chance(candidates):
  """`log(K!) / (K log K)`: the mean logarithm of a rank that is drawn."""
  k = candidates
  return math.lgamma(k + 1) / (k * math.log(k))
