"""The training loop: steps in chunks, with checkpoints and a training curve."""

import contextlib
import json
import math
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import tensorboardX
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hybrid_jax import errors, files, progress
from hybrid_jax.datasets import sources
from hybrid_jax.training import (
  checkpoint,
  distributed,
  runners,
  steps,
  train_state,
)
from hybrid_jax.training.train_state import TrainState

BEST = 'best'  # the folder of the best state
Evaluate = Callable[[Any], dict[str, float]]


def data_mesh() -> Mesh:
  """Returns a mesh of all devices along one axis, `'data'`."""
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
  keep_best: bool = False,
) -> TrainState:
  """Runs `step` up to step `total`, starting from the newest checkpoint.

  Batches are drawn without replacement, with one order for each epoch. All keys
  are folded from the numbers of the epoch and the step. So a resumed run takes
  the same steps as an uninterrupted one.

  In a run of several processes, all call this with the same arguments. The
  state and checkpoint of the first process are used; it alone validates and
  writes the curve.

  Args:
    step: from a step maker.
    state: the state before the first step.
    data: the training examples by name: arrays of one length, which are put on
      the devices. If one is a `sources.Source`, batches are read while the
      steps run; see `runners.StreamRunner`.
    total: the number of steps in all.
    batch_size: examples in a step, over all devices.
    every: steps in a chunk. After each chunk there is a checkpoint, a
      validation, and a line of the training curve.
    key: the key of all random numbers of this run.
    folder: the folder for checkpoints, `curve.jsonl` and TensorBoard events.
    evaluate: maps parameters to validation metrics.
    label: the text of the progress bar.
    mesh: the devices; all of them by default.
    workers: worker processes that read a `Source`; with 0, threads read.
    keep_best: whether the state with the highest `validation_accuracy`, the
      latest of several, is kept in the folder `best`.

  Returns:
    The state after the last step.

  Raises:
    UserError: the batch is larger than the data or does not divide over the
      devices, the loss is not finite, or an example cannot be used.
  """
  mesh = mesh or data_mesh()
  check_data(data, batch_size)
  check_divides(batch_size, mesh.size)
  checkpoints = folder / 'checkpoints'
  state, position = _restore(checkpoints, state, mesh)
  done = int(state.step)
  if done >= total:
    return distributed.to_local(state)
  runner = _make_runner(step, data, batch_size, key, mesh, workers)
  recorder = Recorder(folder, label, evaluate, done, keep_best)
  with (
    contextlib.closing(runner),
    progress.Progress(label, total, initial=done) as bar,
  ):
    runner.start(done, position)
    while done < total:
      size = min(every, total - done)
      state, means = runner.run(state, size)
      done += size
      metrics = recorder.add(state, means, runner.position())
      bar.advance(size, **metrics)
  return distributed.to_local(state)


def check_divides(size: int, devices: int, name: str = 'batch_size') -> None:
  """Raises `UserError` if a batch of `size` does not divide over `devices`."""
  if size % devices:
    raise errors.UserError(
      f'{name} is {size}; it must divide over {devices} devices.'
    )


def check_data(data: runners.Data, batch_size: int) -> None:
  """Raises `UserError` if lengths differ or the batch is larger than the data.

  Args:
    data: arrays by name.
    batch_size: examples in a step.
  """
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


def _restore(checkpoints, state, mesh):
  """Returns the newest checkpoint's state, or `state`, and its position."""
  position = None
  if distributed.is_first():
    restored = checkpoint.restore_with_position(checkpoints, state)
    if restored is not None:
      state, position = restored
  replicated = NamedSharding(mesh, PartitionSpec())
  if distributed.is_multiprocess():
    state = distributed.broadcast(state)
    return distributed.replicate(state, replicated), position
  # A copy, since a runner may reuse the memory of the caller's state, and since
  # `device_put` may return an array that shares it (JAX 0.10). NumPy's, since
  # JAX would compile a copy for each shape.
  return jax.device_put(jax.tree.map(np.array, state), replicated), position


def _make_runner(step, data, batch_size, key, mesh, workers):
  if any(sources.is_lazy(x) for x in data.values()):
    return runners.StreamRunner(step, data, batch_size, key, mesh, workers)
  return runners.ScanRunner(step, data, batch_size, key, mesh)


class Recorder:
  """Validates and saves a training after each chunk of its steps."""

  def __init__(
    self,
    folder: pathlib.Path,
    label: str,
    evaluate: Evaluate,
    done: int,
    keep_best: bool = False,
  ):
    """Continues after step `done`; the other arguments are those of `fit`."""
    self._folder, self._label, self._evaluate = folder, label, evaluate
    self._keep_best = keep_best
    self._curve = _Curve(folder, done) if distributed.is_first() else None

  def add(
    self, state: TrainState, means: runners.Metrics, position: Any = None
  ) -> dict[str, float]:
    """Writes a checkpoint and a line of the curve.

    Args:
      state: the state after the chunk.
      means: the mean of each metric over the chunk.
      position: see `checkpoint.save`.

    Returns:
      The metrics and, in the first process, the validation metrics.

    Raises:
      UserError: the loss is not finite, or the checkpoint cannot be written.
    """
    done = int(state.step)
    # One transfer for all metrics.
    metrics = {k: float(v) for k, v in jax.device_get(means).items()}
    if not math.isfinite(metrics['loss']):
      raise errors.UserError(
        f'the loss of {self._label!r} is {metrics["loss"]} at step {done};'
        ' lower the learning rate.'
      )
    if self._curve is not None:
      params = train_state.trained_params(state)
      metrics |= self._evaluate(distributed.to_local(params))
      self._curve.add(done, metrics)
    # Before the checkpoint: a run that is killed between the two repeats the
    # chunk, and saves the same state again.
    if self._keep_best and distributed.broadcast_bool(
      self._curve is not None and self._curve.is_best()
    ):
      checkpoint.save(self._folder / BEST, done, jax.device_get(state))
    checkpoint.save(
      self._folder / 'checkpoints',
      done,
      jax.device_get(state),
      position,
    )
    return metrics


class _Curve:
  """The training curve, as JSON lines and as TensorBoard events."""

  def __init__(self, folder: pathlib.Path, done: int):
    """Continues after step `done`; drops later lines of an interrupted run."""
    self._path = folder / 'curve.jsonl'
    lines = self._path.read_text().splitlines() if self._path.exists() else []
    self._lines = [x for x in lines if json.loads(x)['step'] <= done]
    self._events = tensorboardX.SummaryWriter(
      str(folder / 'events'), purge_step=done + 1 if done else None
    )

  def is_best(self) -> bool:
    """Returns whether no line has a higher accuracy than the last one."""
    accuracies = [json.loads(x)['validation_accuracy'] for x in self._lines]
    return accuracies[-1] >= max(accuracies)

  def add(self, step: int, metrics: dict[str, float]) -> None:
    self._lines.append(json.dumps({'step': step, **metrics}))
    text = '\n'.join(self._lines) + '\n'
    files.write_bytes(self._path, text.encode())
    for name, value in metrics.items():
      self._events.add_scalar(name, value, step)
    self._events.flush()
