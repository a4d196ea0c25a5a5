"""One self-contained page: pictures, tables, and how to deploy."""

from typing import Any

import jinja2
import plotly.io

from hybrid_jax.report import plots, rows, tables
from hybrid_jax.stages import base


def render(
  study: base.Study,
  table: list[rows.Row],
  controls: dict[str, Any],
  failed: list[str],
  point: dict[str, str],
) -> str:
  """The page's HTML, which needs no network."""
  attributes = list(table[0]['leakage'])
  figures = {
    attribute: plotly.io.to_html(
      plots.trade_off(table, controls, point, attribute),
      include_plotlyjs=i == 0,
      full_html=False,
      div_id=f'trade-off-{attribute}',
      config={'responsive': True, 'displayModeBar': False},
    )
    for i, attribute in enumerate(attributes)
  }
  environment = jinja2.Environment(
    loader=jinja2.PackageLoader('hybrid_jax.report'),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters['estimate'] = tables.percent
  environment.filters['share'] = tables.share
  return environment.get_template('report.html').render(
    title=study.config.data.name,
    data=study.read('data', stage='data'),
    rows=table,
    attributes=attributes,
    controls=controls,
    failed=failed,
    point=point,
    chosen=rows.find(table, point),
    names=plots.NAMES,
    figures=figures,
    kinds=[*study.config.attack.adversaries, 'committee'],
    cost=rows.read_cost(study),
  )
