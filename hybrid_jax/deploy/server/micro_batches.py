"""A bounded queue in front of a function that runs several vectors at once."""

import asyncio
import collections
import concurrent.futures
import contextlib
import dataclasses
import time
from collections.abc import Callable

import numpy as np


class QueueFullError(Exception):
  """As many vectors wait as the queue can hold."""


@dataclasses.dataclass
class _Entry:
  array: np.ndarray
  arrival: float  # time.monotonic()
  result: asyncio.Future


class Batches:
  """Gathers waiting vectors into batches, and runs one batch after another.

  A vector waits for others at most `max_wait` seconds, and no longer once
  `max_batch` vectors wait.
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
      run: maps `[n, ...]` to `[n, ...]`, with `n` at most `max_batch`. One call
        runs at a time, in a separate thread.
      max_batch: upper bound of the vectors in one call.
      max_queue: upper bound of the waiting vectors.
      max_wait: seconds that a vector waits for others at most.
      observe: called with the size of each batch.
    """
    self._run = run
    self._max_batch = max_batch
    self._max_queue = max_queue
    self._max_wait = max_wait
    self._observe = observe
    self._queue: collections.deque[_Entry] = collections.deque()
    self._arrived = asyncio.Event()
    self._thread = concurrent.futures.ThreadPoolExecutor(1, 'cloud')
    self._worker: asyncio.Task | None = None

  def __len__(self) -> int:
    """Returns the number of waiting vectors."""
    return len(self._queue)

  def start(self) -> None:
    """Starts the worker in the running event loop."""
    self._worker = asyncio.get_running_loop().create_task(self._work())

  async def stop(self) -> None:
    """Ends the worker and cancels the waiting vectors."""
    if self._worker is not None:
      self._worker.cancel()
      with contextlib.suppress(asyncio.CancelledError):
        await self._worker
    for entry in self._queue:
      entry.result.cancel()
    self._thread.shutdown(wait=True)

  async def infer(self, array: np.ndarray) -> np.ndarray:
    """Maps one vector `[1, ...]` to its row `[1, ...]`.

    Raises:
      QueueFullError: the queue is full.
    """
    if len(self._queue) >= self._max_queue:
      raise QueueFullError(
        f'{self._max_queue} vectors are waiting already; try again later.'
      )
    result = asyncio.get_running_loop().create_future()
    self._queue.append(_Entry(array, time.monotonic(), result))
    self._arrived.set()
    return await result

  async def _work(self):
    loop = asyncio.get_running_loop()
    while True:
      batch = await self._gather()
      self._observe(len(batch))
      arrays = np.concatenate([entry.array for entry in batch])
      try:
        rows = await loop.run_in_executor(self._thread, self._run, arrays)
      except Exception as e:  # For the callers of `infer`; the worker goes on.
        for entry in batch:
          if not entry.result.done():
            entry.result.set_exception(e)
        continue
      for i, entry in enumerate(batch):
        if not entry.result.done():  # Cancelled if its client has left.
          entry.result.set_result(rows[i : i + 1])

  async def _gather(self):
    while not self._queue:
      self._arrived.clear()
      await self._arrived.wait()
    deadline = self._queue[0].arrival + self._max_wait
    while len(self._queue) < self._max_batch:
      remaining = deadline - time.monotonic()
      if remaining <= 0:
        break
      self._arrived.clear()
      with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(remaining):
          await self._arrived.wait()
    count = min(len(self._queue), self._max_batch)
    return [self._queue.popleft() for _ in range(count)]
