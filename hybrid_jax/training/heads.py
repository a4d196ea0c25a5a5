"""Trains many small heads at once, in one jitted program under `vmap`.

A head is a multilayer perceptron on released vectors; without hidden layers it
is a linear probe. Every step draws fresh noise. Each head keeps the parameters
that did best on validation, and training stops when no head improves.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hybrid_jax.datasets import padding
from hybrid_jax.models import perceptron
from hybrid_jax.training import counter_keys

_AXIS = 'heads'
_REPLICATED, _SHARDED = PartitionSpec(), PartitionSpec(_AXIS)
_TX = optax.scale_by_adam()
_BLOCK = padding.TILE  # examples that are scored at once
_WEIGHTS, _ROWS, _NOISE = range(3)  # streams of random numbers
_CPU_GROUP, _GROUP = 4, 64  # heads that a CPU and other devices train at once


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
    capacity: numbers of rows to which `train` and `validation` are padded at
      least. Data of one capacity share their programs.
  """

  train: np.ndarray
  noise: np.ndarray | None
  train_label: np.ndarray
  validation: np.ndarray
  validation_label: np.ndarray
  class_mask: np.ndarray
  capacity: tuple[int, int] = (0, 0)


class _Padded(NamedTuple):
  """Arrays of `Data` in common shapes."""

  train: np.ndarray  # [views, rows, D]
  train_count: np.ndarray  # [], the rows that count
  noise: np.ndarray  # [views, D, D]
  has_noise: np.ndarray  # [] bool
  train_label: np.ndarray  # [labels, rows]
  validation: np.ndarray  # [views, blocks * _BLOCK, D]
  validation_label: np.ndarray
  validation_count: np.ndarray  # []
  class_mask: np.ndarray  # [labels, K]


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


def _padded(data):
  """Returns the arrays in common shapes."""
  n, held = data.train.shape[1], data.validation.shape[1]
  d, k = padding.width(data.train.shape[2]), data.class_mask.shape[1]
  rows = padding.rows(max(n, data.capacity[0]))
  held_rows = padding.rows(max(held, data.capacity[1]))
  noise = np.zeros((len(data.train), d, d), np.float32)
  if data.noise is not None:
    scale = narrow(np.asarray(data.noise, np.float32))
    noise[:, : scale.shape[1], : scale.shape[2]] = scale
  return _Padded(
    train=padding.pad(np.asarray(data.train), {1: rows, 2: d}),
    train_count=np.int32(n),
    noise=noise,
    has_noise=np.bool_(data.noise is not None),
    train_label=padding.pad(np.asarray(data.train_label), {1: rows}),
    validation=padding.pad(np.asarray(data.validation), {1: held_rows, 2: d}),
    validation_label=padding.pad(
      np.asarray(data.validation_label), {1: held_rows}
    ),
    validation_count=np.int32(held),
    class_mask=padding.pad(
      np.asarray(data.class_mask), {1: padding.classes(k)}
    ),
  )


def train(
  data: Data,
  settings: HeadSettings,
  widths: tuple[int, ...],
  config: ml_collections.ConfigDict,
  devices: Sequence[jax.Device] | None = None,
  chunks: np.ndarray | None = None,
) -> tuple[perceptron.Params, np.ndarray]:
  """Trains all heads and returns the best parameters of each.

  Heads are trained in groups of one size, which are divided among the devices;
  another number of devices changes no more than last bits. Training ends when
  no head improves. Devices do not communicate within the program, since
  programs that several threads start could then wait for each other forever.
  Instead, each device runs until none of its own heads improves, and the host
  restarts those that stopped earlier than others.

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
    the chunks `[m]` after which they were taken. The inputs and the outputs are
    padded to common widths.
  """
  count = len(settings.seed)
  devices = devices or jax.local_devices()
  group = group_size(devices[0].platform)
  devices = devices[: -(-count // group)]
  mesh = Mesh(np.array(devices), (_AXIS,))
  sharded = NamedSharding(mesh, _SHARDED)
  batch_size = min(config.batch_size, data.train.shape[1])
  limits = (batch_size, config.chunk, config.max_chunks)
  padded = jax.device_put(_padded(data), NamedSharding(mesh, _REPLICATED))
  sizes = (padded.train.shape[2], *widths, padded.class_mask.shape[1])
  # The last head is repeated until all groups are full.
  rows = even_shares(count, group * mesh.size)
  indices = [
    jax.device_put(
      _index(settings, rows[i : i + group * mesh.size], config, chunks, i),
      sharded,
    )
    for i in range(0, len(rows), group * mesh.size)
  ]
  empty = jax.eval_shape(_starts(sizes), indices[0])
  zeros = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), empty)
  loops = [jax.device_put(zeros, sharded) for _ in indices]
  least = np.int32(0)  # always of one type, or the program is compiled twice
  while True:
    for i, index in enumerate(indices):
      if not least or np.asarray(loops[i].chunks).min() < least:
        loops[i] = _run(padded, index, loops[i], least, sizes, limits, mesh)
    done = np.concatenate([loop.chunks for loop in loops])
    # Heads whose chunks were chosen before do not wait for others.
    if chunks is not None or (done == done.max()).all():
      return jax.tree.map(
        lambda *a: np.concatenate(a)[:count],
        *((loop.best, loop.best_chunk) for loop in loops),
      )
    least = np.int32(done.max())


