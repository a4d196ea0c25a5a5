"""The two ways in which the training loop gets its batches.

`ScanRunner` keeps all examples on the devices and runs a chunk of steps as one
program. `StreamRunner` reads each batch with Grain while the step before it
runs. `loop.fit` chooses between them.
"""

import dataclasses
import functools
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hybrid_jax.datasets import padding, sources
from hybrid_jax.training import distributed, grain_pipeline, steps
from hybrid_jax.training.train_state import TrainState

# By name, the training examples: arrays or `sources.Source`, of one length.
Data = Mapping[str, Any]
Metrics = dict[str, Any]


class Runner:
  """Base class: runs chunks of steps. A subclass supplies the batches."""

  def start(self, step: int, position: Any) -> None:
    """Prepares the batches after `step`; call it once, before `run`.

    Args:
      step: how many steps have been taken.
      position: the result of `position` at that step, or `None`.
    """

  def run(self, state: TrainState, size: int) -> tuple[TrainState, Metrics]:
    """Takes `size` steps.

    Returns:
      The state after them, and the mean of each metric.
    """
    raise NotImplementedError

  def position(self) -> Any:
    """Returns the position in the data, as JSON; `None` if there is none."""
    return None

  def close(self) -> None:
    """Stops all threads and processes that read ahead."""


class ScanRunner(Runner):
  """Scans over examples that are all on the devices; see `take_steps`."""

  def __init__(
    self,
    step: steps.Step,
    data: Data,
    batch_size: int,
    key: jax.Array,
    mesh: Mesh,
  ):
    """Puts `data` on all devices.

    Args:
      step: from a step maker.
      data: arrays by name, all of one length.
      batch_size: examples in a step, over all devices.
      key: the key of the order and of every step.
      mesh: the devices.
    """
    replicated = NamedSharding(mesh, PartitionSpec())
    examples, shape = pad_examples(data, batch_size)
    self._examples = distributed.replicate(examples, replicated)
    self._key = _replicate_key(key, replicated)
    self._run = jax.jit(
      functools.partial(take_steps, step, mesh=mesh, shape=shape),
      static_argnames='size',
      out_shardings=replicated,
    )

  def run(self, state: TrainState, size: int) -> tuple[TrainState, Metrics]:
    return self._run(state, self._examples, self._key, size=size)


class Examples(NamedTuple):
  """Training examples in a common shape; see `pad_examples`.

  Attributes:
    data: by name, `[rows, ...]`.
    count: `[]`, the rows that are examples; the others are zeros.
  """

  data: dict[str, Any]
  count: Any


@dataclasses.dataclass(frozen=True)
class BatchShape:
  """What a program of training steps must know of the number of examples.

  Attributes:
    batch_size: examples in a step, over all devices.
    least_batches: a lower bound of the number of whole batches in an epoch.
  """

  batch_size: int
  least_batches: int


