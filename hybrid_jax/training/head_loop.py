"""The program of `heads.train`: each device trains its own heads."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, PartitionSpec

AXIS = 'heads'
ALL, OWN = PartitionSpec(), PartitionSpec(AXIS)
_TX = optax.scale_by_adam()
_CACHED = 16  # heads that a CPU trains at once

# Of each head, `[m]`: what `heads.Members` has, and its patience in chunks.
Index = tuple[jax.Array, ...]


class Loop(NamedTuple):
  """What goes from one chunk to the next; each leaf is `[heads, ...]`."""

  done: jax.Array  # chunks; 0 before the start
  params: Any
  opt_state: Any
  best: Any
  best_score: jax.Array
  stale: jax.Array  # chunks since it last got better


def starts(sizes: tuple[int, ...]) -> Callable[[Index], Loop]:
  """All heads before the first chunk, of these sizes from input to output."""

  def start(_view, _label, seed, _rate, _decay, width, _patience):
    params = init(jax.random.fold_in(jax.random.key(0), seed), sizes, width)
    return Loop(
      done=jnp.zeros((), jnp.int32),
      params=params,
      opt_state=_TX.init(params),
      best=params,
      best_score=jnp.full((), -jnp.inf),
      stale=jnp.zeros((), jnp.int32),
    )

  return lambda index: jax.vmap(start)(*index)


@functools.partial(jax.jit, static_argnames=('sizes', 'settings', 'mesh'))
def run(
  data: Any,
  index: Index,
  loop: Loop,
  least: int,
  sizes: tuple[int, ...],
  settings: tuple[int, int, int],
  mesh: Mesh,
) -> Loop:
  """Each device trains its heads for `least` chunks and while one gets better.

  Args:
    data: a `heads.Data`, on all devices.
    index: which heads, shared out over the devices.
    loop: where it goes on; zeros start anew.
    least: chunks that no device stops before.
    sizes: of the layers, from input to output.
    settings: the batch size, the steps of a chunk, and the most chunks.
    mesh: the devices, along `AXIS`.
  """

  groups = groups_on(mesh.devices.flat[0].platform, len(index[0]) // mesh.size)

  def own(data, index, loop, least):
    new = (loop.done == 0).all()
    loop = jax.tree.map(
      functools.partial(jnp.where, new), starts(sizes)(index), loop
    )

    def going(loop):
      done = loop.done[0]
      wanted = (done < least) | (loop.stale < index[-1]).any()
      return (done < settings[-1]) & wanted

    return jax.lax.while_loop(
      going, functools.partial(_chunk, settings, groups, data, index), loop
    )

  # Unchecked, since there is nothing that the devices would have to agree on.
  return jax.shard_map(
    own,
    mesh=mesh,
    in_specs=(ALL, OWN, OWN, ALL),
    out_specs=OWN,
    check_vma=False,
  )(data, index, loop, least)


def groups_on(platform: str, heads: int) -> int:
  """Into how many groups a device's heads are put, one after the other.

  A CPU's cache holds few of them: there, 64 in groups of 16 take four fifths
  of the time of 64 at once.
  """
  return -(-heads // _CACHED) if platform == 'cpu' else 1


def _in_groups(function, tree, groups):
  """`function` of each group of a tree of `[heads, ...]`, put together."""
  if groups == 1:
    return function(tree)
  parts = jax.tree.map(
    lambda a: a.reshape(groups, len(a) // groups, *a.shape[1:]), tree
  )
  return jax.tree.map(
    lambda a: a.reshape(-1, *a.shape[2:]), jax.lax.map(function, parts)
  )


def _chunk(settings, groups, data, index, loop):
  """A chunk of steps of all heads, and a look at validation."""
  batch_size, chunk, _ = settings
  n = data.train.shape[1]

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
      found = logits(params, x, data.valid[label])
      return optax.softmax_cross_entropy_with_integer_labels(found, y).mean()

    updates, opt_state = _TX.update(jax.grad(loss)(params), opt_state)
    params = jax.tree.map(
      lambda p, u: p - rate * (u + decay * p), params, updates
    )
    return params, opt_state

  def score(params, view, label):
    found = logits(params, data.held[view], data.valid[label])
    truth = data.held_label[label]
    loss = optax.softmax_cross_entropy_with_integer_labels(found, truth)
    # Accuracy is what is reported; the loss only breaks its ties.
    return (found.argmax(-1) == truth).mean() - 1e-3 * loss.mean()

  over = jax.vmap(step, (0, None, 0, 0, 0, 0, 0))
  numbers = loop.done[0] * chunk + jnp.arange(chunk)

  def together(group):
    carry, own = group

    def body(carry, number):
      return over(carry, number, *own), None

    return jax.lax.scan(body, carry, numbers)[0]

  carry = loop.params, loop.opt_state
  params, opt_state = _in_groups(together, (carry, index[:5]), groups)
  now = jax.vmap(score)(params, index[0], index[1])
  better = now > loop.best_score

  def keep(new, old):
    return jnp.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)

  return Loop(
    loop.done + 1,
    params,
    opt_state,
    best=jax.tree.map(keep, params, loop.best),
    best_score=keep(now, loop.best_score),
    stale=jnp.where(better, 0, loop.stale + 1),
  )


def logits(params: Any, x: jax.Array, valid: jax.Array) -> jax.Array:
  """One head's `[n, k]` of `x [n, d]`; -1e9 where not `valid [k]`."""
  for layer, (weight, bias) in enumerate(params):
    if layer:
      x = jax.nn.relu(x)
    x = x @ weight + bias
  return jnp.where(valid, x, -1e9)


def init(
  key: jax.Array, sizes: tuple[int, ...], width: jax.Array | float
) -> list[tuple[jax.Array, jax.Array]]:
  """Weights whose silenced units neither give anything nor learn anything.

  Args:
    key: draws the weights.
    sizes: of the layers, from input to output.
    width: the share of hidden units that speak, 0 to 1.

  Returns:
    Of each layer the weights `[in, out]` and the bias `[out]`.
  """
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
