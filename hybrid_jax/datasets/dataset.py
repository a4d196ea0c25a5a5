"""What every data set gives, how it is checked, and how windows are cut.

A data set is one file beside this one with `load(config) -> Dataset`, and
`OPTIONS`, the settings it understands.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from hybrid_jax import errors, progress
from hybrid_jax.datasets import sources, value_checks

_BLOCK = 256  # examples in memory at once

TRAIN, VALIDATION, TEST = 0, 1, 2
FOLDS = ('train', 'validation', 'test')


@dataclasses.dataclass(frozen=True)
class Dataset:
  """Examples in the units of the sensor, with their labels and folds.

  Attributes:
    x: `[n, ...]` float32, one example a row; or a `Source` of them.
    primary: `[n]` int32, the label that the cloud should learn.
    sensitive: name to `[n]` int32, the labels that it should not.
    recording: `[n]` int32, which recording an example was cut from; intervals
      are bootstrapped over these.
    fold: `[n]` int8, `TRAIN`, `VALIDATION` or `TEST`.
    primary_names: what the primary classes are called.
    sensitive_names: name to what its classes are called.
    channels: the last axis of `x`, each with its unit.
  """

  x: np.ndarray | sources.Source
  primary: np.ndarray
  sensitive: Mapping[str, np.ndarray]
  recording: np.ndarray
  fold: np.ndarray
  primary_names: Sequence[str]
  sensitive_names: Mapping[str, Sequence[str]]
  channels: Sequence[str] = ()

  def labels(self) -> dict[str, np.ndarray]:
    """The primary and all sensitive labels by name."""
    return {'primary': self.primary, **self.sensitive}


def check(data: Dataset) -> Dataset:
  """`data` if it can be studied; of a `Source`, values are checked when read.

  Raises:
    UserError: a value is not finite, a label has the wrong length or range, a
      class or fold is empty, or there is one class only; it names the value.
  """
  n = len(data.x)
  if not n:
    raise errors.UserError('the data set holds no example.')
  value_checks.check(data)
  finite = (
    np.ones(n, bool)
    if isinstance(data.x, sources.Source)
    else np.isfinite(data.x).reshape(n, -1).all(axis=1)
  )
  if not finite.all():
    row = int(np.argmin(finite))
    raise errors.UserError(
      f'{int((~finite).sum())} of {n} examples hold NaN or infinity; the first'
      f' is example {row}, of recording {int(data.recording[row])}.'
    )
  names = {'primary': data.primary_names, **data.sensitive_names}
  arrays = {**data.labels(), 'recording': data.recording, 'fold': data.fold}
  for name, values in arrays.items():
    if len(values) != n:
      raise errors.UserError(
        f'{name!r} has {len(values)} entries, and there are {n} examples.'
      )
  for fold, fold_name in enumerate(FOLDS):
    if not (data.fold == fold).any():
      raise errors.UserError(f'the {fold_name} fold is empty.')
  for name, values in data.labels().items():
    _check_classes(name, values, names[name], data.fold)
  if isinstance(data.x, sources.Source):
    checked = sources.FiniteCheckedSource(data.x, data.recording)
    return dataclasses.replace(data, x=checked)
  return data


def _check_classes(name, values, class_names, fold):
  k = len(class_names)
  if k < 2:
    raise errors.UserError(
      f'label {name!r} has one class only ({", ".join(map(str, class_names))});'
      ' two or more are needed.'
    )
  if values.min() < 0 or values.max() >= k:
    raise errors.UserError(
      f'label {name!r} holds {int(values.min())} to {int(values.max())}; its'
      f' {k} classes allow 0 to {k - 1}.'
    )
  counts = np.bincount(values[fold == TRAIN], minlength=k)
  if not counts.all():
    empty = class_names[int(np.argmin(counts))]
    raise errors.UserError(
      f'class {empty!r} of label {name!r} is empty in the train fold.'
    )


def cut_windows(
  lengths: Sequence[int],
  window: int,
  hop: int,
  fractions: Sequence[float],
  gap: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Places windows so that none crosses a fold border.

  Each recording is cut in time: its first part trains, then a gap, validation,
  a gap, and the last part tests.

  Args:
    lengths: samples in each recording.
    window: samples in a window.
    hop: samples from one window's start to the next.
    fractions: shares of train, validation and test, of what the gaps leave.
    gap: samples dropped at each of the two borders.

  Returns:
    `recording [n]`, `start [n]` in samples, and `fold [n]`.

  Raises:
    UserError: a recording has a part shorter than a window.
  """
  for name, value in (('window', window), ('hop', hop)):
    if value < 1:
      raise errors.UserError(
        f'{name} is {value}; it must be at least 1 sample.'
      )
  if len(fractions) != 3 or min(fractions) <= 0 or gap < 0:
    raise errors.UserError(
      f'fractions {tuple(fractions)} must be three positive shares, and gap'
      f' {gap} must not be negative.'
    )
  rows = []
  shares = np.cumsum([0, *fractions]) / sum(fractions)
  for recording, length in enumerate(lengths):
    usable = length - 2 * gap
    for fold in range(3):
      low = int(shares[fold] * usable) + fold * gap
      high = int(shares[fold + 1] * usable) + fold * gap
      if high - low < window:
        raise errors.UserError(
          f'recording {recording} has {length} samples, of which'
          f' {max(high - low, 0)} fall to the {FOLDS[fold]} fold: shorter than'
          f' a window of {window}.'
        )
      rows += [(recording, s, fold) for s in range(low, high - window + 1, hop)]
  table = np.array(rows, np.int32)
  return table[:, 0], table[:, 1], table[:, 2].astype(np.int8)


