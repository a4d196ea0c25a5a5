"""How often anything may be released at most."""

import collections
import hashlib
import time
from collections.abc import Callable

import numpy as np

from hybrid_jax.deploy.device import failures

_HOUR = 3600.0
_REMEMBERED = 1 << 14


class Budget:
  """Counts releases, and refuses one too many before noise is drawn for it.

  Noise hides one release. k releases of one input, averaged, have a kth of its
  variance, so an input is released once. A device that lies still measures
  nearly one input all day, and its owner's habits are one secret too, which is
  what the bound per hour is for. A release counts when it is drawn, sent or
  not.

  Windows are known again by a digest, the last 16,384 of them. Both counts
  begin with the process.

  Attributes:
    per_input: how often one window, or one sensor row, may be released.
    per_hour: releases in any 3,600 seconds.
  """

  def __init__(
    self,
    per_input: int = 1,
    per_hour: int = 1800,
    clock: Callable[[], float] = time.monotonic,
  ):
    """Nothing is spent yet.

    Args:
      per_input: see the class.
      per_hour: see the class.
      clock: seconds that never go back.

    Raises:
      BadInput: a bound is below 1.
    """
    for name, value in (('input', per_input), ('hour', per_hour)):
      if type(value) is not int or value < 1:
        raise failures.BadInput(
          f'the releases per {name} are {value}; they must be 1 or more.'
        )
    self.per_input = per_input
    self.per_hour = per_hour
    self._clock = clock
    self._times: collections.deque[float] = collections.deque()
    self._seen: collections.OrderedDict[bytes, int] = collections.OrderedDict()

  def spend(self, window: np.ndarray) -> None:
    """Counts one release of `window`, float32.

    Raises:
      OverBudget: it would be one too many; it is not counted.
    """
    now = self._clock()
    while self._times and now - self._times[0] >= _HOUR:
      self._times.popleft()
    digest = hashlib.blake2b(window.tobytes(), digest_size=16).digest()
    count = self._seen.get(digest, 0)
    if count >= self.per_input:
      raise failures.OverBudget(
        f'this input was released {count} times, as often as it may be.'
      )
    if len(self._times) >= self.per_hour:
      wait = _HOUR - (now - self._times[0])
      raise failures.OverBudget(
        f'{len(self._times)} releases in this hour are as many as may be; the'
        f' next is free in {wait:.0f} s.'
      )
    self._times.append(now)
    self._seen[digest] = count + 1
    self._seen.move_to_end(digest)
    if len(self._seen) > _REMEMBERED:
      self._seen.popitem(last=False)
