"""Gathers a study's figures from its work directory."""

from typing import Any

from hybrid_jax import files
from hybrid_jax.audit import measurement
from hybrid_jax.report import rows
from hybrid_jax.study import context


def gather(study: context.Study) -> list[rows.Row]:
  """One row for each split point and embedding, in the study's order.

  A row has the release's figures, `utility`, `validation_utility`, and every
  measure that was taken under its name: `leakage` always, and what else
  `config.attack.measures` asked for there.
  """
  table = []
  for split_point, name in study.targets:
    target = f'{split_point}-{name}'
    released = study.read('release', target, stage='release')
    row = {key: released[key] for key in rows.RELEASE_FIELDS}
    table.append(
      row
      | {
        'title': study.title(name),
        'place': study.place(name),
        'utility': released['test'],
        'validation_utility': released['validation']['value'],
      }
      | _measures(study, target, split_point)
    )
  return table


def controls(study: context.Study, names: tuple[str, ...]) -> dict[str, Any]:
  """The named controls' measures, by control and measure."""
  return {
    name: _measures(study, f'control-{name}', measurement.CONTROL)
    for name in names
  }


def _measures(study, target, split_point):
  found = {
    measure: study.read(measure, target, stage='attack')
    for measure in measurement.names(study.config.attack, split_point)
  }
  return {name: value for name, value in found.items() if value is not None}


def read_cost(study: context.Study) -> dict[str, Any]:
  """What each cut costs; empty before the export."""
  path = study.result('export')
  return files.read_json(path) if path.exists() else {}


def read_deployed(study: context.Study) -> list[rows.Row]:
  """Returns the rows of the audited bundles; see `study.audit_bundle`."""
  folder = study.result('deployed', 'any').parent
  return [files.read_json(path) for path in sorted(folder.glob('*.json'))]


def read_grid(study: context.Study) -> dict[str, Any]:
  """Returns the summary of the study's grid; empty if it has none."""
  path = study.result('grid')
  return files.read_json(path) if path.exists() else {}
