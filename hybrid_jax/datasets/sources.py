"""Lazy examples: read from a file or function when they are needed."""

import contextlib
import math
import operator
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from hybrid_jax import errors, progress

_BLOCK = 256  # examples read at once into memory


class Source:
  """Base class of lazy examples, `[n, ...]`.

  A subclass sets `shape` and `dtype` and defines `__getitem__`, which several
  threads may call at once. It can override `read_rows` where many examples are
  read faster together than one by one. To be read in other processes it must be
  picklable.

  Attributes:
    shape: `(n, ...)`, with the number of examples first.
    dtype: of an example.
    memory_budget: bytes that the examples may take in memory where an analysis
      needs many of them at once.
  """

  shape: tuple[int, ...]
  dtype: np.dtype
  memory_budget: int = 2**30

  def __getitem__(self, index: int) -> np.ndarray:
    """Reads one example, of shape `shape[1:]`."""
    raise NotImplementedError

  def __len__(self) -> int:
    return self.shape[0]

  @property
  def nbytes(self) -> int:
    """The size of all examples in memory, in bytes."""
    return math.prod(self.shape) * np.dtype(self.dtype).itemsize

  def read_rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """Reads the examples at `indices [k]`, in that order, as `[k, ...]`."""
    out = np.empty((len(indices), *self.shape[1:]), self.dtype)
    for i, index in enumerate(indices):
      out[i] = self[index]
    return out


class FunctionSource(Source):
  """Examples that a function reads."""

  def __init__(
    self,
    length: int,
    example_shape: Sequence[int],
    dtype: np.typing.DTypeLike,
    read: Callable[[int], np.ndarray],
  ):
    """Reads nothing yet.

    Args:
      length: how many examples there are.
      example_shape: the shape of one example.
      dtype: its type.
      read: an example's index to the example.
    """
    self.shape = (length, *example_shape)
    self.dtype = np.dtype(dtype)
    self._read = read

  def __getitem__(self, index: int) -> np.ndarray:
    """Reads one example.

    Raises:
      IndexError: `index` is out of range.
      UserError: the example has another shape or type than the source.
    """
    index = operator.index(index)
    if not 0 <= index < len(self):
      raise IndexError(f'example {index} of {len(self)}')
    x = np.asarray(self._read(index))
    if x.shape != self.shape[1:] or x.dtype != self.dtype:
      raise errors.UserError(
        f'example {index} is {x.dtype} of shape {x.shape}; it must be'
        f' {self.dtype} of shape {self.shape[1:]}.'
      )
    return x


class InMemorySource(Source):
  """An array `[n, ...]`, for code that reads it in blocks."""

  def __init__(self, x: np.ndarray):
    self.shape, self.dtype = x.shape, x.dtype
    self._x = x

  def __getitem__(self, index: int) -> np.ndarray:
    return self._x[index]

  def read_rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    return self._x[np.asarray(indices, int)]

  def __getstate__(self):
    raise TypeError('an array in memory is not sent; threads read it as fast')


class FiniteCheckedSource(Source):
  """Another source's examples; one with NaN or infinity raises `UserError`."""

  def __init__(self, source: Source, recording: np.ndarray):
    """Wraps `source`; `recording [n]` is only for the error message."""
    self.shape, self.dtype = source.shape, source.dtype
    self.memory_budget = source.memory_budget
    self._source, self._recording = source, recording

  def __getitem__(self, index: int) -> np.ndarray:
    return self.read_rows([index])[0]

  def read_rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """See `Source`.

    Raises:
      UserError: a value is NaN or infinite; the message names the example and
        its recording.
    """
    x = self._source.read_rows(indices)
    finite = np.isfinite(x).reshape(len(x), -1).all(axis=1)
    if not finite.all():
      row = int(indices[int(np.argmin(finite))])
      raise errors.UserError(
        f'example {row}, of recording {int(self._recording[row])}, holds NaN or'
        ' infinity.'
      )
    return x


