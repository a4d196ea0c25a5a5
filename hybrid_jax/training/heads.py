"""Many small heads trained at once: one jitted program, under `vmap`.

A head is a multilayer perceptron on released vectors; one without hidden
layers is a linear probe. Every step draws fresh noise. Each head keeps the
parameters that did best on validation and stops when they get no better.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
from jax.sharding import Mesh, NamedSharding

from hybrid_jax.training import head_loop

_BUCKETS = (8, 16, 64, 128)


@dataclasses.dataclass(frozen=True)
class Members:
  """What each of the `m` heads gets; all are `[m]`.

  Attributes:
    view: which view it sees.
    label: which label it learns.
    seed: of its weights, batches and noise.
    rate: its learning rate.
    decay: its weight decay, as in AdamW.
    width: the share of its hidden units that are not silenced, 0 to 1.
  """

  view: np.ndarray
  label: np.ndarray
  seed: np.ndarray
  rate: np.ndarray
  decay: np.ndarray
  width: np.ndarray


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=('train', 'noise', 'train_label', 'held', 'held_label', 'valid'),
  meta_fields=(),
)
@dataclasses.dataclass(frozen=True)
class Data:
  """Arrays that all heads share.

  Attributes:
    train: `[views, n, d]`, without noise.
    noise: `[views, d, e]`: a view's noise is `noise @ standard normal [e]`;
      `None` without any.
    train_label: `[labels, n]`.
    held: `[views, n_held, d]`, the noisy validation examples.
    held_label: `[labels, n_held]`.
    valid: `[labels, k]` bool, the classes that a label has.
  """

  train: jax.Array
  noise: jax.Array | None
  train_label: jax.Array
  held: jax.Array
  held_label: jax.Array
  valid: jax.Array


def pad(x: np.ndarray, axes: tuple[int, ...] = (-1,)) -> np.ndarray:
  """Zeros up to the next common width, so that shapes share a compilation."""
  widths = [(0, 0)] * x.ndim
  for axis in axes:
    size = x.shape[axis]
    wide = next((b for b in _BUCKETS if b >= size), size)
    widths[axis] = (0, wide - size)
  return np.pad(x, widths)


def train(
  data: Data,
  members: Members,
  widths: tuple[int, ...],
  config: ml_collections.ConfigDict,
  devices: Sequence[jax.Device] | None = None,
) -> Any:
  """Trains all heads together; each to its best on validation.

  The heads are shared out over the devices, and how many these are changes no
  more than last bits. They all stop together, when none gets better. Devices
  do not talk within the program, since they could wait for each other forever
  where several threads start such programs: each goes on until none of its own
  heads gets better, and the host lets those catch up that stopped earlier.

  Args:
    data: what they learn from.
    members: the heads.
    widths: the hidden layers of each.
    config: `batch_size`, `chunk` (steps between validations), `max_chunks`, and
      `patience` in chunks.
    devices: this process's own if `None`.

  Returns:
    Parameters on the host, each leaf with a leading axis over the heads.
  """
  count = len(members.seed)
  devices = (devices or jax.local_devices())[:count]
  mesh = Mesh(np.array(devices), (head_loop.AXIS,))
  own = NamedSharding(mesh, head_loop.OWN)
  # The last one is repeated until all devices, and their groups, have as many.
  parts = mesh.size * head_loop.groups_on(
    devices[0].platform, -(-count // mesh.size)
  )
  rows = even_shares(count, parts)
  index = jax.device_put(
    (
      members.view[rows],
      members.label[rows],
      members.seed[rows],
      members.rate[rows].astype(np.float32),
      members.decay[rows].astype(np.float32),
      members.width[rows].astype(np.float32),
      np.where(np.arange(len(rows)) < count, config.patience, 0),
    ),
    own,
  )
  data = jax.device_put(data, NamedSharding(mesh, head_loop.ALL))
  sizes = (data.train.shape[2], *widths, data.valid.shape[1])
  settings = (
    min(config.batch_size, data.train.shape[1]),
    config.chunk,
    config.max_chunks,
  )
  empty = jax.eval_shape(head_loop.starts(sizes), index)
  loop = jax.device_put(
    jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), empty), own
  )
  least = 0
  while True:
    loop = head_loop.run(data, index, loop, least, sizes, settings, mesh)
    done = np.asarray(loop.done)
    if (done == done.max()).all():
      return jax.tree.map(lambda a: np.asarray(a)[:count], loop.best)
    least = done.max()


def even_shares(count: int, parts: int) -> np.ndarray:
  """0 to `count - 1`, the last repeated until `parts` divide their number."""
  return np.minimum(np.arange(count + -count % parts), count - 1)


@jax.jit
def log_probs(
  params: Any, x: jax.Array, view: jax.Array, valid: jax.Array
) -> jax.Array:
  """Each head's log-probabilities `[m, n, k]` of `x [views, n, d]`.

  `view [m]` says which view a head sees, `valid [m, k]` its classes; the others
  get -1e9.
  """
  return jax.vmap(
    lambda p, v, ok: jax.nn.log_softmax(head_loop.logits(p, x[v], ok))
  )(params, view, valid)
