"""Steps one by one, each on a batch that was read while the last one ran."""

import functools
import time
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hybrid_jax.training import distributed, steps
from hybrid_jax.training.train_state import TrainState

Means = dict[str, Any]


class Stepwise:
  """Takes steps; a subclass says where their batches come from."""

  def __init__(self, step: steps.Step, key: jax.Array, mesh: Mesh):
    """`key` is that of which each step's own is folded."""
    self._replicated = NamedSharding(mesh, PartitionSpec())
    self._sharded = NamedSharding(mesh, PartitionSpec('data'))
    self._key = key_on(key, self._replicated)
    self._step = step
    self._advance = _make_advance(step, self._replicated, self._sharded)
    self._zeros = None

  def read(self) -> Any:
    """What the next batch is made of."""
    raise NotImplementedError

  def put(self, local: Any) -> steps.Batch:
    """What `read` gave, as arrays on the devices, sharded along `'data'`."""
    raise NotImplementedError

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
      local = self.read()
      if sums is None or _is_ready(sums):
        waited += time.perf_counter() - before
      batch = self.put(local)
      last = self._no_sums(state, batch) if sums is None else sums
      state, sums = self._advance(state, last, batch, self._key)
      # One step runs and one batch is read: memory for no more is taken.
      jax.block_until_ready(last)
    means = {k: v / size for k, v in jax.block_until_ready(sums).items()}
    return state, {
      **means,
      'input_wait': waited / (time.perf_counter() - began),
    }

  def _no_sums(self, state, batch):
    if self._zeros is None:
      _, metrics = jax.eval_shape(self._step, state, batch, self._key)
      self._zeros = distributed.replicate(
        {name: np.zeros((), np.float32) for name in metrics}, self._replicated
      )
    return self._zeros


def key_on(key: jax.Array, sharding: NamedSharding) -> jax.Array:
  """A key on all devices, by its data: keys are sent to no other process."""
  data = distributed.replicate(jax.random.key_data(key), sharding)
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
