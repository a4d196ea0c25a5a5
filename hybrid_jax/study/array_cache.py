"""A cache of large arrays."""

import threading
from collections.abc import Callable, Hashable

import numpy as np


class ArrayCache:
  """Keeps recently computed arrays in memory. Threads can share it."""

  def __init__(self):
    """Makes an empty cache."""
    self._arrays: dict[Hashable, np.ndarray] = {}
    self._lock = threading.Lock()

  def get(
    self, key: Hashable, compute: Callable[[], np.ndarray], limit: float
  ) -> np.ndarray:
    """Returns an array of the cache; computes it first if it is missing.

    Before an array is added, the oldest ones are removed until all fit.

    Args:
      key: identifies the array.
      compute: returns the array; only one thread computes at a time.
      limit: the size of the cache in bytes. A larger array is kept alone.
    """
    with self._lock:
      if key not in self._arrays:
        array = compute()
        free = max(limit - array.nbytes, 0)
        while sum(a.nbytes for a in self._arrays.values()) > free:
          self._arrays.pop(next(iter(self._arrays)))
        self._arrays[key] = array
      return self._arrays[key]
