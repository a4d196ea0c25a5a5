"""Stage `report`: writes the metrics and the page, and prints the table."""

from hybrid_jax import files, progress
from hybrid_jax.report import page, rows, tables
from hybrid_jax.study import config_parts, context, grid, problems, results


def run(study: context.Study) -> None:
  """Writes `metrics.json` and `report.html`, and prints the table."""
  table = results.gather(study)
  controls = results.controls(study, problems.CONTROLS)
  failed = rows.failed_controls(controls, table)
  comparison = results.read_grid(study)
  point = results.recommend(study)
  unseen = results.read_strangers(study)
  deployed = results.read_deployed(study)
  data = study.read('data', stage='data')
  files.write_json(
    study.workdir / 'metrics.json',
    {
      'rows': [rows.public(row) for row in table],
      'controls': {k: rows.public(v) for k, v in controls.items()},
      'failed_controls': failed,
      'recommended': point,
      'strangers': unseen,
      'deployed': [rows.public(row) for row in deployed],
      'rivals': grid.public(comparison),
      'data': {
        name: data[name]
        for name in ('faults', 'remarks', 'copies')
        if name in data  # Not in the work directory of an earlier version.
      },
    },
  )
  files.write_bytes(
    study.workdir / 'report.html',
    page.render(
      study.config.data.name,
      data,
      results.read_cost(study),
      table,
      controls,
      failed,
      point,
      comparison,
      deployed,
      unseen,
      config_parts.missing_parts(study.config),
    ).encode(),
  )
  print(tables.terminal(table, controls))
  if unseen:
    print(tables.strangers(unseen))
  for sentence in failed:
    print(f'FAILED CONTROL: {sentence}')
  print(f'\nRecommended: {point["why"]}')
  progress.say(f'report: {study.workdir / "report.html"}')
