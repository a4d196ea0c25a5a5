"""Windows of recordings: their places, their folds, and their samples."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from hybrid_jax import errors, plugins
from hybrid_jax.datasets import dataset

# Settings of the data sets that cut windows.
OPTIONS = {
  'window': plugins.Option(128, 'Length of a window.', unit='samples', low=1),
  'hop': plugins.Option(
    32, "From one window's start to the next.", unit='samples', low=1
  ),
  'gap': plugins.Option(
    32, 'Left out between the folds of a recording.', unit='samples', low=0
  ),
}


@dataclasses.dataclass(frozen=True)
class Span:
  """A part of a recording that is in one fold.

  Attributes:
    recording: the number of the recording.
    start: its first sample.
    stop: the sample after its last one.
    fold: `TRAIN`, `VALIDATION` or `TEST` of `dataset`.
  """

  recording: int
  start: int
  stop: int
  fold: int


def split_in_time(
  lengths: Sequence[int], fractions: Sequence[float], gap: int
) -> list[Span]:
  """Splits each recording: train, a gap, validation, a gap, and test.

  Args:
    lengths: samples in each recording.
    fractions: shares of train, validation and test, without the gaps.
    gap: samples left out at each of the two borders.

  Raises:
    UserError: `fractions` are not three positive shares, or `gap` is negative.
  """
  if len(fractions) != 3 or min(fractions) <= 0 or gap < 0:
    raise errors.UserError(
      f'fractions {tuple(fractions)} must be three positive shares, and gap'
      f' {gap} must not be negative.'
    )
  borders = np.cumsum([0, *fractions]) / sum(fractions)
  spans = []
  for recording, length in enumerate(lengths):
    usable = length - 2 * gap
    for fold in range(3):
      start = int(borders[fold] * usable) + fold * gap
      stop = int(borders[fold + 1] * usable) + fold * gap
      spans.append(Span(recording, start, stop, fold))
  return spans


def place(
  spans: Sequence[Span],
  lengths: Sequence[int],
  window: int,
  hop: int,
  names: Sequence[str] | None = None,
  parts: Sequence[Sequence[int]] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Places windows so that each is inside one span, and crosses no gap.

  Args:
    spans: parts of the recordings.
    lengths: samples in each recording.
    window: samples in a window.
    hop: samples from one window's start to the next.
    names: of the recordings, for error messages; `recording 0` by default.
    parts: for each recording, the first sample of each part without a gap in
      time; by default there are no gaps.

  Returns:
    `recording [n]`, `start [n]` in samples, and `fold [n]`.

  Raises:
    UserError: no part of a span is as long as a window, or `window` or `hop`
      is not positive.
  """
  for name, value in (('window', window), ('hop', hop)):
    if value < 1:
      raise errors.UserError(
        f'{name} is {value}; it must be at least 1 sample.'
      )
  rows = []
  for span in spans:
    i = span.recording
    borders = [
      span.start,
      *(p for p in (parts[i] if parts else ()) if span.start < p < span.stop),
      span.stop,
    ]
    starts = [
      start
      for first, last in itertools.pairwise(borders)
      for start in range(first, last - window + 1, hop)
    ]
    if not starts:
      name = names[i] if names else f'recording {i}'
      gaps = len(borders) - 2
      raise errors.UserError(
        f'{name} has {lengths[i]} samples, of which'
        f' {max(span.stop - span.start, 0)} fall to the'
        f' {dataset.FOLDS[span.fold]} fold'
        + (f', with {gaps} gaps in time' if gaps else '')
        + f': shorter than a window of {window}.'
      )
    rows += [(i, start, span.fold) for start in starts]
  table = np.array(rows, np.int32)
  return table[:, 0], table[:, 1], table[:, 2].astype(np.int8)


def cut(
  signals: Sequence[np.ndarray],
  recording: np.ndarray,
  start: np.ndarray,
  window: int,
) -> np.ndarray:
  """Returns the samples of windows.

  Args:
    signals: of each recording, `[time, channels]`.
    recording: `[n]`, the recording of each window.
    start: `[n]`, its first sample.
    window: samples in a window.

  Returns:
    `[n, 1, window, channels]`.
  """
  rows = zip(recording, start, strict=True)
  return np.stack([signals[r][s : s + window] for r, s in rows])[:, None]
