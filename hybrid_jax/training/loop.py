"""The one training loop: steps scanned in chunks, checkpointed, resumable."""

import functools
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
from hybrid_jax.training import checkpoint, steps
from hybrid_jax.training.state import TrainState

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
  data: steps.Batch,
  *,
  total: int,
  batch_size: int,
  every: int,
  key: jax.Array,
  folder: pathlib.Path,
  evaluate: Evaluate,
  label: str,
  mesh: Mesh | None = None,
) -> TrainState:
  """Runs `step` until `total` steps are done, from the newest checkpoint on.

  Batches are drawn without replacement, epoch by epoch, by a key folded from
  the epoch; the step's own key is folded from its number. So a resumed run
  takes the same steps as an unbroken one.

  Args:
    step: from a step maker.
    state: the state before the first step.
    data: arrays of one length, the training examples; put on the devices.
    total: how many steps to take in all.
    batch_size: examples in a step, over all devices.
    every: steps in a chunk: after each, a checkpoint, a line of the training
      curve, and a validation.
    key: all randomness of this run.
    folder: its checkpoints, `curve.jsonl`, and TensorBoard events.
    evaluate: parameters to validation figures.
    label: what the progress bar says.
    mesh: the devices; all of them if `None`.

  Raises:
    UserError: the batch is larger than the data or does not divide over the
      devices, or the loss is no longer finite.
  """
  mesh = mesh or data_mesh()
  examples = len(jax.tree.leaves(data)[0])
  if not 0 < batch_size <= examples:
    raise errors.UserError(
      f'batch_size is {batch_size}; the training fold allows 1 to {examples}.'
    )
  if batch_size % mesh.size:
    raise errors.UserError(
      f'batch_size is {batch_size}; it must divide over {mesh.size} devices.'
    )
  checkpoints = folder / 'checkpoints'
  state = checkpoint.restore(checkpoints, state) or state
  replicated = NamedSharding(mesh, PartitionSpec())
  state = jax.device_put(state, replicated)
  done = int(state.step)
  if done >= total:
    return state
  data = jax.device_put(data, replicated)
  key = jax.device_put(key, replicated)
  run = _make_chunk(step, examples, batch_size, mesh)
  curve = _Curve(folder, done)
  with progress.Progress(label, total, initial=done) as bar:
    while done < total:
      size = min(every, total - done)
      state, metrics = run(state, data, key, size)
      done += size
      # Fetched once: a read of each value would wait for each.
      figures = {k: float(v) for k, v in jax.device_get(metrics).items()}
      if not math.isfinite(figures['loss']):
        raise errors.UserError(
          f'the loss of {label!r} is {figures["loss"]} at step {done}; lower'
          ' the learning rate.'
        )
      figures |= evaluate(state.params)
      curve.add(done, figures)
      checkpoint.save(checkpoints, done, jax.device_get(state))
      bar.advance(size, **figures)
  return state


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
