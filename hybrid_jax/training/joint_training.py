"""Trains several networks that differ only in numbers with one program.

Each training has the batches, keys, checkpoints and curve of `loop.fit`. Its
weight, margin and the like are arguments of the program, so that it is compiled
once for all of them. On a CPU the trainings run one after the other; elsewhere
they run at the same time, under `jax.vmap`.
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
    folder: its checkpoints, `curve.jsonl`, and TensorBoard events.
    label: its name for the progress bar and for messages.
  """

  state: TrainState
  key: jax.Array
  settings: Settings
  folder: pathlib.Path
  label: str


def fit(
  make_step: Callable[[Settings], steps.Step],
  runs: Sequence[Run],
  data: runners.Data,
  *,
  total: int,
  batch_size: int,
  every: int,
  evaluate: loop.Evaluate,
  workers: int = 0,
  vmap: bool | None = None,
) -> list[TrainState]:
  """Trains all runs to their end, each from its newest checkpoint on.

  Data that are read in batches, and processes of a distributed run, take
  `loop.fit` for one training after the other.

  Args:
    make_step: settings of traced numbers to a training step.
    runs: the trainings, finished ones too. Their states have equal shapes.
    data: see `loop.fit`.
    total: steps of each training.
    batch_size: examples in a step.
    every: steps between two validations and checkpoints.
    evaluate: maps parameters to validation metrics.
    workers: see `loop.fit`.
    vmap: whether the trainings run at the same time; by default on any
      backend but the CPU.

  Returns:
    The final states, on the host.

  Raises:
    UserError: see `loop.fit`.
  """
  if distributed.is_multiprocess() or any(
    sources.is_lazy(x) for x in data.values()
  ):
    return [
      loop.fit(
        make_step(run.settings),
        run.state,
        data,
        total=total,
        batch_size=batch_size,
        every=every,
        key=run.key,
        folder=run.folder,
        evaluate=evaluate,
        label=run.label,
        workers=workers,
      )
      for run in runs
    ]
  loop.check_data(data, batch_size)
  # A single training is shared out over all devices instead.
  if (is_vmapped() and len(runs) > 1) if vmap is None else vmap:
    devices = np.array(jax.devices()[: len(runs)])
    mesh = Mesh(devices[:, None], ('trainings', 'data'))
    groups = [runs]
    program = _vmapped(make_step, batch_size, mesh)
  else:
    mesh = loop.data_mesh()
    loop.check_divides(batch_size, mesh.size)
    groups = [[run] for run in runs]
    program = _single(make_step, batch_size, mesh)
  replicated = NamedSharding(mesh, PartitionSpec())
  chunk = functools.partial(program, jax.device_put(dict(data), replicated))
  return [
    state
    for group in groups
    for state in _fit_group(group, chunk, total, every, evaluate)
  ]


def is_vmapped() -> bool:
  """Returns whether trainings run at the same time on this backend."""
  # JAX 0.7 cannot vmap the gradient of a convolution with a sharded kernel.
  return jax.default_backend() != 'cpu' and jax.__version_info__ >= (0, 8)


def _fit_group(group, chunk, total, every, evaluate):
  """Trains runs that share each call of `chunk(runs, states, size)`."""
  states = [_newest(run) for run in group]
  done = min(int(state.step) for state in states)
  if done >= total:
    return states
  recorders = {
    i: loop.Recorder(run.folder, run.label, evaluate, int(state.step))
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
        chunk([group[i] for i in rows], [states[i] for i in rows], size)
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


def _one(make_step, batch_size, mesh):
  """Returns a function that takes a chunk of steps of one training."""

  def one(data, state, key, settings, size):
    runner = runners.ScanRunner(
      make_step(settings), data, batch_size, key, mesh
    )
    return runner.run(state, size)

  return one


def _single(make_step, batch_size, mesh):
  """Returns a chunk of one training; its batches are split over the mesh."""
  one = jax.jit(_one(make_step, batch_size, mesh), static_argnames='size')
  replicated = NamedSharding(mesh, PartitionSpec())

  def chunk(data, runs, states, size):
    ((run,), (state,)) = runs, states
    arguments = jax.device_put((state, run.key, dict(run.settings)), replicated)
    return jax.tree.map(
      lambda a: a[None], jax.device_get(one(data, *arguments, size=size))
    )

  return chunk


def _vmapped(make_step, batch_size, mesh):
  """Returns a chunk of many trainings, which are split over the mesh."""
  one = _one(make_step, batch_size, mesh)

  @functools.partial(jax.jit, static_argnames='size')
  def program(data, states, keys, settings, size):
    return jax.vmap(
      lambda *each: one(data, *each, size), spmd_axis_name='trainings'
    )(states, keys, settings)

  def chunk(data, runs, states, size):
    count = -(-len(runs) // mesh.size) * mesh.size  # over all devices
    more = count - len(runs)
    runs, states = runs + runs[-1:] * more, states + states[-1:] * more
    stacked = jax.tree.map(lambda *a: np.stack(a), *states)
    settings = jax.tree.map(
      lambda *a: np.array(a, np.float32), *(dict(run.settings) for run in runs)
    )
    arguments = jax.device_put(
      (stacked, jnp.stack([run.key for run in runs]), settings),
      NamedSharding(mesh, PartitionSpec('trainings')),
    )
    return program(data, *arguments, size=size)

  return chunk
