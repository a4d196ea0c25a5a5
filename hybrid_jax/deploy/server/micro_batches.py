"""A bounded queue in front of a function that runs several vectors at once."""

import asyncio
import collections
import concurrent.futures
import contextlib
import dataclasses
import time
from collections.abc import Callable

import numpy as np

from hybrid_jax.deploy.server import http_error


@dataclasses.dataclass
class _Waiting:
  array: np.ndarray
  since: float
  result: asyncio.Future


class Batches:
  """Gathers what waits into batches and runs them one after another.

  A vector waits for company at most `max_wait` seconds, and not at all once
  `max_batch` are there. What waits is in memory alone.
  """

  def __init__(
    self,
    run: Callable[[np.ndarray], np.ndarray],
    max_batch: int,
    max_queue: int,
    max_wait: float,
    observe: Callable[[int], None] = lambda size: None,
  ):
    """Nothing runs before `start`.

    Args:
      run: `[n, ...]` to `[n, ...]`, `n` at most `max_batch`; one call at a
        time, in a thread of its own.
      max_batch: the most vectors in one call.
      max_queue: the most that wait; one more is refused.
      max_wait: seconds that a vector waits for others.
      observe: called with the size of each batch.
    """
    self._run = run
    self._max_batch = max_batch
    self._max_queue = max_queue
    self._max_wait = max_wait
    self._observe = observe
    self._waiting: collections.deque[_Waiting] = collections.deque()
    self._arrived = asyncio.Event()
    self._thread = concurrent.futures.ThreadPoolExecutor(1, 'cloud')
    self._worker: asyncio.Task | None = None

  def __len__(self) -> int:
    """How many vectors wait."""
    return len(self._waiting)

  def start(self) -> None:
    """Starts the worker in the running event loop."""
    self._worker = asyncio.get_running_loop().create_task(self._work())

  async def stop(self) -> None:
    """Ends the worker. What still waits is cancelled."""
    if self._worker is not None:
      self._worker.cancel()
      with contextlib.suppress(asyncio.CancelledError):
        await self._worker
    for entry in self._waiting:
      entry.result.cancel()
    self._thread.shutdown(wait=True)

  async def infer(self, array: np.ndarray) -> np.ndarray:
    """One vector `[1, ...]` to its row `[1, ...]`.

    Raises:
      refused.Refused: with status 503, where the queue is full.
    """
    if len(self._waiting) >= self._max_queue:
      raise http_error.Refused(
        f'{self._max_queue} vectors are waiting already; try again later.',
        503,
        {'Retry-After': '1'},
      )
    result = asyncio.get_running_loop().create_future()
    self._waiting.append(_Waiting(array, time.monotonic(), result))
    self._arrived.set()
    return await result

  async def _work(self):
    loop = asyncio.get_running_loop()
    while True:
      batch = await self._gather()
      self._observe(len(batch))
      try:
        rows = await loop.run_in_executor(
          self._thread,
          self._run,
          np.concatenate([entry.array for entry in batch]),
        )
      except Exception as e:  # Told to those who asked; the worker goes on.
        for entry in batch:
          if not entry.result.done():
            entry.result.set_exception(e)
        continue
      for i, entry in enumerate(batch):
        if not entry.result.done():  # Whoever asked may be gone.
          entry.result.set_result(rows[i : i + 1])

  async def _gather(self):
    while not self._waiting:
      self._arrived.clear()
      await self._arrived.wait()
    deadline = self._waiting[0].since + self._max_wait
    while len(self._waiting) < self._max_batch:
      left = deadline - time.monotonic()
      if left <= 0:
        break
      self._arrived.clear()
      with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(left):
          await self._arrived.wait()
    count = min(len(self._waiting), self._max_batch)
    return [self._waiting.popleft() for _ in range(count)]
