"""Rows of figures, one for each split point and embedding.

Also the check of the controls, and the choice of the row to deploy.
"""

from collections.abc import Mapping
from typing import Any

from hybrid_jax import plugins
from hybrid_jax.release import embeddings

Row = dict[str, Any]
# The figures of the release itself.
RELEASE_FIELDS = (
  'split_point',
  'embedding',
  'dim',
  'rms',
  'sigma',
  'relative_noise',
)

# Fields for pages, which `metrics.json` does not have.
_SHOWN = ('title', 'place')


def public(row: Row) -> Row:
  """Returns the part of a row or control that `metrics.json` holds.

  Args:
    row: all figures, as the page shows them.
  """
  out = {k: v for k, v in row.items() if k not in (*measure_names(), *_SHOWN)}
  out |= {name: row[name] for name in ('ceiling', 'ranks') if name in row}
  out['leakage'] = {
    attribute: {k: v for k, v in figures.items() if k != 'by_kind'}
    for attribute, figures in row['leakage'].items()
  }
  if 'releases' in row:
    out['releases'] = {
      attribute: {
        'limit': figures['limit'],
        'budget': figures['budget'],
        'by_count': {
          count: {k: f[k] for k in ('value', 'low', 'high')}
          for count, f in figures['by_count'].items()
        },
      }
      for attribute, figures in row['releases'].items()
    }
  if 'reconstruction' in row:
    out['reconstruction'] = row['reconstruction']['attacks']
    if recognition := row['reconstruction'].get('recognition'):
      out['recognition'] = recognition
  return out


def measure_names() -> list[str]:
  """Returns the names of all measures."""
  return plugins.known('measure')


def failed_controls(controls: dict[str, Any], rows: list[Row]) -> list[str]:
  """Returns one sentence for each control that fails.

  Pure noise must be at chance: no better than the majority guess, and no worse
  than a random guess in proportion to the classes. Raw inputs must leak at
  least as much as any row, since all rows are computed from them.

  Args:
    controls: the measures of `noise`, and of `raw` where it was attacked.
    rows: the table.
  """
  sentences = []
  for attribute, figures in controls['noise']['leakage'].items():
    if figures['low'] > figures['chance'] or figures['high'] < figures['blind']:
      sentences.append(
        f'Pure noise is not at chance for {attribute}: {figures["value"]:.1%}'
        f' [{figures["low"]:.1%}, {figures["high"]:.1%}], where chance is'
        f' {figures["chance"]:.1%}.'
      )
  for attribute, raw in controls.get('raw', {}).get('leakage', {}).items():
    worst = max(rows, key=lambda row: row['leakage'][attribute]['value'])
    part = (
      f', or saw too little: {n} examples' if (n := raw.get('examples')) else ''
    )
    if raw['high'] < worst['leakage'][attribute]['value']:
      sentences.append(
        f'The attack on raw inputs finds {attribute} in {raw["value"]:.1%},'
        f' less than at {worst["split_point"]} {worst["embedding"]}: it is too'
        f' weak{part}.'
      )
  return sentences


def recommend(
  rows: list[Row],
  utility_loss: float,
  strangers: Mapping[str, Any] | None = None,
) -> Row:
  """Chooses the row to deploy, on the validation fold alone.

  A row qualifies if its validation utility is within `utility_loss` of the
  whole network's. Of these the one with the smallest `worst_advantage`, rounded
  to a hundredth, is chosen; of equals the first. Where there are figures of
  strangers, they choose the embedding at the split point of that row, by the
  same rule.

  Args:
    rows: the table.
    utility_loss: the loss of utility that is accepted, from 0 to 1.
    strangers: see `study.strangers.join_folds.summarise`; may be empty.

  Returns:
    `split_point`, `embedding`, and `why`, a sentence.
  """
  best = max(
    row['validation_utility']
    for row in rows
    if row['embedding'] == embeddings.SIMPLE
  )
  useful, chosen = _least_leaking(rows, best - utility_loss)
  split_point, embedding = chosen['split_point'], chosen['embedding']
  whose, whole = 'the whole network', best
  if strangers:
    by_embedding = strangers['embeddings']
    simple = by_embedding.get(embeddings.SIMPLE)
    whole = max(
      figures['validation_utility']
      for figures in ([simple] if simple else by_embedding.values())
    )
    named = [{'embedding': n, **f} for n, f in by_embedding.items()]
    useful, chosen = _least_leaking(named, whole - utility_loss)
    embedding = chosen['embedding']
    whose = 'the simple features, both for people whom the network never saw'
  leaks = ', '.join(
    f'{attribute} {f["value"]:.1%} (chance {f["chance"]:.1%})'
    for attribute, f in chosen['leakage'].items()
  )
  points = 'point' if len(useful) == 1 else 'points'
  return {
    'split_point': split_point,
    'embedding': embedding,
    'why': (
      f'Cut at {split_point} and release {embedding}: of the {len(useful)}'
      f' {points} whose validation utility is within {utility_loss:.1%} of'
      f' {whose} ({whole:.1%}), its worst sensitive label leaks least; on the'
      f' test fold its utility is {chosen["utility"]["value"]:.1%}, and the'
      f' best attacker finds {leaks}.'
    ),
  }


def _least_leaking(rows, least_utility):
  """The rows that are useful enough, and the one of them that leaks least."""
  useful = [row for row in rows if row['validation_utility'] >= least_utility]
  return useful, min(
    useful, key=lambda row: round(worst_advantage(row['leakage']), 2)
  )


def find(rows: list[Row], point: dict[str, str]) -> Row:
  """Returns the row with the split point and embedding of `point`."""
  names = ('split_point', 'embedding')
  return next(r for r in rows if all(r[n] == point[n] for n in names))


def worst_advantage(
  leakage: Mapping[str, Mapping[str, Any]], fold: str = 'validation'
) -> float:
  """Returns the largest advantage over chance of all sensitive labels.

  The advantage is `(accuracy - chance) / (1 - chance)`: 0 at chance and 1 where
  the attacker is always right.

  Args:
    leakage: the leakage of a row, by label.
    fold: `'validation'`, to choose a row, or `'test'`.
  """
  value, chance = (
    ('value', 'chance')
    if fold == 'test'
    else ('validation', 'validation_chance')
  )
  return max((f[value] - f[chance]) / (1 - f[chance]) for f in leakage.values())
