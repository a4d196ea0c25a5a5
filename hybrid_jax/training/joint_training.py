"""Trains several networks that differ only in numbers with one program.

Each training has the batches, keys, checkpoints and curve of `loop.fit`. Its
weight, margin, examples and the like are arguments of the program, so that it
is compiled once for all of them. On a CPU the trainings run one after the
other; elsewhere they run at the same time, under `jax.vmap`.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hybrid_jax import progress
from hybrid_jax.datasets import sources
from hybrid_jax.training import checkpoint, distributed, loop, runners, steps
from hybrid_jax.training.train_state import TrainState

Settings = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Run:
  """One of the trainings.

  Attributes:
    state: the state before the first step.
    key: all randomness of this training.
    settings: the numbers of its loss by name, such as the weight.
    data: the training examples; see `loop.fit`. Trainings may share them.
    evaluate: maps parameters to validation metrics.
    folder: its checkpoints, `curve.jsonl`, and TensorBoard events.
    label: its name for the progress bar and for messages.
  """

  state: TrainState
  key: jax.Array
  settings: Settings
  data: runners.Data
  evaluate: loop.Evaluate
  folder: pathlib.Path
  label: str


def fit(
  make_step: Callable[[Settings], steps.Step],
  runs: Sequence[Run],
  *,
  total: int,
  batch_size: int,
  every: int,
  capacity: int = 0,
  keep_best: bool = False,
  workers: int = 0,
  vmap: bool | None = None,
) -> list[TrainState]:
  """Trains all runs to their end, each from its newest checkpoint on.

  Data that are read in batches, and processes of a distributed run, take
  `loop.fit` for one training after the other.

  Args:
    make_step: settings of traced numbers to a training step.
    runs: the trainings, finished ones too. Their states have equal shapes.
    total: steps of each training.
    batch_size: examples in a step.
    every: steps between two validations and checkpoints.
    capacity: the number of examples to which all data are padded at least.
      Calls of one capacity have the same program.
    keep_best: see `loop.fit`.
    workers: see `loop.fit`.
    vmap: whether the trainings run at the same time; by default on any
      backend but the CPU.

  Returns:
    The final states, on the host.

  Raises:
    UserError: see `loop.fit`.
  """
  if distributed.is_multiprocess() or any(
    sources.is_lazy(x) for run in runs for x in run.data.values()
  ):
    return [
      loop.fit(
        make_step(run.settings),
        run.state,
        run.data,
        total=total,
        batch_size=batch_size,
        every=every,
        key=run.key,
        folder=run.folder,
        evaluate=run.evaluate,
        label=run.label,
        workers=workers,
        keep_best=keep_best,
      )
      for run in runs
    ]
  for run in runs:
    loop.check_data(run.data, batch_size)
  # A single training is shared out over all devices instead.
  if (is_vmapped() and len(runs) > 1) if vmap is None else vmap:
    devices = np.array(jax.devices()[: len(runs)])
    mesh = Mesh(devices[:, None], ('trainings', 'data'))
    groups, program = [list(runs)], _vmapped(make_step, mesh)
  else:
    mesh = loop.data_mesh()
    loop.check_divides(batch_size, mesh.size)
    groups, program = [[run] for run in runs], _single(make_step, mesh)
  most = max((_count(run) for run in runs), default=0)
  pad = functools.partial(
    runners.pad_examples, batch_size=batch_size, capacity=max(capacity, most)
  )
  return [
    state
    for group in groups
    for state in _fit_group(group, program, pad, total, every, keep_best)
  ]


def _count(run):
  return len(next(iter(run.data.values())))


def is_vmapped() -> bool:
  """Returns whether trainings run at the same time on this backend."""
  # JAX 0.7 cannot vmap the gradient of a convolution with a sharded kernel.
  return jax.default_backend() != 'cpu' and jax.__version_info__ >= (0, 8)


def _fit_group(group, program, pad, total, every, keep_best):
  """Trains runs that share each call of the program."""
  states = [_newest(run) for run in group]
  done = min(int(state.step) for state in states)
  if done >= total:
    return states
  chunk = program(group, pad)
  recorders = {
    i: loop.Recorder(
      run.folder, run.label, run.evaluate, int(state.step), keep_best
    )
    for i, (run, state) in enumerate(zip(group, states, strict=True))
    if int(state.step) < total
  }
  more = f' and {len(group) - 1} more' if len(group) > 1 else ''
  with progress.Progress(
    group[0].label + more, total, initial=done, weight=len(group)
  ) as bar:
    while done < total:
      # A killed study may have saved this chunk for some of the runs.
      behind = [i for i, s in enumerate(states) if int(s.step) == done]
      size = min(every, total - done)
      # The last one fills up the group: always the same program.
      rows = behind + behind[-1:] * (len(group) - len(behind))
      trained, means = jax.device_get(
        chunk(rows, [states[i] for i in rows], size)
      )
      metrics = {}
      for place, i in enumerate(behind):
        states[i] = _row(trained, place)
        metrics = recorders[i].add(states[i], _row(means, place))
      bar.advance(size, **metrics)
      done = min(int(state.step) for state in states)
  return states


def _newest(run):
  """Returns the state of the newest checkpoint, or the first state."""
  state = checkpoint.restore(run.folder / 'checkpoints', run.state)
  return jax.device_get(run.state if state is None else state)


def _row(tree, i):
  """Returns one training's part of a tree of `[trainings, ...]`."""
  return jax.tree.map(lambda a: np.asarray(a[i]), tree)


