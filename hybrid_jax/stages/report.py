"""Gathers the figures: `metrics.json`, a table, and one page to read."""

from hybrid_jax import files, progress
from hybrid_jax.report import page, rows, tables
from hybrid_jax.stages import base, problems


def run(study: base.Study) -> None:
  """Writes `metrics.json` and `report.html`, and prints the table."""
  table = rows.gather(study)
  controls = rows.controls(study, problems.CONTROLS)
  failed = rows.failures(controls, table)
  point = rows.recommend(table, study.config.recommend.utility_loss)
  files.write_json(
    study.workdir / 'metrics.json',
    {
      'rows': [_public(row) for row in table],
      'controls': controls,
      'failed_controls': failed,
      'recommended': point,
    },
  )
  files.write_bytes(
    study.workdir / 'report.html',
    page.render(study, table, controls, failed, point).encode(),
  )
  print(tables.terminal(table, controls))
  for sentence in failed:
    print(f'FAILED CONTROL: {sentence}')
  print(f'\nRecommended: {point["why"]}')
  progress.say(f'report: {study.workdir / "report.html"}')


def _public(row):
  """The row, without what only the report shows."""
  leakage = {
    attribute: {k: v for k, v in figures.items() if k != 'by_kind'}
    for attribute, figures in row['leakage'].items()
  }
  return row | {'leakage': leakage}
