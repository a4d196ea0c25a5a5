"""Batches of waiting vectors, and a full queue."""

import asyncio
import threading
import time

import numpy as np
import pytest

from hybrid_jax.deploy.server import micro_batches


class PausedDouble:
  """Doubles its input after an event; keeps the size of each call."""

  def __init__(self):
    self.sizes = []
    self.go = threading.Event()

  def __call__(self, vectors):
    self.sizes.append(len(vectors))
    assert self.go.wait(10)
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
  raise AssertionError('timed out')


async def _infer(queue, values):
  tasks = [asyncio.create_task(queue.infer(_row(v))) for v in values]
  await asyncio.sleep(0)
  return tasks


def test_waiting_vectors_run_together():
  async def main():
    double, observed = PausedDouble(), []
    queue = micro_batches.Batches(double, 4, 100, 0, observed.append)
    queue.start()
    tasks = await _infer(queue, [0])
    await _until(lambda: double.sizes == [1])  # It runs; the others wait.
    tasks += await _infer(queue, range(1, 7))
    assert len(queue) == 6
    double.go.set()
    rows = await asyncio.gather(*tasks)
    assert [float(r[0, 0]) for r in rows] == [0, 2, 4, 6, 8, 10, 12]
    assert all(r.shape == (1, 1) for r in rows)
    assert double.sizes == observed == [1, 4, 2]
    await queue.stop()

  asyncio.run(main())


def test_the_wait_is_bounded_and_ends_with_a_full_batch():
  async def main():
    double = PausedDouble()
    double.go.set()
    queue = micro_batches.Batches(double, 2, 100, 0.2)
    queue.start()
    started = time.monotonic()
    await queue.infer(_row(1))
    assert 0.19 < time.monotonic() - started < 2
    queue._max_wait = 60.0  # Not needed: the batch is full.
    await asyncio.gather(*await _infer(queue, [1, 2]))
    assert double.sizes == [1, 2]
    assert time.monotonic() - started < 10
    await queue.stop()

  asyncio.run(main())


def test_a_full_queue_raises():
  async def main():
    double = PausedDouble()
    queue = micro_batches.Batches(double, 1, 2, 0)
    queue.start()
    tasks = await _infer(queue, [0])
    await _until(lambda: double.sizes == [1])
    tasks += await _infer(queue, [1, 2])
    with pytest.raises(micro_batches.QueueFullError, match='2 vectors'):
      await queue.infer(_row(3))
    double.go.set()
    assert len(await asyncio.gather(*tasks)) == 3
    assert (await queue.infer(_row(3)))[0, 0] == 6
    await queue.stop()

  asyncio.run(main())


def test_an_error_or_a_cancelled_request_does_not_end_the_worker():
  async def main():
    double = PausedDouble()
    queue = micro_batches.Batches(double, 1, 10, 0)
    queue.start()
    cancelled, bad, good = await _infer(queue, [0, -1, 1])
    await _until(lambda: double.sizes == [1])
    cancelled.cancel()
    double.go.set()
    with pytest.raises(RuntimeError, match='negative'):
      await bad
    assert (await good)[0, 0] == 2
    await queue.stop()

  asyncio.run(main())


def test_stop_cancels_waiting_vectors():
  async def main():
    double = PausedDouble()
    queue = micro_batches.Batches(double, 1, 10, 0)
    (task,) = await _infer(queue, [0])  # The worker was never started.
    await queue.stop()
    with pytest.raises(asyncio.CancelledError):
      await task

  asyncio.run(main())
