"""The study's figures, gathered; and the operating point they recommend."""

from collections.abc import Mapping
from typing import Any

from hybrid_jax import plugins
from hybrid_jax.release import embeddings

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
    if row['embedding'] == embeddings.SIMPLE
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
