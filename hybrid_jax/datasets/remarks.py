"""What is worth knowing of data before a study, a sentence each.

Nothing here is wrong for certain; `check_data` tells what is.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from hybrid_jax.datasets import dataset, label_encoding

_FAR = 20  # interquartile ranges from the median to an outlier
_RARE = 100  # deviations from the mean, of a channel that hardly changes
_WIDE = 1e3  # widest over narrowest channel
_BRIGHT = 16  # of images from 0 to 1, or normalized
_FEW = 20  # recordings in the test fold
_DEEP = 4  # channels that an image has at most, usually
_TOLD = 5  # outliers that have a sentence of their own


def outliers(
  channels: Sequence[str],
  values: np.ndarray,
  where: np.ndarray,
  quartiles: np.ndarray,
) -> Iterator[str]:
  """Channels whose least or largest value is far from all others.

  The distance is measured in interquartile ranges, which one wild value does
  not change, as it would the deviation: of n values, none is further than
  sqrt(n) deviations from their mean.

  Args:
    channels: their names.
    values: `[channels, 4]`: least, most, mean and deviation of each.
    where: `[channels, 2]`: the examples with the least and the largest value.
    quartiles: `[channels, 3]`: the median is the second.
  """
  found = []
  for name, (least, most, mean, std), rows, (low, median, high) in zip(
    channels, values, where, quartiles, strict=True
  ):
    side = int(most - median >= median - least)
    value, spread = (least, most)[side], high - low
    far = abs(value - median)
    if spread and far > _FAR * spread:
      reason = f'{far / spread:.3g} interquartile ranges from the median'
    elif not spread and std and abs(value - mean) > _RARE * std:
      reason = 'and the same for nearly all others'
    else:
      continue
    found.append(
      f'{name} is {value:.4g} in example {rows[side]}, {reason}, {median:.4g}:'
      ' an outlier, or a code for what is missing.'
    )
  yield from found[:_TOLD]
  if len(found) > _TOLD:
    yield f'{len(found) - _TOLD} other channels have such values too.'


def scales(shape: Sequence[int], values: np.ndarray) -> Iterator[str]:
  """Channels of very different width, and images that are not from 0 to 1.

  Args:
    shape: of `x`.
    values: see `outliers`.
  """
  deviations = values[values[:, 3] > 0, 3]
  ratio = deviations.max() / deviations.min() if len(deviations) else 1
  if ratio > _WIDE:
    yield (
      f'the widest channel deviates {ratio:.0f} times as much as the narrowest;'
      ' a study normalizes each for itself.'
    )
  largest = np.abs(values[:, :2]).max()
  if shape[1] > 1 and len(shape) == 4 and largest > _BRIGHT:
    yield (
      f'images hold values up to {largest:.3g}; pixels are usually 0 to 1.'
    )


def axes(shape: Sequence[int], named: bool) -> Iterator[str]:
  """Shapes whose axes seem to be in another order than is taken for granted.

  Args:
    shape: of `x`.
    named: whether the channels have names, which says that they are channels.
  """
  if len(shape) != 4 or named:
    return
  _, height, width, depth = shape
  if depth > _DEEP and (
    1 < height <= _DEEP < width or (height == 1 and width == depth)
  ):
    yield (
      f'x {list(shape)} looks channels-first; images are [n, height, width,'
      f' channels], and are taken to be {height} high, {width} wide and'
      f' {depth} deep.'
    )
  elif height == 1 and depth > width:
    yield (
      f'series of {width} samples have {depth} channels; time comes before'
      ' channels, and spectrograms may be images, see data.layout.'
    )


def names_alike(label: str, names: Sequence[str]) -> Iterator[str]:
  """Classes of a label whose names differ in blanks or in case alone."""
  for same in label_encoding.alike(names):
    yield (
      f'{label!r} has the classes {" and ".join(map(repr, same))}, which differ'
      ' in blanks or case alone.'
    )


def recordings(
  data: dataset.Dataset, counts: Sequence[int], shared: Sequence[int]
) -> Iterator[str]:
  """How recordings lie in the folds, and labels in the recordings.

  Args:
    data: the data set.
    counts: how many recordings, or groups, have examples in each fold.
    shared: how many of them are in another fold too.
  """
  count = len(np.unique(data.recording))
  if count == len(data.recording):
    yield 'every example is a recording: intervals take them as independent.'
  elif any(shared):
    yield (
      'recordings are in more than one fold:'
      f' {shared[dataset.TEST]} of the {counts[dataset.TEST]} of the test'
      ' fold. That is right only where they were cut in time.'
    )
  if counts[dataset.TEST] < _FEW:
    yield (
      f'the test fold has {counts[dataset.TEST]} recordings, so intervals'
      ' over them are wide.'
    )
  for label, values in data.labels().items():
    order = np.lexsort([values, data.recording])
    same = np.diff(data.recording[order]) == 0
    if label != 'primary' and (np.diff(values[order])[same] != 0).any():
      yield (
        f'{label!r} varies within a recording; figures by recording take its'
        ' first example.'
      )
