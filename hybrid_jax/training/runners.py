"""Where a step's batch comes from: arrays, or a stream.

All take a chunk of steps by `run`, and differ in where the examples are:
`OnDevice` scans over arrays on the devices, `Shared` has them in the memory of
several processes, and `Streamed` reads each batch while the step before it
runs.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hybrid_jax.datasets import sources
from hybrid_jax.training import grain_pipeline, prefetching_runner, steps
from hybrid_jax.training.train_state import TrainState

Data = Mapping[str, Any]
Means = prefetching_runner.Means


class _InMemory:
  """What needs nothing kept beside the state's number, and nothing stopped."""

  def position(self) -> dict[str, Any]:
    """What `checkpoint.save` keeps beside the state: nothing."""
    return {}

  def close(self) -> None:
    """Nothing to stop."""


class OnDevice(_InMemory):
  """All examples lie on the devices; a chunk is one program that scans."""

  def __init__(
    self,
    step: steps.Step,
    data: Data,
    batch_size: int,
    key: jax.Array,
    mesh: Mesh,
  ):
    """`data` and `batch_size` as for `loop.fit`; `key` draws all batches."""
    replicated = NamedSharding(mesh, PartitionSpec())
    self._data = jax.device_put(dict(data), replicated)
    self._key = prefetching_runner.key_on(key, replicated)
    examples = len(jax.tree.leaves(self._data)[0])
    self._run = _make_chunk(step, examples, batch_size, mesh)

  def begin(self, done: int, position: Any) -> None:
    """Goes on after step `done`: nothing to do, the state has its number."""

  def run(self, state: TrainState, size: int) -> tuple[TrainState, Means]:
    """Takes `size` steps; the state after them, and each metric's mean."""
    return self._run(state, self._data, self._key, size)


class Shared(_InMemory, prefetching_runner.Stepwise):
  """Examples in the memory of every process, which feeds its own devices.

  The steps are those of `OnDevice`: their batches, in its order, and their
  keys.
  """

  def __init__(
    self,
    step: steps.Step,
    data: Data,
    batch_size: int,
    key: jax.Array,
    mesh: Mesh,
  ):
    """`data` and `batch_size` as for `loop.fit`; `key` draws all batches."""
    order_key, step_key = jax.random.split(key)
    super().__init__(step, step_key, mesh)
    self._data = {name: np.asarray(x) for name, x in data.items()}
    examples = len(next(iter(self._data.values())))
    self._per_epoch = examples // batch_size
    order = jax.jit(lambda e: _order(order_key, e, examples, batch_size))
    # Kept while it is used: an epoch's order, not a step's.
    self._rows = functools.lru_cache(maxsize=1)(lambda e: np.asarray(order(e)))
    self._next = 0

  def begin(self, done: int, position: Any) -> None:
    """Goes on after step `done`."""
    self._next = done

  def read(self) -> np.ndarray:
    """The next batch's rows `[batch]`, which need not be waited for."""
    epoch, number = divmod(self._next, self._per_epoch)
    self._next += 1
    return self._rows(epoch)[number]

  def put(self, local: np.ndarray) -> steps.Batch:
    """The examples of those rows that this process's devices hold."""

    def sharded(x):
      return jax.make_array_from_callback(
        (len(local), *x.shape[1:]),
        self._sharded,
        lambda at: x[local[at[0]]],
      )

    return {name: sharded(x) for name, x in self._data.items()}


class Streamed(prefetching_runner.Stepwise):
  """Examples are read, by Grain, batch by batch while the devices compute.

  Each epoch has another order, which the key fixes and neither the number of
  processes nor of workers changes; a rest of less than a batch waits for
  another epoch. Labels are in memory, and are joined by the example's index.
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
    """Reads nothing before `begin`.

    Args:
      step: from a step maker.
      data: by name, a `Source` or an array in memory, of one length.
      batch_size: examples in a step, over all devices and processes.
      key: draws the order, and each step's own key.
      mesh: the devices.
      workers: processes of this one that read; with 0, threads of it do.

    Raises:
      UserError: `workers` is negative; or a source cannot be sent to them.
    """
    order_key, step_key = jax.random.split(key)
    super().__init__(step, step_key, mesh)
    self._stored = {
      k: np.asarray(x) for k, x in data.items() if not sources.streams(x)
    }
    self._read = grain_pipeline.Read(
      {k: x for k, x in data.items() if sources.streams(x)}
    )
    self._settings = {
      'grain': grain_pipeline.library().__version__,
      'examples': len(next(iter(data.values()))),
      'batch_size': batch_size,
      'seed': int(jax.random.bits(order_key)),
      'workers': workers,
      'processes': jax.process_count(),
    }
    grain_pipeline.check_workers(workers, self._read)
    self._start = 0
    self._iterator: Any = None

  def begin(self, done: int, position: Any) -> None:
    """Goes on after step `done`, with the batches of an unbroken run.

    Args:
      done: how many steps have been taken.
      position: what `position` told then. If it was of other settings, or is
        `None`, the stream is made anew from the batch of that number on.
    """
    self.close()
    same = bool(position) and position['settings'] == self._settings
    self._start = position['start'] if same else done
    self._iterator = iter(
      grain_pipeline.pipeline(
        self._read,
        self._settings['examples'],
        self._settings['batch_size'],
        seed=self._settings['seed'],
        workers=self._settings['workers'],
        start=self._start,
      )
    )
    if same:
      self._iterator.set_state(position['iterator'])

  def read(self) -> Any:
    """This process's part of the next batch."""
    return next(self._iterator)

  def position(self) -> dict[str, Any]:
    """What `checkpoint.save` keeps beside the state: `{'position': ...}`."""
    return {
      'position': {
        'settings': self._settings,
        'start': self._start,
        'iterator': self._iterator.get_state(),
      }
    }

  def close(self) -> None:
    """Stops what reads ahead, and its processes."""
    if self._iterator is not None:
      self._iterator.close()
      self._iterator = None

  def put(self, local: Any) -> steps.Batch:
    """This process's part of a batch, onto its devices."""
    stored = {k: x[local['index']] for k, x in self._stored.items()}
    return {
      k: jax.make_array_from_process_local_data(self._sharded, x)
      for k, x in (stored | local['read']).items()
    }


def _order(key, epoch, examples, batch_size):
  """The rows of an epoch's batches `[batches, batch_size]`."""
  order = jax.random.permutation(jax.random.fold_in(key, epoch), examples)
  kept = examples // batch_size * batch_size
  return order[:kept].reshape(-1, batch_size)


def _make_chunk(step, examples, batch_size, mesh):
  per_epoch = examples // batch_size
  sharded = NamedSharding(mesh, PartitionSpec('data'))

  @functools.partial(jax.jit, static_argnames='size')
  def run(state, data, key, size):
    order_key, step_key = jax.random.split(key)
    first = state.step // per_epoch
    epochs = first + jnp.arange((size - 1) // per_epoch + 2)
    # Sorting is dear on the CPU: an epoch's order once, not once a step.
    orders = jax.vmap(lambda e: _order(order_key, e, examples, batch_size))(
      epochs
    )
    rows = orders.reshape(-1, batch_size)

    def body(state, _):
      index = rows[state.step - first * per_epoch]
      batch = jax.tree.map(
        lambda a: jax.lax.with_sharding_constraint(a[index], sharded), data
      )
      return step(state, batch, jax.random.fold_in(step_key, state.step))

    state, metrics = jax.lax.scan(body, state, length=size)
    return state, jax.tree.map(jnp.mean, metrics)

  return run
