"""Builds the endless Grain data set of training batches.

Grain reads in threads, or in worker processes. Workers import this module, so
it must not import JAX.
"""

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

# Threads that read without workers, and the batches that they keep ready.
_THREADS = 4
# Batches that each worker process keeps ready.
_BATCHES_PER_WORKER = 2


def make_dataset(
  read: Callable[[np.ndarray], Any],
  examples: int,
  batch_size: int,
  *,
  seed: int,
  workers: int = 0,
  start: int = 0,
  shard: Any = None,
) -> Any:
  """Returns an endless Grain data set with `read(indices)` for every batch.

  Every epoch has its own random order. The last examples of an epoch, if they
  do not fill a batch, are left out of that epoch. All JAX processes use the
  same order, and each reads its shard of every batch. So the examples of a step
  do not depend on the number of processes.

  Args:
    read: maps example indices `[batch]` to a batch.
    examples: the number of examples.
    batch_size: examples in a batch, over all processes.
    seed: the seed of the order, 32 bits.
    workers: worker processes that read; with 0, threads of this process read.
    start: the number of the first batch.
    shard: a `grain.sharding.ShardOptions`; by default, the shard of this JAX
      process.
  """
  grain = import_grain()
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
  dataset = batches.to_iter_dataset(
    grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
  )
  return dataset.mp_prefetch(
    grain.MultiprocessingOptions(
      num_workers=workers, per_worker_buffer_size=_BATCHES_PER_WORKER
    ),
    worker_init_fn=_start_worker,
  )


def import_grain() -> types.ModuleType:
  """Imports Grain, only when it is needed: it is slow and defines flags.

  Raises:
    UserError: Grain is not installed.
  """
  try:
    import grain
  except ImportError as e:
    raise errors.UserError(
      'data that are not in memory are read through Grain, which is not'
      ' installed: pip install grain.'
    ) from e
  if not flags.FLAGS.is_parsed():
    # Grain reads its flags, and only absl programs parse them.
    flags.FLAGS.mark_as_parsed()
  return grain


def read_examples(
  streamed: Mapping[str, sources.Source], indices: np.ndarray
) -> dict[str, Any]:
  """Reads the examples of a batch.

  Args:
    streamed: the sources by name.
    indices: example indices `[batch]`.

  Returns:
    `indices` itself, and `examples`: each source's rows `[batch, ...]` by name.
  """
  return {
    'indices': indices,
    'examples': {name: x.read_rows(indices) for name, x in streamed.items()},
  }


def check_workers(workers: int, streamed: Mapping[str, sources.Source]) -> None:
  """Checks that the worker processes can be started.

  Args:
    workers: the number of worker processes.
    streamed: the sources by name.

  Raises:
    UserError: `workers` is negative, or a source cannot be pickled.
  """
  if workers < 0:
    raise errors.UserError(f'workers is {workers}; it must be 0 or more.')
  if not workers:
    return
  import cloudpickle  # Grain's dependency, which it pickles with.

  try:
    cloudpickle.dumps(streamed)
  except Exception as e:  # Any exception of the source's objects.
    raise errors.UserError(
      f"workers is {workers}, and the examples' source cannot be sent to other"
      f' processes ({e}); set workers to 0, or make it picklable.'
    ) from e


def _start_worker(index, count):
  """Makes a worker ignore Ctrl-C, and end when its parent ends."""
  del index, count
  # Ctrl-C reaches all processes of a terminal; the parent stops its workers.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
  parent = multiprocessing.parent_process()
  if parent is not None:
    parent.join()
    os._exit(1)
