"""Trainings that differ in numbers alone, as one jitted program.

Each takes the very batches and keys of `training.loop.fit`: the program maps
the loop's own scan over their states, keys and settings, and the examples lie
on the devices once for all.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hybrid_jax import errors
from hybrid_jax.training import heads, loop, runners, steps
from hybrid_jax.training.train_state import TrainState

MakeStep = Callable[[Any], steps.Step]


@dataclasses.dataclass(frozen=True)
class Trained:
  """What came out, and how long it took.

  Attributes:
    states: one for each training, on the host.
    compile_seconds: to trace and compile the program.
    run_seconds: of the program itself.
  """

  states: list[TrainState]
  compile_seconds: float
  run_seconds: float

  def __str__(self) -> str:
    return (
      f'{self.run_seconds:.1f} s, and {self.compile_seconds:.1f} s to compile'
    )


def fit(
  make_step: MakeStep,
  states: list[TrainState],
  keys: list[jax.Array],
  own: Any,
  data: runners.Data,
  *,
  total: int,
  batch_size: int,
  mapping: str = 'auto',
  devices: Sequence[jax.Device] | None = None,
) -> Trained:
  """Runs all trainings to their end.

  Args:
    make_step: a training's settings, of traced numbers, to its step.
    states: before the first step.
    keys: all randomness of each training.
    own: a tree of `[trainings]`: the settings of each.
    data: the training examples, arrays.
    total: steps of each.
    batch_size: examples in a step.
    mapping: `'vmap'`, all at once, which shares them out over the devices;
      `'map'`, one after the other within the program, whose batches are shared
      out as in the loop; or `'auto'`, which is the latter on the CPU, where the
      first was not seen to be faster.
    devices: for `'vmap'`; all of them if `None`.

  Raises:
    UserError: the loss of a training is no longer finite.
  """
  at_once = is_vmapped(mapping)
  count = len(states)
  if at_once:
    mesh = _mesh((devices or jax.devices())[:count])
    # The last one is repeated until all devices have as many.
    rows = heads.even_shares(count, mesh.size)
  else:
    mesh, rows = loop.data_mesh(), np.arange(count)

  def one(state, key, settings, data):
    runner = runners.ScanRunner(
      make_step(settings), data, batch_size, key, mesh
    )
    return runner.run(state, total)

  def program(states, keys, own, data):
    if at_once:
      return jax.vmap(one, in_axes=(0, 0, 0, None), spmd_axis_name='trainings')(
        states, keys, own, data
      )
    return jax.lax.map(lambda each: one(*each, data), (states, keys, own))

  stacked = jax.tree.map(lambda *a: jnp.stack(a), *states)
  every = jax.tree.map(lambda a: a[rows], (stacked, jnp.stack(keys), own))
  axis = PartitionSpec('trainings') if at_once else PartitionSpec()
  arguments = (
    *jax.device_put(every, NamedSharding(mesh, axis)),
    jax.device_put(dict(data), NamedSharding(mesh, PartitionSpec())),
  )
  began = time.perf_counter()
  compiled = jax.jit(program).lower(*arguments).compile()
  between = time.perf_counter()
  found, metrics = jax.block_until_ready(compiled(*arguments))
  ended = time.perf_counter()
  for i, value in enumerate(np.asarray(metrics['loss'])[:count]):
    if not math.isfinite(value):
      raise errors.UserError(
        f'the loss of training {i} is {value}; lower the learning rate.'
      )
  found = jax.device_get(found)
  return Trained(
    [
      jax.tree.map(lambda a, i=i: np.asarray(a[i]), found) for i in range(count)
    ],
    between - began,
    ended - between,
  )


def is_vmapped(mapping: str) -> bool:
  """Whether all trainings step at once; see `fit`."""
  if mapping == 'auto':
    # JAX 0.7 maps no gradient of a convolution whose kernel has a mesh.
    return jax.default_backend() != 'cpu' and jax.__version_info__ >= (0, 8)
  return mapping == 'vmap'


def _mesh(devices):
  return Mesh(np.array(devices)[:, None], ('trainings', 'data'))
