"""What is known of a MotionSense recording and its person, as labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hybrid_jax.datasets._recordings import reader

LABELS = (
  'activity',
  'gender',
  'person',
  'age_group',
  'height_group',
  'weight_group',
)
# Where groups are cut: round figures near the thirds of the 24 people.
_GROUPS = {
  'age_group': ('age', 'years', (25, 30)),
  'height_group': ('height', 'cm', (170, 180)),
  'weight_group': ('weight', 'kg', (65, 75)),
}


def label(
  name: str, found: Sequence[Mapping[str, Any]]
) -> tuple[np.ndarray, list[str]]:
  """`[recordings]` int32, and what the classes are called.

  Args:
    name: one of `LABELS`.
    found: the builder's examples, one a recording.
  """
  if name == 'activity':
    values, names = [e['activity'] for e in found], reader.ACTIVITIES
    return np.array(values, np.int32), list(names.values())
  if name == 'gender':
    values = [e['gender'] for e in found]
    return np.array(values, np.int32), list(reader.GENDERS)
  if name == 'person':
    codes, values = np.unique([e['code'] for e in found], return_inverse=True)
    return values.astype(np.int32), [f'person {code}' for code in codes]
  key, unit, (low, high) = _GROUPS[name]
  values = np.digitize([e[key] for e in found], (low, high))
  return values.astype(np.int32), [
    f'under {low} {unit}',
    f'{low} to under {high} {unit}',
    f'{high} {unit} or more',
  ]
