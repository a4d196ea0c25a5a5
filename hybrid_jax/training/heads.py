"""Many small heads trained at once: one jitted program, under `vmap`.

A head is a multilayer perceptron on released vectors; one without hidden
layers is a linear probe. Every step draws fresh noise. Each head keeps the
parameters that did best on validation and stops when they get no better.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

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
) -> Any:
  """Trains all heads together; each to its best on validation.

  Args:
    data: what they learn from.
    members: the heads.
    widths: the hidden layers of each.
    config: `batch_size`, `chunk` (steps between validations), `max_chunks`, and
      `patience` in chunks.

  Returns:
    Parameters, each leaf with a leading axis over the heads.
  """
  settings = (
    min(config.batch_size, data.train.shape[1]),
    config.chunk,
    config.max_chunks,
    config.patience,
  )
  index = (
    jnp.asarray(members.view),
    jnp.asarray(members.label),
    jnp.asarray(members.seed),
    jnp.asarray(members.rate, jnp.float32),
    jnp.asarray(members.decay, jnp.float32),
    jnp.asarray(members.width, jnp.float32),
  )
  return _train(data, index, tuple(widths), settings)


@jax.jit
def log_probs(
  params: Any, x: jax.Array, view: jax.Array, valid: jax.Array
) -> jax.Array:
  """Each head's log-probabilities `[m, n, k]` of `x [views, n, d]`.

  `view [m]` says which view a head sees, `valid [m, k]` its classes; the others
  get -1e9.
  """
  return jax.vmap(lambda p, v, ok: jax.nn.log_softmax(_logits(p, x[v], ok)))(
    params, view, valid
  )


def _logits(params, x, valid):
  for layer, (weight, bias) in enumerate(params):
    if layer:
      x = jax.nn.relu(x)
    x = x @ weight + bias
  return jnp.where(valid, x, -1e9)


def _init(key, sizes, width):
  """Weights whose silenced units neither give anything nor learn anything."""
  keys = jax.random.split(key, len(sizes) - 1)
  layers, used = [], sizes[0]
  for i, (k, a, b) in enumerate(
    zip(keys, sizes[:-1], sizes[1:], strict=True), start=1
  ):
    weight = jax.random.normal(k, (a, b)) * jnp.sqrt(2 / used)
    if i < len(keys):
      used = jnp.ceil(width * b)
      weight = jnp.where(jnp.arange(b) < used, weight, 0)
    layers.append((weight, jnp.zeros(b)))
  return layers


@functools.partial(jax.jit, static_argnames=('widths', 'settings'))
def _train(data, index, widths, settings):
  batch_size, chunk, max_chunks, patience = settings
  tx = optax.scale_by_adam()
  n, k = data.train.shape[1], data.valid.shape[1]
  sizes = (data.train.shape[2], *widths, k)

  def start(seed, width):
    params = _init(jax.random.fold_in(jax.random.key(0), seed), sizes, width)
    return params, tx.init(params)

  def step(carry, number, view, label, seed, rate, decay):
    params, opt_state = carry
    key = jax.random.fold_in(jax.random.key(1), seed)
    row_key, noise_key = jax.random.split(jax.random.fold_in(key, number))
    rows = jax.random.randint(row_key, (batch_size,), 0, n)
    x, y = data.train[view, rows], data.train_label[label, rows]
    if data.noise is not None:
      scale = data.noise[view]
      drawn = jax.random.normal(noise_key, (batch_size, scale.shape[1]))
      x += drawn @ scale.T

    def loss(params):
      logits = _logits(params, x, data.valid[label])
      return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    updates, opt_state = tx.update(jax.grad(loss)(params), opt_state)
    params = jax.tree.map(
      lambda p, u: p - rate * (u + decay * p), params, updates
    )
    return params, opt_state

  def score(params, view, label):
    logits = _logits(params, data.held[view], data.valid[label])
    truth = data.held_label[label]
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, truth)
    # Accuracy is what is reported; the loss only breaks its ties.
    return (logits.argmax(-1) == truth).mean() - 1e-3 * loss.mean()

  over = jax.vmap(step, (0, None, 0, 0, 0, 0, 0))

  def one_chunk(loop):
    done, carry, best, best_score, stale = loop

    def body(carry, number):
      return over(carry, number, *index[:-1]), None

    carry, _ = jax.lax.scan(body, carry, done * chunk + jnp.arange(chunk))
    now = jax.vmap(score)(carry[0], index[0], index[1])
    better = now > best_score

    def keep(new, old):
      return jnp.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return (
      done + 1,
      carry,
      jax.tree.map(keep, carry[0], best),
      jnp.where(better, now, best_score),
      jnp.where(better, 0, stale + 1),
    )

  def going(loop):
    done, _, _, _, stale = loop
    return (done < max_chunks) & (stale < patience).any()

  carry = jax.vmap(start)(index[2], index[5])
  count = len(index[2])
  loop = (
    jnp.zeros((), jnp.int32),
    carry,
    carry[0],
    jnp.full(count, -jnp.inf),
    jnp.zeros(count, jnp.int32),
  )
  return jax.lax.while_loop(going, one_chunk, loop)[2]
