"""Limits how often anything is released."""

import collections
import hashlib
import time
from collections.abc import Callable

import numpy as np

from hybrid_jax import errors
from hybrid_jax.deploy.device import failures

_HOUR = 3600.0  # seconds
_MAX_DIGESTS = 1 << 14


class Budget:
  """Counts releases, and refuses one too many before its noise is drawn.

  The noise protects one release. The average of k releases of one input has a
  kth of the noise variance, so an input is released once. A device at rest
  measures nearly the same input all day, and habits are a secret too: that is
  why there is also a limit per hour. A release counts when its noise is drawn,
  whether or not it is sent.

  Windows are recognised by a digest; the last 16,384 digests are kept. Both
  counts start with the process.

  Attributes:
    per_input: how often one window, or one sensor row, may be released.
    per_hour: how many releases are allowed within any 3,600 seconds.
  """

  def __init__(
    self,
    per_input: int = 1,
    per_hour: int = 1800,
    clock: Callable[[], float] = time.monotonic,
  ):
    """Creates an unused budget.

    Args:
      per_input: see the class.
      per_hour: see the class.
      clock: returns seconds that never decrease.

    Raises:
      UserError: a limit is below 1.
    """
    for name, value in (('input', per_input), ('hour', per_hour)):
      if type(value) is not int or value < 1:
        raise errors.UserError(
          f'the releases per {name} are {value}; they must be 1 or more.'
        )
    self.per_input = per_input
    self.per_hour = per_hour
    self._clock = clock
    self._times: collections.deque[float] = collections.deque()
    self._counts: collections.OrderedDict[bytes, int] = (
      collections.OrderedDict()
    )

  def spend(self, window: np.ndarray) -> None:
    """Counts one release of `window`, float32.

    Raises:
      OverBudget: it would be one too many; it is not counted.
    """
    now = self._clock()
    while self._times and now - self._times[0] >= _HOUR:
      self._times.popleft()
    digest = hashlib.blake2b(window.tobytes(), digest_size=16).digest()
    count = self._counts.get(digest, 0)
    if count >= self.per_input:
      raise failures.OverBudget(
        f'this input was released {count} times already; {self.per_input} is'
        ' the limit.'
      )
    if len(self._times) >= self.per_hour:
      wait = _HOUR - (now - self._times[0])
      raise failures.OverBudget(
        f'{len(self._times)} releases in the last hour are the limit; the next'
        f' is possible in {wait:.0f} s.'
      )
    self._times.append(now)
    self._counts[digest] = count + 1
    self._counts.move_to_end(digest)
    if len(self._counts) > _MAX_DIGESTS:
      self._counts.popitem(last=False)
