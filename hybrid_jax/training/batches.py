"""Where a step's batch comes from: arrays on the devices, or a stream.

Both take a chunk of steps by `run`, and differ in where the examples are:
`OnDevice` scans over arrays, `Streamed` reads each batch while the step before
it runs.
"""

import functools
import time
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hybrid_jax import sources
from hybrid_jax.training import reading, steps
from hybrid_jax.training.state import TrainState

Data = Mapping[str, Any]
Means = dict[str, Any]


class OnDevice:
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
    self._key = _key_on(key, replicated)
    examples = len(jax.tree.leaves(self._data)[0])
    self._run = _make_chunk(step, examples, batch_size, mesh)

  def begin(self, done: int, position: Any) -> None:
    """Goes on after step `done`: nothing to do, the state has its number."""

  def run(self, state: TrainState, size: int) -> tuple[TrainState, Means]:
    """Takes `size` steps; the state after them, and each metric's mean."""
    return self._run(state, self._data, self._key, size)

  def position(self) -> dict[str, Any]:
    """What `checkpoint.save` keeps beside the state: nothing."""
    return {}

  def close(self) -> None:
    """Nothing to stop."""


class Streamed:
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
    self._stored = {
      k: np.asarray(x) for k, x in data.items() if not sources.streams(x)
    }
    self._read = reading.Read(
      {k: x for k, x in data.items() if sources.streams(x)}
    )
    self._settings = {
      'grain': reading.library().__version__,
      'examples': len(next(iter(data.values()))),
      'batch_size': batch_size,
      'seed': int(jax.random.bits(order_key)),
      'workers': workers,
    }
    reading.check_workers(workers, self._read)
    self._replicated = NamedSharding(mesh, PartitionSpec())
    self._sharded = NamedSharding(mesh, PartitionSpec('data'))
    self._key = _key_on(step_key, self._replicated)
    self._step = step
    self._advance = _make_advance(step, self._replicated, self._sharded)
    self._zeros = None
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
      reading.pipeline(
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

  def run(self, state: TrainState, size: int) -> tuple[TrainState, Means]:
    """Takes `size` steps; `state` is given up to them.

    Returns:
      The state after them; and each metric's mean, with `input_wait`, the share
      of the time in which the devices had nothing to do but wait for a batch.
      It is never too small: where a step ended while its successor's batch was
      awaited, all of that wait counts.
    """
    began = time.perf_counter()
    waited, sums = 0.0, None
    for _ in range(size):
      before = time.perf_counter()
      local = next(self._iterator)
      if sums is None or _is_ready(sums):
        waited += time.perf_counter() - before
      batch = self._put(local)
      last = self._no_sums(state, batch) if sums is None else sums
      state, sums = self._advance(state, last, batch, self._key)
      # One step runs and one batch is read: memory for no more is taken.
      jax.block_until_ready(last)
    means = {k: v / size for k, v in jax.block_until_ready(sums).items()}
    return state, {
      **means,
      'input_wait': waited / (time.perf_counter() - began),
    }

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

  def _put(self, local):
    """This process's part of a batch, onto the devices."""
    stored = {k: x[local['index']] for k, x in self._stored.items()}
    return {
      k: jax.make_array_from_process_local_data(self._sharded, x)
      for k, x in (stored | local['read']).items()
    }

  def _no_sums(self, state, batch):
    if self._zeros is None:
      _, metrics = jax.eval_shape(self._step, state, batch, self._key)
      self._zeros = jax.device_put(
        {name: jnp.zeros(()) for name in metrics}, self._replicated
      )
    return self._zeros


def _key_on(key, sharding):
  # By its data: `device_put` sends no key to the devices of other processes.
  data = jax.device_put(jax.random.key_data(key), sharding)
  return jax.random.wrap_key_data(data, impl=jax.random.key_impl(key))


def _is_ready(sums):
  return all(x.is_ready() for x in sums.values())


def _make_advance(step, replicated, sharded):
  # The state goes out as it came in: its memory is used again, and the second
  # call is not compiled anew.
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


def _make_chunk(step, examples, batch_size, mesh):
  per_epoch = examples // batch_size
  sharded = NamedSharding(mesh, PartitionSpec('data'))

  @functools.partial(jax.jit, static_argnames='size')
  def run(state, data, key, size):
    order_key, step_key = jax.random.split(key)
    first = state.step // per_epoch
    epochs = first + jnp.arange((size - 1) // per_epoch + 2)
    # Sorting is dear on the CPU: an epoch's order once, not once a step.
    orders = jax.vmap(
      lambda e: jax.random.permutation(
        jax.random.fold_in(order_key, e), examples
      )
    )(epochs)[:, : per_epoch * batch_size]
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