def pad_examples(
  data: Data, batch_size: int, capacity: int = 0
) -> tuple[Examples, BatchShape]:
  """Pads training examples, so that data of similar length share a program.

  Args:
    data: arrays by name, all of one length.
    batch_size: examples in a step, at most that length.
    capacity: the number of examples to which they are padded at least.

  Returns:
    The padded examples, and the static sizes of their program.
  """
  count = len(next(iter(data.values())))
  rows = padding.rows(max(count, capacity))
  # A quarter, so that all folds of one data set have the same program.
  least = rows // 4
  while least > count:
    least //= 2
  arrays = {k: padding.pad(np.asarray(x), {0: rows}) for k, x in data.items()}
  return (
    Examples(arrays, np.int32(count)),
    BatchShape(batch_size, max(1, least // batch_size)),
  )


class StreamRunner(Runner):
  """Reads batches with Grain while the devices compute.

  Each epoch has its own random order; see `grain_pipeline.make_dataset`. The
  order depends on the key alone, not on the number of processes or workers.
  Arrays in `data`, such as labels, stay in memory and are indexed.
  """

  def __init__(
    self,
    step: steps.Step,
    data: Data,
    batch_size: int,
    key: jax.Array,
    mesh: Mesh,
    workers: int = 0,
  ):
    """Checks the settings; reading begins with `start`.

    Args:
      step: from a step maker.
      data: by name, a `sources.Source` or an array, all of one length.
      batch_size: examples in a step, over all devices and processes.
      key: the key of the order and of every step.
      mesh: the devices.
      workers: worker processes that read; with 0, threads read.

    Raises:
      UserError: `workers` is negative, or a source cannot be sent to them.
    """
    order_key, step_key = jax.random.split(key)
    self._replicated = NamedSharding(mesh, PartitionSpec())
    self._sharded = NamedSharding(mesh, PartitionSpec('data'))
    self._key = _replicate_key(step_key, self._replicated)
    self._step = step
    self._advance = _make_advance(step, self._replicated, self._sharded)
    self._zero_sums: Any = None
    self._in_memory = {
      k: np.asarray(x) for k, x in data.items() if not sources.is_lazy(x)
    }
    self._streamed = {k: x for k, x in data.items() if sources.is_lazy(x)}
    self._settings = {
      'grain': grain_pipeline.import_grain().__version__,
      'examples': len(next(iter(data.values()))),
      'batch_size': batch_size,
      'seed': int(jax.random.bits(order_key)),
      'workers': workers,
      'processes': jax.process_count(),
    }
    grain_pipeline.check_workers(workers, self._streamed)
    self._first_batch = 0
    self._iterator: Any = None

  def start(self, step: int, position: Any) -> None:
    """Starts reading at the batch of the next step.

    Args:
      step: how many steps have been taken.
      position: the result of `position` at that step. If it is `None`, or was
        saved with other settings, a new iterator starts at batch `step`.
    """
    self.close()
    resumes = bool(position) and position['settings'] == self._settings
    self._first_batch = position['start'] if resumes else step
    self._iterator = iter(
      grain_pipeline.make_dataset(
        functools.partial(grain_pipeline.read_examples, self._streamed),
        self._settings['examples'],
        self._settings['batch_size'],
        seed=self._settings['seed'],
        workers=self._settings['workers'],
        start=self._first_batch,
      )
    )
    if resumes:
      self._iterator.set_state(position['iterator'])

  def run(self, state: TrainState, size: int) -> tuple[TrainState, Metrics]:
    """Takes `size` steps; the memory of `state` is reused.

    Returns:
      The state after them; and the mean of each metric, with `input_wait`: the
      share of the time in which the devices waited for a batch. It is an upper
      bound: if a step ended while the next batch was awaited, the whole wait is
      counted.
    """
    started = time.perf_counter()
    waited, sums = 0.0, None
    for _ in range(size):
      before = time.perf_counter()
      local_batch = next(self._iterator)
      if sums is None or all(x.is_ready() for x in sums.values()):
        waited += time.perf_counter() - before
      batch = self._put(local_batch)
      previous = self._zeros(state, batch) if sums is None else sums
      state, sums = self._advance(state, previous, batch, self._key)
      # At most one step in flight, so that batches do not fill the memory.
      jax.block_until_ready(previous)
    means = {k: v / size for k, v in jax.block_until_ready(sums).items()}
    return state, {
      **means,
      'input_wait': waited / (time.perf_counter() - started),
    }

  def position(self) -> dict[str, Any]:
    """Returns the settings and the position of the Grain iterator."""
    return {
      'settings': self._settings,
      'start': self._first_batch,
      'iterator': self._iterator.get_state(),
    }

  def close(self) -> None:
    if self._iterator is not None:
      self._iterator.close()
      self._iterator = None

  def _put(self, local_batch):
    """Puts this process's part of a batch on its devices."""
    indices = local_batch['indices']
    indexed = {k: x[indices] for k, x in self._in_memory.items()}
    return {
      k: jax.make_array_from_process_local_data(self._sharded, x)
      for k, x in (indexed | local_batch['examples']).items()
    }

  def _zeros(self, state, batch):
    if self._zero_sums is None:
      _, metrics = jax.eval_shape(self._step, state, batch, self._key)
      self._zero_sums = distributed.replicate(
        {name: np.zeros((), np.float32) for name in metrics}, self._replicated
      )
    return self._zero_sums


def _replicate_key(key, sharding):
  # By its data: JAX does not send keys to other processes.
  data = distributed.replicate(jax.random.key_data(key), sharding)
  return jax.random.wrap_key_data(data, impl=jax.random.key_impl(key))


def take_steps(
  step: steps.Step,
  state: TrainState,
  examples: Examples,
  key: jax.Array,
  *,
  size: int,
  mesh: Mesh,
  shape: BatchShape,
) -> tuple[TrainState, Metrics]:
  """Scans over `size` steps; call it within `jax.jit`.

  Each epoch has its own random order, drawn with a key that is folded from the
  epoch's number. Examples that do not fill a batch are left out of that epoch.

  Args:
    step: from a step maker.
    state: the state before the first step.
    examples: see `pad_examples`; on all devices.
    key: the key of the order and of every step.
    size: the number of steps.
    mesh: the devices, along `'data'`.
    shape: see `pad_examples`.

  Returns:
    The state after the steps, and the mean of each metric.
  """
  sharded = NamedSharding(mesh, PartitionSpec('data'))
  rows = len(jax.tree.leaves(examples.data)[0])
  order_key, step_key = jax.random.split(key)

  def epoch_rows(epoch):
    bits = jax.random.bits(jax.random.fold_in(order_key, epoch), (rows,))
    # The sort is stable: padding stays behind all examples.
    is_example = jnp.arange(rows) < examples.count
    last = jnp.asarray(jnp.iinfo(bits.dtype).max, bits.dtype)
    order = jnp.argsort(jnp.where(is_example, bits, last))
    most = rows // shape.batch_size
    return order[: most * shape.batch_size].reshape(most, shape.batch_size)

  # One sort for each epoch, not for each step: sorting is slow on the CPU.
  batches = examples.count // shape.batch_size
  first_epoch = state.step // batches
  epochs = first_epoch + jnp.arange((size - 1) // shape.least_batches + 2)
  orders = jax.vmap(epoch_rows)(epochs)

  def body(state, _):
    epoch, batch = jnp.divmod(state.step, batches)
    indices = orders[epoch - first_epoch, batch]
    batch = jax.tree.map(
      lambda a: jax.lax.with_sharding_constraint(a[indices], sharded),
      examples.data,
    )
    return step(state, batch, jax.random.fold_in(step_key, state.step))

  state, metrics = jax.lax.scan(body, state, length=size)
  return state, jax.tree.map(jnp.mean, metrics)


def _make_advance(step, replicated, sharded):
  """Returns a jitted step that also adds the metrics to their sums."""

  # The state is donated, and its output sharding is its input sharding. So its
  # memory is reused, and the second call is not compiled again.
  @functools.partial(
    jax.jit,
    donate_argnums=0,
    in_shardings=(replicated, replicated, sharded, replicated),
    out_shardings=replicated,
  )
  def advance(state, sums, batch, key):
    state, metrics = step(state, batch, jax.random.fold_in(key, state.step))
    return state, {name: sums[name] + x.mean() for name, x in metrics.items()}

  return advance
