"""What training carries from one step to the next."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import optax
from flax import struct

from hybrid_jax import errors


class TrainState(struct.PyTreeNode):
  """The step's number, the parameters, and the optimizer's state.

  No random key is kept: a step's key is folded from its number.
  """

  step: jax.Array
  params: Any
  opt_state: optax.OptState


def create(params: Any, tx: optax.GradientTransformation) -> TrainState:
  """The state before the first step."""
  return TrainState(jnp.zeros((), jnp.int32), params, tx.init(params))


def optimizer(
  config: ml_collections.ConfigDict,
  factor: float = 1.0,
  split_points: Sequence[str] = (),
) -> optax.GradientTransformation:
  """AdamW with a cosine decay to zero, after a linear warm-up.

  With neither `trainable_from` nor `head_factor` it is one AdamW for all
  parameters, of whatever names. With either, it is for a network's parameters.

  Args:
    config: `learning_rate` (the peak), `steps`, `warmup` (a share of `steps`)
      and `weight_decay`. Where it has them, also `trainable_from`, a split
      point or `'head'`: blocks before it stay as they are, to the bit; and
      `head_factor`, which multiplies the learning rate of the head.
    factor: multiplies the learning rate.
    split_points: the network's, in order, for `trainable_from`.

  Raises:
    UserError: `trainable_from` is no split point, or `head_factor` is not
      positive; once it meets parameters without a head, that too.
  """
  start = config.get('trainable_from', '')
  head_factor = config.get('head_factor', 1.0)
  if start and not split_points:
    raise errors.UserError(
      f'trainable_from is {start!r}, and this training has no network of its'
      ' own to freeze; leave it empty.'
    )
  order = (*split_points, 'head')
  if start:
    errors.check_known('split point of trainable_from', start, order)
  if not 0 < head_factor < float('inf'):
    raise errors.UserError(
      f'head_factor is {head_factor}; it must be a positive number.'
    )
  if not start and head_factor == 1:
    return _adamw(config, factor)
  frozen = order[: order.index(start)] if start else ()

  def label(params):
    if 'head' not in params:
      raise errors.UserError(
        'trainable_from and head_factor are for a network alone; these'
        f' parameters are of {", ".join(sorted(params))}.'
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


def _adamw(config, factor):
  warmup = int(config.warmup * config.steps)
  peak = factor * config.learning_rate
  schedule = optax.warmup_cosine_decay_schedule(
    0.0 if warmup else peak, peak, warmup, config.steps
  )
  return optax.adamw(schedule, weight_decay=config.weight_decay)


def _freeze():
  # Minus zero is what changes no number: -0.0 + 0.0 would be 0.0.
  return optax.stateless(
    lambda updates, params: jax.tree.map(
      lambda u: jnp.full_like(u, -0.0), updates
    )
  )


def defence_optimizer(
  config: ml_collections.ConfigDict, adversary_factor: float = 1.0
) -> optax.GradientTransformation:
  """`optimizer`, whose learning rate is higher for a defence's own adversary.

  Args:
    config: as for `optimizer`.
    adversary_factor: multiplies the learning rate of the defence's adversary,
      which has to keep up with the network that runs from it.
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
