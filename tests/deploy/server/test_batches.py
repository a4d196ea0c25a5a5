"""Who runs with whom, and who is refused."""

import asyncio
import threading
import time

import numpy as np
import pytest

from hybrid_jax.deploy.server import http_error, micro_batches


class Slow:
  """Doubles, once it is let; notes the size of each call."""

  def __init__(self):
    self.sizes = []
    self.let = threading.Event()

  def __call__(self, vectors):
    self.sizes.append(len(vectors))
    assert self.let.wait(10)
    if (vectors < 0).any():
      raise RuntimeError('negative')
    return 2 * vectors


def _row(value):
  return np.full((1, 1), value, np.float32)


async def _until(condition):
  for _ in range(1000):
    if condition():
      return
    await asyncio.sleep(0.005)
  raise AssertionError('it never came')


async def _ask(queue, values):
  tasks = [asyncio.create_task(queue.infer(_row(v))) for v in values]
  await asyncio.sleep(0)
  return tasks


def test_what_waits_runs_together_and_each_gets_its_own():
  async def main():
    slow, seen = Slow(), []
    queue = micro_batches.Batches(slow, 4, 100, 0, seen.append)
    queue.start()
    tasks = await _ask(queue, [0])
    await _until(lambda: slow.sizes == [1])  # It runs; the others gather.
    tasks += await _ask(queue, range(1, 7))
    assert len(queue) == 6
    slow.let.set()
    rows = await asyncio.gather(*tasks)
    assert [float(r[0, 0]) for r in rows] == [0, 2, 4, 6, 8, 10, 12]
    assert all(r.shape == (1, 1) for r in rows)
    assert slow.sizes == seen == [1, 4, 2]
    await queue.stop()

  asyncio.run(main())


def test_the_wait_is_bounded_and_ends_when_all_are_there():
  async def main():
    slow = Slow()
    slow.let.set()
    queue = micro_batches.Batches(slow, 2, 100, 0.2)
    queue.start()
    started = time.monotonic()
    await queue.infer(_row(1))
    assert 0.19 < time.monotonic() - started < 2
    queue._max_wait = 60.0  # None of which is spent: the batch is full.
    await asyncio.gather(*await _ask(queue, [1, 2]))
    assert slow.sizes == [1, 2]
    assert time.monotonic() - started < 10
    await queue.stop()

  asyncio.run(main())


def test_a_full_queue_refuses():
  async def main():
    slow = Slow()
    queue = micro_batches.Batches(slow, 1, 2, 0)
    queue.start()
    tasks = await _ask(queue, [0])
    await _until(lambda: slow.sizes == [1])
    tasks += await _ask(queue, [1, 2])
    with pytest.raises(http_error.Refused) as error:
      await queue.infer(_row(3))
    assert error.value.status == 503
    assert error.value.headers == {'Retry-After': '1'}
    slow.let.set()
    assert len(await asyncio.gather(*tasks)) == 3
    assert (await queue.infer(_row(3)))[0, 0] == 6
    await queue.stop()

  asyncio.run(main())


def test_an_error_or_a_leaver_does_not_end_the_worker():
  async def main():
    slow = Slow()
    queue = micro_batches.Batches(slow, 1, 10, 0)
    queue.start()
    gone, bad, good = await _ask(queue, [0, -1, 1])
    await _until(lambda: slow.sizes == [1])
    gone.cancel()
    slow.let.set()
    with pytest.raises(RuntimeError, match='negative'):
      await bad
    assert (await good)[0, 0] == 2
    await queue.stop()

  asyncio.run(main())


def test_stopping_cancels_what_waits():
  async def main():
    slow = Slow()
    queue = micro_batches.Batches(slow, 1, 10, 0)
    (task,) = await _ask(queue, [0])  # The worker was never started.
    await queue.stop()
    with pytest.raises(asyncio.CancelledError):
      await task

  asyncio.run(main())
