"""Which cut to choose, of those whose cost was measured."""

from collections.abc import Mapping
from typing import Any

# The two ends: nothing leaves the device, and nothing runs on it.
WHOLE, RAW = 'all on the device', 'raw input sent'
# What a full advantage of the best attacker, the time of the whole network on
# the device, and the bytes of the raw input weigh against each other.
WEIGHTS = {'leak': 1.0, 'time': 0.05, 'bytes': 0.05}


def advise(out: Mapping[str, Any], whole_utility: float) -> dict[str, str]:
  """The cut and variant of the least weighted cost.

  The cost is `leak` times the worst label's advantage on validation, plus
  `time` times the device's median milliseconds over those of the whole network
  there in float32, plus `bytes` times what is sent over the raw input. Only
  cuts count whose validation utility is within `utility_loss` of the whole
  network's; the two ends do not.

  Args:
    out: see `cost.run`.
    whole_utility: the whole network's, on validation.
  """
  whole = next(r for r in out['rows'] if r['cut'] == WHOLE)
  raw = next(r for r in out['rows'] if r['cut'] == RAW)
  weights = out['weights']

  def price(row):
    return (
      weights['leak'] * row['validation_advantage']
      + weights['time'] * row['one']['p50_ms'] / whole['one']['p50_ms']
      + weights['bytes'] * row['sent_bytes'] / raw['sent_bytes']
    )

  useful = [
    row
    for row in out['rows']
    if row['cut'] not in (WHOLE, RAW)
    and row['validation_utility'] >= whole_utility - out['utility_loss']
  ]
  if not useful:
    useful = [r for r in out['rows'] if r['cut'] not in (WHOLE, RAW)]
  best = min(useful, key=price)
  return {
    'cut': best['cut'],
    'embedding': best['embedding'],
    'variant': best['variant'],
  }
