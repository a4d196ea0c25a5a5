"""The study's figures, gathered; and the operating point they recommend."""

from typing import Any

from hybrid_jax import files
from hybrid_jax.stages import base

Row = dict[str, Any]


def gather(study: base.Study) -> list[Row]:
  """One row for each split point and embedding, in the study's order."""
  rows = []
  for split_point in study.split_points:
    for name in study.embeddings:
      target = f'{split_point}-{name}'
      released = study.read('release', target, stage='release')
      rows.append(
        {
          **{
            key: released[key]
            for key in (
              'split_point',
              'embedding',
              'dim',
              'rms',
              'sigma',
              'relative_noise',
            )
          },
          'utility': released['test'],
          'validation_utility': released['validation']['value'],
          'leakage': study.read('attack', target, stage='attack'),
        }
      )
  return rows


def controls(study: base.Study, names: tuple[str, ...]) -> dict[str, Any]:
  """The named controls' figures."""
  return {
    name: study.read('attack', f'control-{name}', stage='attack')
    for name in names
  }


def failures(found: dict[str, Any], rows: list[Row]) -> list[str]:
  """What the controls show to be wrong; each as one sentence.

  Pure noise must be at chance, that is, no better than the majority guess and
  no worse than a guess by the classes' shares; and raw inputs must leak at
  least as much as what is computed from them.
  """
  wrong = []
  for attribute, figures in found['noise'].items():
    if figures['low'] > figures['chance'] or figures['high'] < figures['blind']:
      wrong.append(
        f'Pure noise is not at chance for {attribute}: {figures["value"]:.1%}'
        f' [{figures["low"]:.1%}, {figures["high"]:.1%}], where chance is'
        f' {figures["chance"]:.1%}.'
      )
  for attribute, raw in found['raw'].items():
    worst = max(rows, key=lambda row: row['leakage'][attribute]['value'])
    if raw['high'] < worst['leakage'][attribute]['value']:
      wrong.append(
        f'The attack on raw inputs finds {attribute} in {raw["value"]:.1%},'
        f' less than at {worst["split_point"]} {worst["embedding"]}: it is too'
        ' weak.'
      )
  return wrong


def recommend(rows: list[Row], utility_loss: float) -> Row:
  """The row to deploy, chosen on validation alone.

  Among the rows whose validation utility is within `utility_loss` of the whole
  network's, the one whose worst sensitive label leaks least, as the share of
  the way from chance to certainty; to a hundredth, then the earliest cut.
  """
  whole = max(
    row['validation_utility'] for row in rows if row['embedding'] == base.SIMPLE
  )
  useful = [
    row for row in rows if row['validation_utility'] >= whole - utility_loss
  ]
  chosen = min(useful, key=lambda row: round(worst_advantage(row), 2))
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


def worst_advantage(row: Row) -> float:
  """How far the worst label is from chance to certainty, on validation."""
  return max(
    (f['validation'] - f['validation_chance']) / (1 - f['validation_chance'])
    for f in row['leakage'].values()
  )


def read_cost(study: base.Study) -> dict[str, Any]:
  """What each cut costs; empty before the export."""
  path = study.result('export')
  return files.read_json(path) if path.exists() else {}
