"""Labels of a MotionSense recording: its activity, and facts of its person."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hybrid_jax.datasets import label_encoding
from hybrid_jax.datasets._motionsense import published_files

LABELS = (
  'activity',
  'gender',
  'person',
  'age_group',
  'height_group',
  'weight_group',
)
# Name to the feature, its unit, and the borders between the three groups: round
# numbers that divide the 24 people nearly equally.
_GROUPS = {
  'age_group': ('age', 'years', (25, 30)),
  'height_group': ('height', 'cm', (170, 180)),
  'weight_group': ('weight', 'kg', (65, 75)),
}


def encode(
  label: str, examples: Sequence[Mapping[str, Any]]
) -> tuple[np.ndarray, list[str]]:
  """Encodes a label of the recordings.

  Args:
    label: one of `LABELS`.
    examples: of the TFDS builder, one for each recording.

  Returns:
    `[recordings]` int32, and the names of the classes.
  """
  if label == 'person':
    codes = np.array([example['code'] for example in examples])
    values, names = label_encoding.encode(codes, label)
    return values, [f'person {name}' for name in names]
  if label == 'activity':
    names = list(published_files.ACTIVITIES.values())
    values = [example['activity'] for example in examples]
  elif label == 'gender':
    names = list(published_files.GENDERS)
    values = [example['gender'] for example in examples]
  else:
    feature, unit, (low, high) = _GROUPS[label]
    names = [
      f'under {low} {unit}',
      f'{low} to under {high} {unit}',
      f'{high} {unit} or more',
    ]
    values = np.digitize([e[feature] for e in examples], (low, high))
  return label_encoding.encode(np.array(values), label, names, unused='keep')
