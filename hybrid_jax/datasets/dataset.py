"""`Dataset`, which every data set's `load` returns, and its validation.

A data set is one module of this folder: `load(config) -> Dataset`, and
`OPTIONS`, its settings.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from hybrid_jax import errors, plugins
from hybrid_jax.datasets import sources

TRAIN, VALIDATION, TEST = 0, 1, 2
FOLDS = ('train', 'validation', 'test')
# Windows of no training of the network, from which only attackers learn. A data
# set may have none: attackers then learn from the training fold.
ATTACK = 3
# A setting of the data sets that are a user's own.
PEOPLE = {
  'people': plugins.Option(
    '',
    'Sensitive label whose classes are people; they are audited as strangers.',
  ),
}


@dataclasses.dataclass(frozen=True)
class Dataset:
  """Examples in the units of the sensor, with their labels and folds.

  Attributes:
    x: `[n, ...]` float32, an array or a `Source`.
    primary: `[n]` int32, the label that the cloud should learn.
    sensitive: name to `[n]` int32, the labels that it should not learn.
    recording: `[n]` int32, the recording that an example was cut from.
      Confidence intervals are bootstrapped over recordings.
    fold: `[n]` int8, `TRAIN`, `VALIDATION`, `TEST` or `ATTACK`.
    primary_names: the names of the primary classes.
    sensitive_names: label to the names of its classes.
    channels: the names of the channels (the last axis of `x`), with units.
    hertz: samples a second of a signal; None if it is unknown.
    remarks: how the data were understood, one line each.
    people: the sensitive label whose classes are people; empty for none.
  """

  x: np.ndarray | sources.Source
  primary: np.ndarray
  sensitive: Mapping[str, np.ndarray]
  recording: np.ndarray
  fold: np.ndarray
  primary_names: Sequence[str]
  sensitive_names: Mapping[str, Sequence[str]]
  channels: Sequence[str] = ()
  hertz: float | None = None
  remarks: Sequence[str] = ()
  people: str = ''

  def labels(self) -> dict[str, np.ndarray]:
    """Returns the primary and the sensitive labels by name."""
    return {'primary': self.primary, **self.sensitive}

  def names(self) -> dict[str, Sequence[str]]:
    """Returns the names of each label's classes."""
    return {'primary': self.primary_names, **self.sensitive_names}


def as_tuple(names: str | Sequence[str]) -> tuple[str, ...]:
  """Returns names as a tuple; a setting may also be a single name."""
  return (names,) if isinstance(names, str) else tuple(names)


def is_image(shape: tuple[int, ...]) -> bool:
  """Returns whether `shape` is of grey or colour images `[n, h, w, c]`."""
  return len(shape) == 4 and shape[1] > 1 and shape[3] in (1, 3)


def validate(data: Dataset) -> Dataset:
  """Checks that a data set can be studied.

  Args:
    data: the data set. If `x` is a `Source`, no example is read.

  Returns:
    The data set. A `Source` is wrapped, so that its values are checked when
    they are read.

  Raises:
    UserError: a value is NaN or infinite, an array has the wrong type, rank,
      length or range, a fold is empty, or a label has fewer than two classes or
      none of a class in the train fold; the message names the array and the
      value.
  """
  if not len(data.x):
    raise errors.UserError('the data set holds no example.')
  if data.people:
    errors.check_known(
      'sensitive label', data.people, data.sensitive, 'data.people'
    )
  check_types(data)
  _check_lengths(data)
  if isinstance(data.x, sources.Source):
    x = sources.FiniteCheckedSource(data.x, data.recording)
    data = dataclasses.replace(data, x=x)
  else:
    _check_finite(data.x, data.recording)
  for fold, name in enumerate(FOLDS):
    if not (data.fold == fold).any():
      raise errors.UserError(f'the {name} fold is empty.')
  for label, values in data.labels().items():
    _check_classes(label, values, data.names()[label], data.fold)
  return data


def check_types(data: Dataset) -> None:
  """Checks the types and ranks of all arrays, and the values of `fold`.

  Raises:
    UserError: `x` is not float32 of two axes or more, a label, `fold` or
      `recording` is not `[n]` of whole numbers, or `fold` holds another number
      than 0 to 3; the message names the array.
  """
  shape, dtype = tuple(data.x.shape), np.dtype(data.x.dtype)
  if dtype != np.float32 or len(shape) < 2:
    raise errors.UserError(
      f"'x' is {dtype} of shape {shape}; it must be float32 of shape"
      ' [examples, ...], with two axes or more.'
    )
  for name, values in _columns(data).items():
    values = np.asarray(values)
    if values.dtype.kind not in 'iu' or values.ndim != 1:
      raise errors.UserError(
        f'{name!r} is {values.dtype} of shape {values.shape}; it must be one'
        f' whole number for each of {shape[0]} examples.'
      )
  wrong = ~np.isin(data.fold, (TRAIN, VALIDATION, TEST, ATTACK))
  if wrong.any():
    row = int(np.argmax(wrong))
    raise errors.UserError(
      f"'fold' is {int(data.fold[row])} in row {row}; 0 is train, 1 validation,"
      ' 2 test, 3 attack.'
    )


def _columns(data):
  """The arrays with one number for each example."""
  return {**data.labels(), 'recording': data.recording, 'fold': data.fold}


def _check_finite(x, recording):
  finite = np.isfinite(x).reshape(len(x), -1).all(axis=1)
  if not finite.all():
    row = int(np.argmin(finite))
    raise errors.UserError(
      f'{int((~finite).sum())} of {len(x)} examples hold NaN or infinity; the'
      f' first is example {row}, of recording {int(recording[row])}.'
    )


def _check_lengths(data):
  for name, values in _columns(data).items():
    if len(values) != len(data.x):
      raise errors.UserError(
        f'{name!r} has {len(values)} entries, and there are {len(data.x)}'
        ' examples.'
      )


def _check_classes(label, values, names, fold):
  count = len(names)
  if count < 2:
    raise errors.UserError(
      f'label {label!r} has one class only ({", ".join(map(str, names))}); two'
      ' or more are needed.'
    )
  if values.min() < 0 or values.max() >= count:
    raise errors.UserError(
      f'label {label!r} holds {int(values.min())} to {int(values.max())}; its'
      f' {count} classes allow 0 to {count - 1}.'
    )
  train = np.bincount(values[fold == TRAIN], minlength=count)
  if not train.all():
    raise errors.UserError(
      f'class {names[int(np.argmin(train))]!r} of label {label!r} is empty in'
      ' the train fold: it needs at least one training example.'
    )
