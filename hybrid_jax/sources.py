"""Examples that are not in memory: read one by one, or in blocks, as needed."""

import math
import operator
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from hybrid_jax import errors


class Source:
  """Examples that are not in memory, each read when it is asked for.

  A subclass gives `shape` (`[n, ...]`), `dtype` and `__getitem__`, which
  several threads may call at once; and `rows`, where it can read many examples
  faster than one by one. Reading in other processes needs it to be picklable.
  """

  shape: tuple[int, ...]
  dtype: np.dtype

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
      UserError: it has another shape or type, or holds NaN or infinity.
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
    if not np.isfinite(x).all():
      raise errors.UserError(f'example {index} holds NaN or infinity.')
    return x


class _Part(Source):
  """The examples of `whole` at `indices [n]`, still not in memory."""

  def __init__(self, whole: Source, indices: np.ndarray):
    self.shape = (len(indices), *whole.shape[1:])
    self.dtype = whole.dtype
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
