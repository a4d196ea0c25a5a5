"""The study's figures, gathered; and the operating point they recommend."""

from collections.abc import Mapping
from typing import Any

from hybrid_jax import files, plugins
from hybrid_jax.audit import measurement
from hybrid_jax.study import context

Row = dict[str, Any]
# What a row has of its release.
RELEASE = (
  'split_point',
  'embedding',
  'dim',
  'rms',
  'sigma',
  'relative_noise',
)


def gather(study: context.Study) -> list[Row]:
  """One row for each split point and embedding, in the study's order.

  A row has the release's figures, `utility`, `validation_utility`, and every
  measure that was taken under its name: `leakage` always, and what else
  `config.attack.measures` asked for there.
  """
  rows = []
  for split_point, name in study.targets:
    target = f'{split_point}-{name}'
    released = study.read('release', target, stage='release')
    row = {key: released[key] for key in RELEASE}
    rows.append(
      row
      | {
        'utility': released['test'],
        'validation_utility': released['validation']['value'],
      }
      | _measures(study, target, split_point)
    )
  return rows


def controls(study: context.Study, names: tuple[str, ...]) -> dict[str, Any]:
  """The named controls' measures, by control and measure."""
  return {
    name: _measures(study, f'control-{name}', measurement.NOWHERE)
    for name in names
  }


def _measures(study, target, split_point):
  found = {
    measure: study.read(measure, target, stage='attack')
    for measure in measurement.asked(study.config.attack, split_point)
  }
  return {name: value for name, value in found.items() if value is not None}


def public(row: Row) -> Row:
  """A row or control as `metrics.json` has it; a page shows more."""
  out = {k: v for k, v in row.items() if k not in audit_names()}
  out |= {name: row[name] for name in ('ceiling', 'ranks') if name in row}
  out['leakage'] = {
    attribute: {
      k: v for k, v in figures.items() if k not in ('by_kind', 'by_windows')
    }
    for attribute, figures in row['leakage'].items()
  }
  if 'releases' in row:
    out['releases'] = {
      attribute: {
        'limit': found['limit'],
        'budget': found['budget'],
        'by_count': {
          k: {n: f[n] for n in ('value', 'low', 'high')}
          for k, f in found['by_count'].items()
        },
      }
      for attribute, found in row['releases'].items()
    }
  if 'reconstruction' in row:
    out['reconstruction'] = row['reconstruction']['attacks']
  return out


def audit_names() -> list[str]:
  """The names of all measures."""
  return plugins.known('measure')


def failures(found: dict[str, Any], rows: list[Row]) -> list[str]:
  """What the controls show to be wrong; each as one sentence.

  Pure noise must be at chance, that is, no better than the majority guess and
  no worse than a guess by the classes' shares; and raw inputs must leak at
  least as much as what is computed from them.
  """
  wrong = []
  for attribute, figures in found['noise']['leakage'].items():
    if figures['low'] > figures['chance'] or figures['high'] < figures['blind']:
      wrong.append(
        f'Pure noise is not at chance for {attribute}: {figures["value"]:.1%}'
        f' [{figures["low"]:.1%}, {figures["high"]:.1%}], where chance is'
        f' {figures["chance"]:.1%}.'
      )
  for attribute, raw in found.get('raw', {}).get('leakage', {}).items():
    worst = max(rows, key=lambda row: row['leakage'][attribute]['value'])
    part = (
      f', or saw too little: {n} examples' if (n := raw.get('examples')) else ''
    )
    if raw['high'] < worst['leakage'][attribute]['value']:
      wrong.append(
        f'The attack on raw inputs finds {attribute} in {raw["value"]:.1%},'
        f' less than at {worst["split_point"]} {worst["embedding"]}: it is too'
        f' weak{part}.'
      )
  return wrong


def recommend(rows: list[Row], utility_loss: float) -> Row:
  """The row to deploy, chosen on validation alone.

  Among the rows whose validation utility is within `utility_loss` of the whole
  network's, the one whose worst sensitive label leaks least, as the share of
  the way from chance to certainty; to a hundredth, then the earliest cut.
  """
  whole = max(
    row['validation_utility']
    for row in rows
    if row['embedding'] == context.SIMPLE
  )
  useful = [
    row for row in rows if row['validation_utility'] >= whole - utility_loss
  ]
  chosen = min(
    useful, key=lambda row: round(worst_advantage(row['leakage']), 2)
  )
  leaks = ', '.join(
    f'{attribute} {f["value"]:.1%} (chance {f["chance"]:.1%})'
    for attribute, f in chosen['leakage'].items()
  )
  return {
    'split_point': chosen['split_point'],
    'embedding': chosen['embedding'],
    'why': (
      f'Cut at {chosen["split_point"]} and release'
      f' {chosen["embedding"]}: of the {len(useful)} points whose validation'
      f' utility is within {utility_loss:.1%} of the whole network'
      f' ({whole:.1%}), its worst sensitive label leaks least; on the test fold'
      f' its utility is {chosen["utility"]["value"]:.1%}, and the best attacker'
      f' finds {leaks}.'
    ),
  }


def find(rows: list[Row], point: dict[str, str]) -> Row:
  """The row of a point, which `recommend` gives."""
  names = ('split_point', 'embedding')
  return next(r for r in rows if all(r[n] == point[n] for n in names))


def worst_advantage(
  leakage: Mapping[str, Mapping[str, Any]], fold: str = 'validation'
) -> float:
  """How far the worst label is from chance to certainty.

  Args:
    leakage: of a row or a point.
    fold: `'validation'`, to choose by, or `'test'`.
  """
  value, chance = (
    ('value', 'chance')
    if fold == 'test'
    else ('validation', 'validation_chance')
  )
  return max((f[value] - f[chance]) / (1 - f[chance]) for f in leakage.values())


def read_cost(study: context.Study) -> dict[str, Any]:
  """What each cut costs; empty before the export."""
  path = study.result('export')
  return files.read_json(path) if path.exists() else {}


def read_deployed(study: context.Study) -> list[Row]:
  """Returns the rows of the audited bundles; see `study.audit_bundle`."""
  folder = study.result('deployed', 'any').parent
  return [files.read_json(path) for path in sorted(folder.glob('*.json'))]


def read_rivals(study: context.Study) -> dict[str, Any]:
  """The comparison with other defences; empty where there was none."""
  path = study.result('rivals')
  return files.read_json(path) if path.exists() else {}
