"""The one training loop: steps scanned in chunks, checkpointed, resumable."""

import contextlib
import json
import math
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import tensorboardX
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hybrid_jax import errors, files, progress
from hybrid_jax.datasets import sources
from hybrid_jax.training import checkpoint, distributed, runners, steps
from hybrid_jax.training.train_state import TrainState

Evaluate = Callable[[Any], dict[str, float]]


def data_mesh() -> Mesh:
  """All devices along one axis, `'data'`."""
  return jax.make_mesh(
    (jax.device_count(),),
    ('data',),
    axis_types=(jax.sharding.AxisType.Auto,),
  )


def fit(
  step: steps.Step,
  state: TrainState,
  data: runners.Data,
  *,
  total: int,
  batch_size: int,
  every: int,
  key: jax.Array,
  folder: pathlib.Path,
  evaluate: Evaluate,
  label: str,
  mesh: Mesh | None = None,
  workers: int = 0,
) -> TrainState:
  """Runs `step` until `total` steps are done, from the newest checkpoint on.

  Batches are drawn without replacement, epoch by epoch, by a key folded from
  the epoch; the step's own key is folded from its number. So a resumed run
  takes the same steps as an unbroken one.

  Of several processes all call this alike, with the same data. The first's
  state and checkpoint count; it alone validates, and writes the curve.

  Args:
    step: from a step maker.
    state: the state before the first step.
    data: arrays of one length, the training examples; put on the devices. If
      one is a `sources.Source`, batches are read while the steps run; see
      `batches.Streamed`.
    total: how many steps to take in all.
    batch_size: examples in a step, over all devices.
    every: steps in a chunk: after each, a checkpoint, a line of the training
      curve, and a validation.
    key: all randomness of this run.
    folder: its checkpoints, `curve.jsonl`, and TensorBoard events.
    evaluate: parameters to validation figures.
    label: what the progress bar says.
    mesh: the devices; all of them if `None`.
    workers: processes that read a `Source`; with 0, threads of this one do.

  Raises:
    UserError: the batch is larger than the data or does not divide over the
      devices, the loss is no longer finite, or a source does not give what it
      should.
  """
  mesh = mesh or data_mesh()
  lengths = {name: len(x) for name, x in data.items()}
  examples = next(iter(lengths.values()))
  if set(lengths.values()) != {examples}:
    raise errors.UserError(
      'the training data differ in length: '
      + ', '.join(f'{name} has {n}' for name, n in lengths.items())
      + '.'
    )
  if not 0 < batch_size <= examples:
    raise errors.UserError(
      f'batch_size is {batch_size}; the training fold allows 1 to {examples}.'
    )
  check_divides(batch_size, mesh.size)
  checkpoints = folder / 'checkpoints'
  state, position = _start(checkpoints, state, mesh)
  done = int(state.step)
  if done >= total:
    return distributed.to_local(state)
  runner = _make_runner(step, data, batch_size, key, mesh, workers)
  curve = _Curve(folder, done) if distributed.is_first() else None
  with (
    contextlib.closing(runner),
    progress.Progress(label, total, initial=done) as bar,
  ):
    runner.begin(done, position)
    while done < total:
      size = min(every, total - done)
      state, metrics = runner.run(state, size)
      done += size
      # Fetched once: a read of each value would wait for each.
      figures = {k: float(v) for k, v in jax.device_get(metrics).items()}
      if not math.isfinite(figures['loss']):
        raise errors.UserError(
          f'the loss of {label!r} is {figures["loss"]} at step {done}; lower'
          ' the learning rate.'
        )
      if curve is not None:
        figures |= evaluate(distributed.to_local(state.params))
        curve.add(done, figures)
      checkpoint.save(
        checkpoints, done, jax.device_get(state), **runner.position()
      )
      bar.advance(size, **figures)
  return distributed.to_local(state)


def check_divides(size: int, devices: int, name: str = 'batch_size') -> None:
  """Raises `UserError` if a batch of `size` does not divide over `devices`."""
  if size % devices:
    raise errors.UserError(
      f'{name} is {size}; it must divide over {devices} devices.'
    )


def _start(checkpoints, state, mesh):
  """The newest checkpoint's state, or `state`, on all devices; a position."""
  position = None
  if distributed.is_first():
    found = checkpoint.restore_with_position(checkpoints, state)
    if found is not None:
      state, position = found
  replicated = NamedSharding(mesh, PartitionSpec())
  if distributed.is_multiprocess():
    return distributed.replicate(
      distributed.broadcast(state), replicated
    ), position
  # A stream's steps take the state's memory, which may be the caller's; and
  # what is put on several devices may be one of them itself (JAX 0.10).
  return jax.device_put(jax.tree.map(jnp.copy, state), replicated), position


def _make_runner(step, data, batch_size, key, mesh, workers):
  if any(sources.streams(x) for x in data.values()):
    return runners.Streamed(step, data, batch_size, key, mesh, workers)
  if distributed.is_multiprocess():
    return runners.Shared(step, data, batch_size, key, mesh)
  return runners.OnDevice(step, data, batch_size, key, mesh)


class _Curve:
  """The training curve, as JSON lines and as TensorBoard events."""

  def __init__(self, folder: pathlib.Path, done: int):
    """Goes on after step `done`; later lines of a killed run are dropped."""
    self._path = folder / 'curve.jsonl'
    lines = self._path.read_text().splitlines() if self._path.exists() else []
    self._lines = [x for x in lines if json.loads(x)['step'] <= done]
    self._events = tensorboardX.SummaryWriter(
      str(folder / 'events'), purge_step=done + 1 if done else None
    )

  def add(self, step: int, figures: dict[str, float]) -> None:
    self._lines.append(json.dumps({'step': step, **figures}))
    text = '\n'.join(self._lines) + '\n'
    files.write_bytes(self._path, text.encode())
    for name, value in figures.items():
      self._events.add_scalar(name, value, step)
    self._events.flush()