def _index(settings, rows, config, chunks, first):
  """Returns the `_Index` of the heads `rows`, the first of them at `first`."""
  count = len(settings.seed)
  patience = config.patience if chunks is None else 0
  taken = np.zeros(count, int) if chunks is None else chunks
  return (
    settings.view[rows],
    settings.label[rows],
    settings.seed[rows],
    settings.rate[rows].astype(np.float32),
    settings.decay[rows].astype(np.float32),
    settings.width[rows].astype(np.float32),
    np.where(first + np.arange(len(rows)) < count, patience, 0),
    taken[rows],
  )


def narrow(noise: np.ndarray) -> np.ndarray:
  """Returns a matrix of at most d columns, whose noise has the same law.

  Args:
    noise: `[..., d, e]`; the noise is `noise @ z` with `z` standard normal. It
      is returned unchanged if e is not above d. Else, with `noise^T = Q R`,
      `noise @ z` has the law of `R^T @ z`.
  """
  if noise.shape[-1] <= noise.shape[-2]:
    return noise
  r = np.asarray(np.linalg.qr(noise.swapaxes(-1, -2), mode='r'))
  return r.swapaxes(-1, -2)


def even_shares(count: int, parts: int) -> np.ndarray:
  """Returns the indices 0 to `count - 1`, divisible into `parts` equal parts.

  The last index is repeated as often as needed.
  """
  return np.minimum(np.arange(count + -count % parts), count - 1)


def group_size(platform: str) -> int:
  """Returns the number of heads that a device trains at once.

  All groups have this size, so that any number of heads shares one program. The
  cache of a CPU holds few heads; other devices need many to be busy.
  """
  return _CPU_GROUP if platform == 'cpu' else _GROUP


def log_probs(
  params: perceptron.Params,
  x: np.ndarray,
  view: np.ndarray,
  class_mask: np.ndarray,
) -> np.ndarray:
  """Computes the log-probabilities `[m, n, k]` of all heads.

  Args:
    params: see `train`.
    x: `[views, n, d]`.
    view: `[m]`, the index of each head's view.
    class_mask: `[m, k]`, the classes of each head; other classes get -1e9.
  """
  n, k = x.shape[1], class_mask.shape[1]
  d, wide = params[0][0].shape[1], params[-1][0].shape[2]
  group = group_size(jax.default_backend())
  heads = even_shares(len(view), group)
  mask = padding.pad(np.asarray(class_mask), {1: wide})
  blocks = padding.blocks(
    padding.pad(np.asarray(x, np.float32), {2: d}).swapaxes(0, 1), _BLOCK
  )
  out = []
  for i in range(0, len(heads), group):
    some = heads[i : i + group]
    arguments = jax.device_put(
      jax.tree.map(operator.itemgetter(some), (params, view, mask))
    )
    parts = [_block_log_probs(block, *arguments) for block in blocks]
    out.append(np.concatenate(jax.device_get(parts), axis=1)[:, :n, :k])
  return np.concatenate(out)[: len(view)]


@jax.jit
def _block_log_probs(x, params, view, class_mask):
  """Log-probabilities `[m, b, k]` of `x [b, views, d]`."""
  return jax.vmap(
    lambda p, v, mask: jax.nn.log_softmax(_logits(p, x[:, v], mask))
  )(params, view, class_mask)


def _logits(params, x, class_mask):
  """Logits `[n, k]` of one head; -1e9 for classes that are not in the mask."""
  return jnp.where(class_mask, perceptron.apply(params, x), -1e9)


def _starts(sizes: tuple[int, ...]) -> Callable[[_Index], _Loop]:
  """Returns a function that makes the state of all heads before training."""

  def start(_view, _label, seed, _rate, _decay, width, _patience, _chunks):
    params = perceptron.init(counter_keys.make(seed, 0, _WEIGHTS), sizes, width)
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
  data: _Padded,
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
      functools.partial(_train_chunk, limits, data, index),
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


def _train_chunk(limits, data, index, loop):
  """Trains all heads for one chunk of steps, then scores them."""
  batch_size, chunk, _ = limits
  step = jax.vmap(
    functools.partial(_train_step, data, batch_size), (0, None, 0, 0, 0, 0, 0)
  )
  numbers = loop.chunks[0] * chunk + jnp.arange(chunk)

  (params, opt_state), _ = jax.lax.scan(
    lambda carry, number: (step(carry, number, *index[:5]), None),
    (loop.params, loop.opt_state),
    numbers,
  )
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
  row_key, noise_key = (
    counter_keys.make(seed, number, stream) for stream in (_ROWS, _NOISE)
  )
  rows = counter_keys.draw_rows(row_key, batch_size, data.train_count)
  x, y = data.train[view, rows], data.train_label[label, rows]

  def add_noise(x):
    noise = jax.random.normal(noise_key, x.shape)
    return x + noise @ data.noise[view].T

  x = jax.lax.cond(data.has_noise, add_noise, lambda x: x, x)

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

  # Blocks of padding alone are left out; other devices than a CPU would rather
  # take all rows at once.
  rows = data.validation.shape[1]
  size = _BLOCK if jax.default_backend() == 'cpu' else rows

  def add_block(i, totals):
    def block(a):
      return jax.lax.dynamic_slice_in_dim(a, i * size, size, axis=1)

    x, y = block(data.validation)[view], block(data.validation_label)[label]
    logits = _logits(params, x, data.class_mask[label])
    counts = i * size + jnp.arange(size) < data.validation_count
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, y)
    correct = (logits.argmax(-1) == y).astype(jnp.float32)
    return totals + (jnp.stack([correct, loss]) * counts).sum(axis=1)

  blocks = (data.validation_count + size - 1) // size
  totals = jax.lax.fori_loop(0, blocks, add_block, jnp.zeros(2))
  accuracy, loss = totals / data.validation_count
  return accuracy - 1e-3 * loss