class SubsetSource(Source):
  """Some examples of another source."""

  def __init__(self, source: Source, indices: np.ndarray):
    """Selects the examples at `indices [k]`, in that order."""
    self.shape = (len(indices), *source.shape[1:])
    self.dtype, self.memory_budget = source.dtype, source.memory_budget
    self._source, self._indices = source, indices

  def __getitem__(self, index: int) -> np.ndarray:
    return self._source[self._indices[index]]

  def read_rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    return self._source.read_rows(self._indices[indices])


def is_lazy(x: np.ndarray | Source) -> bool:
  """Returns whether the examples are a `Source`, not an array in memory."""
  return isinstance(x, Source)


def select_rows(
  x: np.ndarray | Source, rows: np.ndarray
) -> np.ndarray | Source:
  """Selects examples; of a `Source`, none is read yet.

  Args:
    x: `[n, ...]`.
    rows: `[n]` bool, or `[k]` indices.

  Returns:
    `[k, ...]`, of the same kind as `x`.
  """
  if not isinstance(x, Source):
    return x[rows]
  return SubsetSource(x, np.arange(len(x))[rows])


def iter_blocks(x: np.ndarray | Source, size: int) -> Iterator[np.ndarray]:
  """Yields `x [n, ...]` in order as arrays `[size, ...]`; the last is shorter.

  Args:
    x: the examples.
    size: how many a block has.
  """
  for low in range(0, len(x), size):
    high = min(low + size, len(x))
    yield (
      x.read_rows(range(low, high)) if isinstance(x, Source) else x[low:high]
    )


def read_all(x: np.ndarray | Source, label: str = '') -> np.ndarray:
  """Reads all examples of a `Source` into memory, block by block.

  Args:
    x: `[n, ...]`.
    label: the title of a progress bar, shown if there is more than one block.

  Returns:
    `[n, ...]` float32; an array is returned unchanged.
  """
  if not isinstance(x, Source):
    return x
  out = np.empty(x.shape, np.float32)
  bar = None
  if label and len(x) > _BLOCK:
    bar = progress.Progress(label, len(x), unit='example')
  with bar or contextlib.nullcontext():
    for i, block in enumerate(iter_blocks(x, _BLOCK)):
      out[i * _BLOCK : i * _BLOCK + len(block)] = block
      if bar:
        bar.advance(len(block))
  return out


def read_rows(x: np.ndarray | Source, rows: np.ndarray) -> np.ndarray:
  """Reads some examples into memory: see `select_rows` and `read_all`."""
  return read_all(select_rows(x, rows))


def load_if_fits(
  x: np.ndarray | Source, memory_limit: float
) -> np.ndarray | Source:
  """Reads the examples into memory if they fit there, as float32.

  Args:
    x: `[n, ...]`.
    memory_limit: bytes.

  Returns:
    An array, or a `Source` if the examples are larger than the limit. The
    source's `memory_budget` is the limit, but at least 1 GiB: an analysis that
    needs a part of the examples in memory can rely on that.
  """
  if 4 * math.prod(x.shape) <= memory_limit:
    return read_all(x, 'data')
  source = x if isinstance(x, Source) else InMemorySource(x)
  source.memory_budget = max(int(memory_limit), Source.memory_budget)
  return source


def subsample_rows(
  x: np.ndarray | Source, fold: np.ndarray, recording: np.ndarray
) -> np.ndarray:
  """Returns the rows of a subsample of `x` that fits in memory.

  The subsample takes a quarter of the memory budget, since its readers make
  copies. Each fold has the same share, spread evenly over its recordings.

  Args:
    x: `[n, ...]`; of an array, all rows are returned.
    fold: `[n]`.
    recording: `[n]`.

  Returns:
    `[k]` indices, ascending.
  """
  if not isinstance(x, Source):
    return np.arange(len(x))
  share = min(1.0, x.memory_budget / 4 / (4 * math.prod(x.shape)))
  selected = []
  for value in np.unique(fold):
    rows = np.flatnonzero(fold == value)
    rows = rows[np.argsort(recording[rows], kind='stable')]
    places = np.linspace(0, len(rows) - 1, math.ceil(share * len(rows)))
    selected.append(rows[places.round().astype(int)])
  return np.sort(np.concatenate(selected))
