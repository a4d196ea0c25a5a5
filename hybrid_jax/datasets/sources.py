"""Examples that are not in memory: read one by one, or in blocks, as needed."""

import contextlib
import math
import operator
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from hybrid_jax import errors, progress

_BLOCK = 256  # examples read at once into memory


class Source:
  """Examples that are not in memory, each read when it is asked for.

  A subclass gives `shape` (`[n, ...]`), `dtype` and `__getitem__`, which
  several threads may call at once; and `rows`, where it can read many examples
  faster than one by one. Reading in other processes needs it to be picklable.
  """

  shape: tuple[int, ...]
  dtype: np.dtype
  # Bytes that may be in memory where what reads it needs all at once.
  budget: int = 2**30

  def __getitem__(self, index: int) -> np.ndarray:
    """The example at `index`, of shape `shape[1:]`."""
    raise NotImplementedError

  def __len__(self) -> int:
    return self.shape[0]

  @property
  def nbytes(self) -> int:
    """What all examples would take in memory, in bytes."""
    return math.prod(self.shape) * np.dtype(self.dtype).itemsize

  def rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """The examples at `indices [k]`, in that order: `[k, ...]` in memory."""
    out = np.empty((len(indices), *self.shape[1:]), self.dtype)
    for i, index in enumerate(indices):
      out[i] = self[index]
    return out


class LazySource(Source):
  """`length` examples, each of which is what `get(index)` returns."""

  def __init__(
    self,
    length: int,
    example_shape: Sequence[int],
    dtype: np.typing.DTypeLike,
    get: Callable[[int], np.ndarray],
  ):
    self.shape = (length, *example_shape)
    self.dtype = np.dtype(dtype)
    self._get = get

  def __getitem__(self, index: int) -> np.ndarray:
    """See `Source`.

    Raises:
      IndexError: there is no such example.
      UserError: it has another shape or type.
    """
    index = operator.index(index)
    if not 0 <= index < len(self):
      raise IndexError(f'example {index} of {len(self)}')
    x = np.asarray(self._get(index))
    if x.shape != self.shape[1:] or x.dtype != self.dtype:
      raise errors.UserError(
        f'example {index} is {x.dtype} of shape {x.shape}; it must be'
        f' {self.dtype} of shape {self.shape[1:]}.'
      )
    return x


class Held(Source):
  """Examples of an array, for what would take too much memory at once."""

  def __init__(self, x: np.ndarray):
    self.shape, self.dtype = x.shape, x.dtype
    self._x = x

  def __getitem__(self, index: int) -> np.ndarray:
    return self._x[index]

  def rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    return self._x[np.asarray(indices, int)]

  def __getstate__(self):
    raise TypeError('it is an array in memory, which threads read as fast')


class Checked(Source):
  """The examples of `whole`; one with NaN or infinity is refused when read."""

  def __init__(self, whole: Source, recording: np.ndarray):
    """`recording [n]` is which recording each is of, for the message."""
    self.shape, self.dtype, self.budget = whole.shape, whole.dtype, whole.budget
    self._whole, self._recording = whole, recording

  def __getitem__(self, index: int) -> np.ndarray:
    return self.rows([index])[0]

  def rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """See `Source`.

    Raises:
      UserError: a value is not finite; it names the example and its recording.
    """
    x = self._whole.rows(indices)
    finite = np.isfinite(x).reshape(len(x), -1).all(axis=1)
    if not finite.all():
      row = int(indices[int(np.argmin(finite))])
      raise errors.UserError(
        f'example {row}, of recording {int(self._recording[row])}, holds NaN or'
        ' infinity.'
      )
    return x


class _Part(Source):
  """The examples of `whole` at `indices [n]`, still not in memory."""

  def __init__(self, whole: Source, indices: np.ndarray):
    self.shape = (len(indices), *whole.shape[1:])
    self.dtype, self.budget = whole.dtype, whole.budget
    self._whole, self._indices = whole, indices

  def __getitem__(self, index: int) -> np.ndarray:
    return self._whole[self._indices[index]]

  def rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    return self._whole.rows(self._indices[indices])


def streams(x: np.ndarray | Source) -> bool:
  """Whether the examples are read when needed, and not in memory."""
  return isinstance(x, Source)


def take(x: np.ndarray | Source, rows: np.ndarray) -> np.ndarray | Source:
  """`x [n, ...]` at `rows`, `[n]` bool or `[k]` int; of a `Source`, a `Source`.

  Nothing is read: `blocks`, or `rows` of what it returns, reads.
  """
  if not isinstance(x, Source):
    return x[rows]
  return _Part(x, np.arange(len(x))[rows])


def blocks(x: np.ndarray | Source, size: int) -> Iterator[np.ndarray]:
  """`x [n, ...]` in order, in arrays `[size, ...]`; the last may be shorter."""
  for low in range(0, len(x), size):
    high = min(low + size, len(x))
    yield x.rows(range(low, high)) if isinstance(x, Source) else x[low:high]


def read(x: np.ndarray | Source, label: str = '') -> np.ndarray:
  """All of `x` in memory, block by block: an array as it is, else float32.

  Args:
    x: `[n, ...]`.
    label: what a progress bar says, if there is more than one block.
  """
  if not isinstance(x, Source):
    return x
  out = np.empty(x.shape, np.float32)
  with contextlib.ExitStack() as stack:
    bar = None
    if label and len(x) > _BLOCK:
      bar = stack.enter_context(
        progress.Progress(label, len(x), unit='example')
      )
    for i, block in enumerate(blocks(x, _BLOCK)):
      out[i * _BLOCK : i * _BLOCK + len(block)] = block
      if bar:
        bar.advance(len(block))
  return out


def within(x: np.ndarray | Source, limit: float) -> np.ndarray | Source:
  """`x [n, ...]` in memory if it takes `limit` bytes there at most, in float32.

  A larger one is a `Source`. Its `budget` is `limit`, but never below 1 GiB,
  which all that needs a part in memory can count on.
  """
  if 4 * math.prod(x.shape) <= limit:
    return read(x, 'data')
  found = x if isinstance(x, Source) else Held(x)
  found.budget = max(int(limit), Source.budget)
  return found


def spread(
  x: np.ndarray | Source, fold: np.ndarray, recording: np.ndarray
) -> np.ndarray:
  """The rows `[k]`, in order, of what of `x [n, ...]` may be read at once.

  All of an array. Of a `Source`, as many as take a quarter of its budget, since
  who gets them makes copies: of each fold its share, evenly over recordings.

  Args:
    x: the examples.
    fold: `[n]`.
    recording: `[n]`.
  """
  if not isinstance(x, Source):
    return np.arange(len(x))
  share = min(1.0, x.budget / 4 / (4 * math.prod(x.shape)))
  chosen = []
  for value in np.unique(fold):
    rows = np.flatnonzero(fold == value)
    rows = rows[np.argsort(recording[rows], kind='stable')]
    places = np.linspace(0, len(rows) - 1, math.ceil(share * len(rows)))
    chosen.append(rows[places.round().astype(int)])
  return np.sort(np.concatenate(chosen))