def _single(make_step, mesh):
  """Returns a program of one training; its batches are split over the mesh.

  A program is a function `(group, pad) -> chunk`, and a chunk is a function
  `(rows, states, size) -> (states, metrics)` of the runs `rows` of the group.
  """
  one = jax.jit(_one(make_step, mesh), static_argnames=('size', 'shape'))
  replicated = NamedSharding(mesh, PartitionSpec())

  def program(group, pad):
    (run,) = group
    examples, shape = pad(run.data)
    fixed = jax.device_put((examples, run.key, dict(run.settings)), replicated)

    def chunk(rows, states, size):
      del rows
      state = jax.device_put(states[0], replicated)
      out = one(state, *fixed, size=size, shape=shape)
      return jax.tree.map(lambda a: a[None], jax.device_get(out))

    return chunk

  return program


def _one(make_step, mesh):
  """Returns a function that takes a chunk of steps of one training."""

  def one(state, examples, key, settings, size, shape):
    return runners.take_steps(
      make_step(settings),
      state,
      examples,
      key,
      size=size,
      mesh=mesh,
      shape=shape,
    )

  return one


def _vmapped(make_step, mesh):
  """Returns a program of many trainings, which are split over the mesh."""
  one = _one(make_step, mesh)

  @functools.partial(
    jax.jit, static_argnames=('size', 'shape', 'examples_axis')
  )
  def run_all(states, examples, keys, settings, size, shape, examples_axis):
    return jax.vmap(
      lambda *each: one(*each, size, shape),
      in_axes=(0, examples_axis, 0, 0),
      spmd_axis_name='trainings',
    )(states, examples, keys, settings)

  def program(group, pad):
    is_shared = all(run.data is group[0].data for run in group)
    padded = [pad(run.data) for run in (group[:1] if is_shared else group)]
    shape = min((s for _, s in padded), key=lambda s: s.least_batches)
    split = NamedSharding(mesh, PartitionSpec('trainings'))
    if is_shared:
      whole = NamedSharding(mesh, PartitionSpec())
      shared = jax.device_put(padded[0][0], whole)

    def chunk(rows, states, size):
      count = -(-len(rows) // mesh.size) * mesh.size  # over all devices
      more = count - len(rows)
      rows, states = rows + rows[-1:] * more, states + states[-1:] * more
      settings = _stack([dict(group[i].settings) for i in rows], np.float32)
      keys = jnp.stack([group[i].key for i in rows])
      examples = shared if is_shared else _stack([padded[i][0] for i in rows])
      states, keys, settings = jax.device_put(
        (_stack(states), keys, settings), split
      )
      if not is_shared:
        examples = jax.device_put(examples, split)
      axis = None if is_shared else 0
      return run_all(states, examples, keys, settings, size, shape, axis)

    return chunk

  return program


def _stack(trees, dtype=None):
  """Stacks trees of arrays along a new first axis."""
  return jax.tree.map(
    lambda *a: np.stack(a).astype(dtype or a[0].dtype), *trees
  )
