"""Recommends a split point and variant by their measured costs."""

from collections.abc import Mapping
from typing import Any

from hybrid_jax.deploy.export import variants

# The two extremes: nothing is sent, and nothing runs on the device.
WHOLE, RAW = 'all on the device', 'raw input sent'
# The weights of: the best attacker's advantage; the time on the device,
# relative to the whole network there; the bytes sent, relative to the raw
# input.
WEIGHTS = {'leak': 1.0, 'time': 0.05, 'bytes': 0.05}


def recommend(costs: Mapping[str, Any], whole_utility: float) -> dict[str, str]:
  """Returns the split point, embedding and variant of the least weighted cost.

  The cost of a row is `leak` times the worst label's advantage on validation,
  plus `time` times the median time on the device over that of the whole network
  there in float32, plus `bytes` times the bytes sent over those of the raw
  input. Only rows whose validation utility is within `utility_loss` of the
  whole network's are considered, and whose files agree with the network often
  enough to be exported; if there is none, all are. The two extremes are never
  recommended.

  Args:
    costs: `rows`, `weights` and `utility_loss`; see `cost.run`.
    whole_utility: the validation utility of the whole network.
  """
  whole = next(r for r in costs['rows'] if r['cut'] == WHOLE)
  raw = next(r for r in costs['rows'] if r['cut'] == RAW)
  weights = costs['weights']

  def weighted_cost(row):
    return (
      weights['leak'] * row['validation_advantage']
      + weights['time'] * row['one']['p50_ms'] / whole['one']['p50_ms']
      + weights['bytes'] * row['sent_bytes'] / raw['sent_bytes']
    )

  cuts = [row for row in costs['rows'] if row['cut'] not in (WHOLE, RAW)]
  cuts = [
    row for row in cuts if row.get('agreement', 1) >= variants.MIN_AGREEMENT
  ] or cuts
  useful = [
    row
    for row in cuts
    if row['validation_utility'] >= whole_utility - costs['utility_loss']
  ]
  best = min(useful or cuts, key=weighted_cost)
  return {key: best[key] for key in ('cut', 'embedding', 'variant')}
