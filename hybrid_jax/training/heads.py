"""Trains many small heads at once, in one jitted program under `vmap`.

A head is a multilayer perceptron on released vectors; without hidden layers it
is a linear probe. Every step draws fresh noise. Each head keeps the parameters
that did best on validation, and training stops when no head improves.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hybrid_jax.models import perceptron

_AXIS = 'heads'
_REPLICATED, _SHARDED = PartitionSpec(), PartitionSpec(_AXIS)
_TX = optax.scale_by_adam()
_BUCKETS = (8, 16, 64, 128)  # common widths, see `pad`
_CPU_GROUP = 16  # heads that a CPU trains at once


@dataclasses.dataclass(frozen=True)
class HeadSettings:
  """Settings of each of `m` heads; every array is `[m]`.

  Attributes:
    view: index of the view that the head is trained on.
    label: index of the label that the head predicts.
    seed: for its weights, batches and noise.
    rate: its learning rate.
    decay: its weight decay, as in AdamW.
    width: the share of its hidden units that are active, see `perceptron.init`.
  """

  view: np.ndarray
  label: np.ndarray
  seed: np.ndarray
  rate: np.ndarray
  decay: np.ndarray
  width: np.ndarray


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=(
    'train',
    'noise',
    'train_label',
    'validation',
    'validation_label',
    'class_mask',
  ),
  meta_fields=(),
)
@dataclasses.dataclass(frozen=True)
class Data:
  """Arrays that all heads share.

  Attributes:
    train: `[views, n, d]`, without noise.
    noise: `[views, d, e]`: the noise of a view is `noise @ e` with `e` standard
      normal; `None` without noise.
    train_label: `[labels, n]`.
    validation: `[views, n_validation, d]`, noisy validation examples.
    validation_label: `[labels, n_validation]`.
    class_mask: `[labels, k]` bool, the classes that each label has.
  """

  train: jax.Array
  noise: jax.Array | None
  train_label: jax.Array
  validation: jax.Array
  validation_label: jax.Array
  class_mask: jax.Array


class _Loop(NamedTuple):
  """State of the training loop; each leaf is `[heads, ...]`."""

  chunks: jax.Array  # finished chunks
  params: Any
  opt_state: Any
  best: Any
  best_score: jax.Array
  best_chunk: jax.Array  # chunks after which the best parameters were kept
  stale: jax.Array  # chunks since the last improvement


# The fields of `HeadSettings` for each head, its patience in chunks, and the
# chunks after which its parameters are taken (0: where they are best).
_Index = tuple[jax.Array, ...]


def pad(x: np.ndarray, axes: tuple[int, ...] = (-1,)) -> np.ndarray:
  """Pads with zeros to the next common width, so that programs are shared."""
  widths = [(0, 0)] * x.ndim
  for axis in axes:
    size = x.shape[axis]
    padded = next((b for b in _BUCKETS if b >= size), size)
    widths[axis] = (0, padded - size)
  return np.pad(x, widths)


def train(
  data: Data,
  settings: HeadSettings,
  widths: tuple[int, ...],
  config: ml_collections.ConfigDict,
  devices: Sequence[jax.Device] | None = None,
  chunks: np.ndarray | None = None,
) -> tuple[perceptron.Params, np.ndarray]:
  """Trains all heads and returns the best parameters of each.

  The heads are divided among the devices; another number of devices changes no
  more than last bits. Training ends when no head improves. Devices do not
  communicate within the program, since programs that several threads start
  could then wait for each other forever. Instead, each device runs until none
  of its own heads improves, and the host restarts those that stopped earlier
  than others.

  Args:
    data: the training and validation examples.
    settings: the settings of each head.
    widths: the sizes of the hidden layers.
    config: `batch_size`, `chunk` (steps between validations), `max_chunks`, and
      `patience` in chunks.
    devices: by default those of this process.
    chunks: `[m]`, after how many chunks each head's parameters are taken, as
      chosen before; by default where they are best on validation.

  Returns:
    Parameters on the host, each leaf with a leading axis over the heads, and
    the chunks `[m]` after which they were taken.
  """
  count = len(settings.seed)
  devices = (devices or jax.local_devices())[:count]
  mesh = Mesh(np.array(devices), (_AXIS,))
  sharded = NamedSharding(mesh, _SHARDED)
  # The last head is repeated until all devices and groups have equally many.
  parts = mesh.size * groups_on(devices[0].platform, -(-count // mesh.size))
  rows = even_shares(count, parts)
  patience = config.patience if chunks is None else 0
  if chunks is None:
    chunks = np.zeros(count, int)
  index = jax.device_put(
    (
      settings.view[rows],
      settings.label[rows],
      settings.seed[rows],
      settings.rate[rows].astype(np.float32),
      settings.decay[rows].astype(np.float32),
      settings.width[rows].astype(np.float32),
      np.where(np.arange(len(rows)) < count, patience, 0),
      chunks[rows],
    ),
    sharded,
  )
  data = jax.device_put(data, NamedSharding(mesh, _REPLICATED))
  sizes = (data.train.shape[2], *widths, data.class_mask.shape[1])
  limits = (
    min(config.batch_size, data.train.shape[1]),
    config.chunk,
    config.max_chunks,
  )
  empty = jax.eval_shape(_starts(sizes), index)
  loop = jax.device_put(
    jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), empty), sharded
  )
  least = 0
  while True:
    loop = _run(data, index, loop, least, sizes, limits, mesh)
    done = np.asarray(loop.chunks)
    if (done == done.max()).all():
      return jax.tree.map(
        lambda a: np.asarray(a)[:count], (loop.best, loop.best_chunk)
      )
    least = done.max()


def even_shares(count: int, parts: int) -> np.ndarray:
  """Returns the indices 0 to `count - 1`, divisible into `parts` equal parts.

  The last index is repeated as often as needed.
  """
  return np.minimum(np.arange(count + -count % parts), count - 1)


def groups_on(platform: str, heads: int) -> int:
  """Returns the number of groups in which a device trains its heads in turn.

  A CPU's cache holds few heads: 64 heads in groups of 16 take four fifths of
  the time of 64 at once.
  """
  return -(-heads // _CPU_GROUP) if platform == 'cpu' else 1


@jax.jit
def log_probs(
  params: perceptron.Params,
  x: jax.Array,
  view: jax.Array,
  class_mask: jax.Array,
) -> jax.Array:
  """Computes the log-probabilities `[m, n, k]` of all heads.

  Args:
    params: see `train`.
    x: `[views, n, d]`.
    view: `[m]`, the index of each head's view.
    class_mask: `[m, k]`, the classes of each head; other classes get -1e9.
  """
  return jax.vmap(
    lambda p, v, mask: jax.nn.log_softmax(_logits(p, x[v], mask))
  )(params, view, class_mask)


def _logits(params, x, class_mask):
  """Logits `[n, k]` of one head; -1e9 for classes that are not in the mask."""
  return jnp.where(class_mask, perceptron.apply(params, x), -1e9)


def _starts(sizes: tuple[int, ...]) -> Callable[[_Index], _Loop]:
  """Returns a function that makes the state of all heads before training."""

  def start(_view, _label, seed, _rate, _decay, width, _patience, _chunks):
    key = jax.random.fold_in(jax.random.key(0), seed)
    params = perceptron.init(key, sizes, width)
    return _Loop(
      chunks=jnp.zeros((), jnp.int32),
      params=params,
      opt_state=_TX.init(params),
      best=params,
      best_score=jnp.full((), -jnp.inf),
      best_chunk=jnp.zeros((), jnp.int32),
      stale=jnp.zeros((), jnp.int32),
    )

  return lambda index: jax.vmap(start)(*index)


@functools.partial(jax.jit, static_argnames=('sizes', 'limits', 'mesh'))
def _run(
  data: Data,
  index: _Index,
  loop: _Loop,
  least: int,
  sizes: tuple[int, ...],
  limits: tuple[int, int, int],
  mesh: Mesh,
) -> _Loop:
  """Trains each device's heads until none of them improves.

  Args:
    data: replicated on all devices.
    index: the heads, divided among the devices.
    loop: the state to continue from; all zeros start from new parameters.
    least: the number of chunks that every device must finish.
    sizes: the sizes of the layers, from input to output.
    limits: the batch size, the steps of a chunk, and the largest number of
      chunks.
    mesh: the devices, along `_AXIS`.
  """
  groups = groups_on(mesh.devices.flat[0].platform, len(index[0]) // mesh.size)

  def train_shard(data, index, loop, least):
    is_new = (loop.chunks == 0).all()
    loop = jax.tree.map(
      functools.partial(jnp.where, is_new), _starts(sizes)(index), loop
    )

    def is_active(loop):
      chunks = loop.chunks[0]
      patience, taken = index[6:]
      waits = ((loop.stale < patience) | (loop.chunks < taken)).any()
      return (chunks < limits[-1]) & ((chunks < least) | waits)

    return jax.lax.while_loop(
      is_active,
      functools.partial(_train_chunk, limits, groups, data, index),
      loop,
    )

  # Replication is not checked, since devices have nothing to agree on.
  return jax.shard_map(
    train_shard,
    mesh=mesh,
    in_specs=(_REPLICATED, _SHARDED, _SHARDED, _REPLICATED),
    out_specs=_SHARDED,
    check_vma=False,
  )(data, index, loop, least)


def _train_chunk(limits, groups, data, index, loop):
  """Trains all heads for one chunk of steps, then scores them."""
  batch_size, chunk, _ = limits
  step = jax.vmap(
    functools.partial(_train_step, data, batch_size), (0, None, 0, 0, 0, 0, 0)
  )
  numbers = loop.chunks[0] * chunk + jnp.arange(chunk)

  def train_group(group):
    carry, index = group
    return jax.lax.scan(
      lambda carry, number: (step(carry, number, *index), None), carry, numbers
    )[0]

  carry = loop.params, loop.opt_state
  params, opt_state = _in_groups(train_group, (carry, index[:5]), groups)
  scores = jax.vmap(functools.partial(_score, data))(params, *index[:2])
  chunks = loop.chunks + 1
  taken = index[7]
  better = jnp.where(taken > 0, chunks == taken, scores > loop.best_score)

  def keep(new, old):
    return jnp.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)

  return _Loop(
    chunks,
    params,
    opt_state,
    best=jax.tree.map(keep, params, loop.best),
    best_score=keep(scores, loop.best_score),
    best_chunk=keep(chunks, loop.best_chunk),
    stale=jnp.where(better, 0, loop.stale + 1),
  )


def _train_step(
  data, batch_size, carry, number, view, label, seed, rate, decay
):
  """Trains one head for one step of Adam with decoupled weight decay."""
  params, opt_state = carry
  key = jax.random.fold_in(jax.random.key(1), seed)
  row_key, noise_key = jax.random.split(jax.random.fold_in(key, number))
  rows = jax.random.randint(row_key, (batch_size,), 0, data.train.shape[1])
  x, y = data.train[view, rows], data.train_label[label, rows]
  if data.noise is not None:
    scale = data.noise[view]
    noise = jax.random.normal(noise_key, (batch_size, scale.shape[1]))
    x += noise @ scale.T

  def loss(params):
    logits = _logits(params, x, data.class_mask[label])
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

  updates, opt_state = _TX.update(jax.grad(loss)(params), opt_state)
  params = jax.tree.map(
    lambda p, u: p - rate * (u + decay * p), params, updates
  )
  return params, opt_state


def _score(data, params, view, label):
  """Validation accuracy of one head; the loss only breaks ties."""
  logits = _logits(params, data.validation[view], data.class_mask[label])
  y = data.validation_label[label]
  loss = optax.softmax_cross_entropy_with_integer_labels(logits, y)
  return (logits.argmax(-1) == y).mean() - 1e-3 * loss.mean()


def _in_groups(function, tree, groups):
  """Applies `function` to groups of a tree of `[heads, ...]`, one by one."""
  if groups == 1:
    return function(tree)
  parts = jax.tree.map(
    lambda a: a.reshape(groups, len(a) // groups, *a.shape[1:]), tree
  )
  return jax.tree.map(
    lambda a: a.reshape(-1, *a.shape[2:]), jax.lax.map(function, parts)
  )