@dataclasses.dataclass(frozen=True)
class Normalizer:
  """Per-channel mean and standard deviation of the training examples."""

  mean: np.ndarray
  std: np.ndarray

  def __call__(self, x: np.ndarray) -> np.ndarray:
    """`[..., channels]` in sensor units to zero mean and unit variance."""
    return ((x - self.mean) / self.std).astype(np.float32)


class NormalizedSource(sources.Source):
  """Another source's examples, normalized when they are read."""

  def __init__(self, source: sources.Source, normalizer: Normalizer):
    self.shape, self.memory_budget = source.shape, source.memory_budget
    self.dtype = np.dtype(np.float32)
    self._source, self._normalizer = source, normalizer

  def __getitem__(self, index: int) -> np.ndarray:
    return self._normalizer(self._source[index])

  def read_rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    return self._normalizer(self._source.read_rows(indices))


def normalize(
  x: np.ndarray | sources.Source, normalizer: Normalizer
) -> np.ndarray | sources.Source:
  """`x [n, ..., channels]` normalized; a `Source` as it is read."""
  if isinstance(x, sources.Source):
    return NormalizedSource(x, normalizer)
  return normalizer(x)


def fit_normalizer(x: np.ndarray | sources.Source) -> Normalizer:
  """The normalizer of `x` `[n, ..., channels]`; a constant channel keeps 1."""
  if isinstance(x, sources.Source):
    mean, std = _moments(x)
  else:
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axis=axes, dtype=np.float64)
    std = x.std(axis=axes, dtype=np.float64)
  return Normalizer(
    mean=mean.astype(np.float32),
    std=np.where(std > 0, std, 1).astype(np.float32),
  )


def _moments(x):
  """Each channel's mean and deviation, read once, by Chan's rule for blocks.

  Chan, Golub and LeVeque, "Algorithms for computing the sample variance", The
  American Statistician 37 (1983): no difference of large sums is taken.
  """
  count, mean, squares = 0, np.float64(0), np.float64(0)
  with progress.Progress('normalize', len(x), unit='example') as bar:
    for block in sources.iter_blocks(x, _BLOCK):
      flat = block.reshape(-1, block.shape[-1]).astype(np.float64)
      new = flat.mean(axis=0)
      step = new - mean
      total = count + len(flat)
      squares += np.square(flat - new).sum(axis=0)
      squares += np.square(step) * count * len(flat) / total
      mean = mean + step * len(flat) / total
      count = total
      bar.advance(len(block))
  return mean, np.sqrt(squares / count)


def is_image(shape: tuple[int, ...]) -> bool:
  """Tells whether `[n, ...]` holds grey or colour images `[n, h, w, c]`."""
  return len(shape) == 4 and shape[1] > 1 and shape[3] in (1, 3)
