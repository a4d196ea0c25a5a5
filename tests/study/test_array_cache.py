"""The cache of large arrays."""

import numpy as np

from hybrid_jax.study import array_cache


def test_the_oldest_arrays_are_removed_first():
  cache, computed = array_cache.ArrayCache(), []

  def get(key, size):
    def compute():
      computed.append(key)
      return np.zeros(size, np.uint8)

    return cache.get(key, compute, limit=10)

  assert get('a', 4) is get('a', 4)
  get('b', 4)
  get('c', 3)  # 4 + 4 + 3 bytes are more than 10: `a` is removed.
  get('b', 4)
  get('c', 3)
  assert computed == ['a', 'b', 'c']
  get('a', 4)  # Removes `b`.
  get('c', 3)
  assert computed == ['a', 'b', 'c', 'a']
  assert len(get('large', 99)) == 99  # Removes all others, and stays alone.
  get('large', 99)
  assert computed == ['a', 'b', 'c', 'a', 'large']
