"""The state of a training run, and its optimizers."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from flax import struct

from hybrid_jax import errors


class TrainState(struct.PyTreeNode):
  """The number of steps taken, the parameters, and the optimizer's state.

  It holds no random key: the key of a step is folded from the step's number.
  """

  step: jax.Array | np.ndarray
  params: Any
  opt_state: optax.OptState


def create(params: Any, tx: optax.GradientTransformation) -> TrainState:
  """Returns the state before the first step.

  It is made without a program: the optimizers of this module start at zero, and
  the average at the parameters.
  """

  def start(node):
    if isinstance(node, Average):
      return Average(np.zeros((), np.int32), params)
    return np.zeros(node.shape, node.dtype)

  opt_state = jax.tree.map(
    start,
    jax.eval_shape(tx.init, params),
    is_leaf=lambda node: isinstance(node, Average),
  )
  return TrainState(np.zeros((), np.int32), params, opt_state)


class Average(NamedTuple):
  """State of `average_params`.

  Attributes:
    count: how many steps were averaged.
    params: the moving average of the parameters.
  """

  count: jax.Array
  params: Any


def average_params(decay: float) -> optax.GradientTransformation:
  """Keeps a moving average of the parameters, and changes no update.

  Polyak and Juditsky, SIAM Journal on Control and Optimization 30 (1992). It
  must be the last of a chain. The first steps have a smaller decay, `(1 + t) /
  (10 + t)` after t steps, so that the initial parameters are soon forgotten.

  Args:
    decay: the weight of the average so far, below 1.
  """

  def init(params):
    return Average(jnp.zeros((), jnp.int32), params)

  def update(updates, state, params=None):
    weight = jnp.minimum(decay, (1 + state.count) / (10 + state.count))
    new = optax.apply_updates(params, updates)
    average = jax.tree.map(
      lambda a, p: (weight * a + (1 - weight) * p).astype(p.dtype),
      state.params,
      new,
    )
    return updates, Average(state.count + 1, average)

  return optax.GradientTransformation(init, update)


def trained_params(state: TrainState) -> Any:
  """Returns the parameters to use: their average, where there is one."""
  averages = [
    node
    for node in jax.tree.leaves(
      state.opt_state, is_leaf=lambda node: isinstance(node, Average)
    )
    if isinstance(node, Average)
  ]
  return averages[0].params if averages else state.params


def optimizer(
  config: ml_collections.ConfigDict,
  factor: float = 1.0,
  split_points: Sequence[str] = (),
) -> optax.GradientTransformation:
  """Returns AdamW with a linear warm-up and a cosine decay to zero.

  Without `trainable_from` and `head_factor` it is one AdamW for all parameters
  of any names. With either of them, the parameters must be a network's.

  Args:
    config: `learning_rate` (the peak), `steps`, `warmup` (a share of `steps`)
      and `weight_decay`. Optional are `trainable_from`, a split point or
      `'head'`: all blocks before it are frozen, and keep their exact bits;
      `head_factor`, which multiplies the learning rate of the head; and
      `average`, the decay of `average_params`, where 0 is for none.
    factor: multiplies the learning rate.
    split_points: the network's split points in order, for `trainable_from`.

  Raises:
    UserError: `trainable_from` is no split point, or `head_factor` is not
      positive. `init` raises it if the parameters have no head.
  """
  tx = _optimizer(config, factor, split_points)
  decay = config.get('average', 0.0)
  return optax.chain(tx, average_params(decay)) if decay else tx


def _optimizer(config, factor, split_points):
  """Returns the optimizer without the average."""
  first = config.get('trainable_from', '')
  head_factor = config.get('head_factor', 1.0)
  if first and not split_points:
    raise errors.UserError(
      f'trainable_from is {first!r}, but this training has no single network'
      ' in which to freeze blocks; leave it empty.'
    )
  blocks = (*split_points, 'head')
  if first:
    errors.check_known('split point of trainable_from', first, blocks)
  if not 0 < head_factor < float('inf'):
    raise errors.UserError(
      f'head_factor is {head_factor}; it must be a positive number.'
    )
  if not first and head_factor == 1:
    return _adamw(config, factor)
  frozen = blocks[: blocks.index(first)] if first else ()

  def label(params):
    if 'head' not in params:
      raise errors.UserError(
        'trainable_from and head_factor are for the training of a network;'
        f' these parameters are of {", ".join(sorted(params))}.'
      )
    return {
      name: 'frozen' if name in frozen else 'head' if name == 'head' else 'body'
      for name in params
    }

  return optax.multi_transform(
    {
      'frozen': _freeze(),
      'body': _adamw(config, factor),
      'head': _adamw(config, factor * head_factor),
    },
    label,
  )


def defence_optimizer(
  config: ml_collections.ConfigDict, adversary_factor: float = 1.0
) -> optax.GradientTransformation:
  """Returns `optimizer`, with its own learning rate for a defence's adversary.

  Args:
    config: as for `optimizer`.
    adversary_factor: multiplies the adversary's learning rate; a factor above 1
      lets it keep up with the network.
  """
  return optax.multi_transform(
    {
      'network': optimizer(config),
      'adversary': optimizer(config, adversary_factor),
    },
    lambda params: {
      name: 'adversary' if name == 'defence' else 'network' for name in params
    },
  )


def _adamw(config, factor):
  warmup = int(config.warmup * config.steps)
  peak = factor * config.learning_rate
  schedule = optax.warmup_cosine_decay_schedule(
    0.0 if warmup else peak, peak, warmup, config.steps
  )
  return optax.adamw(schedule, weight_decay=config.weight_decay)


def _freeze():
  # Not `optax.set_to_zero`: its update of 0.0 turns a parameter of -0.0 into
  # 0.0. An update of -0.0 keeps the bits of every parameter.
  return optax.stateless(
    lambda updates, params: jax.tree.map(
      lambda u: jnp.full_like(u, -0.0), updates
    )
  )
