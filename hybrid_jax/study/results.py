"""Reads the results of a study from its work directory."""

from typing import Any

from hybrid_jax import files
from hybrid_jax.measures import measurement
from hybrid_jax.report import rows
from hybrid_jax.study import context
from hybrid_jax.study.strangers import join_folds


def gather(study: context.Study) -> list[rows.Row]:
  """Returns a row for each split point and embedding, in the study's order.

  A row has the figures of the release, `utility`, `validation_utility`,
  `leakage`, and the other measures of `config.attack.measures`, by their names.
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
  """Returns the measures of controls, by control and measure."""
  return {
    name: _measures(study, f'control-{name}', measurement.CONTROL)
    for name in names
  }


def _measures(study, target, split_point):
  results = {
    measure: study.read(measure, target, stage='attack')
    for measure in measurement.names(study.config.attack, split_point)
  }
  return {name: value for name, value in results.items() if value is not None}


def read_cost(study: context.Study) -> dict[str, Any]:
  """Returns the cost of each cut; empty before the export."""
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


def recommend_seen(study: context.Study) -> rows.Row:
  """Returns the row to deploy by the figures of the people of the data set."""
  return rows.recommend(gather(study), study.config.recommend.utility_loss)


def read_strangers(study: context.Study) -> dict[str, Any]:
  """Returns the figures of strangers; empty where there are none.

  See `strangers.join_folds.summarise`.
  """
  if not (study.workdir / 'strangers').exists():
    return {}
  return join_folds.summarise(study, recommend_seen(study)['split_point'])


def recommend(study: context.Study) -> rows.Row:
  """Returns the row to deploy, by strangers where they were audited."""
  return rows.recommend(
    gather(study),
    study.config.recommend.utility_loss,
    read_strangers(study),
  )
