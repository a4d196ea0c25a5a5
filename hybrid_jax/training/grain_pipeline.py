"""Batches read by Grain, in threads or in other processes, without end."""

import dataclasses
import multiprocessing
import os
import signal
import threading
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from absl import flags

from hybrid_jax import errors
from hybrid_jax.datasets import sources

# Batches that are read at once in this process, and kept ready by it.
_THREADS = 4
# Batches that each worker process keeps ready.
_READY = 2


def pipeline(
  read: Callable[[np.ndarray], Any],
  examples: int,
  batch_size: int,
  *,
  seed: int,
  workers: int = 0,
  start: int = 0,
  shard: Any = None,
) -> Any:
  """A Grain data set without end: `read(index)` for every batch.

  All processes shuffle alike, and each reads its part of every batch; so the
  examples of a step do not depend on how many processes there are.

  Args:
    read: indices `[batch]` to what a batch is.
    examples: how many there are; each is read at most once an epoch.
    batch_size: over all processes.
    seed: of the order, 32 bits; each epoch has its own.
    workers: processes that read; with 0, threads of this one do.
    start: the number of the first batch.
    shard: a `grain.sharding.ShardOptions`; this JAX process's own if `None`.
  """
  grain = library()
  shard = shard or grain.sharding.ShardByJaxProcess()
  order = grain.MapDataset.range(examples).shuffle(seed=seed)
  order = order[: examples // batch_size * batch_size]
  batches = (
    order[shard.shard_index :: shard.shard_count]
    .batch(batch_size // shard.shard_count, drop_remainder=True)
    .repeat()[start:]
    .map(read)
  )
  threads = 0 if workers else _THREADS
  reading = batches.to_iter_dataset(
    grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
  )
  return reading.mp_prefetch(
    grain.MultiprocessingOptions(
      num_workers=workers, per_worker_buffer_size=_READY
    ),
    worker_init_fn=_begin_worker,
  )


def library() -> types.ModuleType:
  """Grain, imported where it is needed, for it defines flags and takes time.

  Raises:
    UserError: it is not installed.
  """
  try:
    import grain
  except ImportError as e:
    raise errors.UserError(
      'data that are not in memory are read through Grain, which is not'
      ' installed: pip install grain.'
    ) from e
  if not flags.FLAGS.is_parsed():
    # Outside a program of absl's nobody parses them, and Grain reads its own.
    flags.FLAGS.mark_as_parsed()
  return grain


@dataclasses.dataclass(frozen=True)
class Read:
  """What a thread or worker does: indices `[batch]` to the examples there."""

  found: Mapping[str, sources.Source]

  def __call__(self, index: np.ndarray) -> dict[str, Any]:
    """`index` itself, and what is `read` there, by name: `[batch, ...]`."""
    return {
      'index': index,
      'read': {name: x.rows(index) for name, x in self.found.items()},
    }


def _begin_worker(index, count):
  """A worker ends with its parent, even one that is killed, and not before."""
  del index, count
  # Ctrl-C reaches all processes of a terminal; the parent stops its workers.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
  parent = multiprocessing.parent_process()
  if parent is not None:
    parent.join()
    os._exit(1)


def check_workers(workers: int, read: Read) -> None:
  """Raises `UserError` if `workers` is negative or cannot be sent `read`."""
  if workers < 0:
    raise errors.UserError(f'workers is {workers}; it must be 0 or more.')
  if not workers:
    return
  import cloudpickle  # Comes with Grain, which sends with it.

  try:
    cloudpickle.dumps(read)
  except Exception as e:  # Whatever the source's own objects raise.
    raise errors.UserError(
      f"workers is {workers}, and the examples' source cannot be sent to other"
      f' processes ({e}); set workers to 0, or make it picklable.'
    ) from e
