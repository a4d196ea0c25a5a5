"""What training carries from one step to the next."""

from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import optax
from flax import struct


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
  config: ml_collections.ConfigDict, factor: float = 1.0
) -> optax.GradientTransformation:
  """AdamW with a cosine decay to zero, after a linear warm-up.

  Args:
    config: `learning_rate` (the peak), `steps`, `warmup` (a share of `steps`)
      and `weight_decay`.
    factor: multiplies the learning rate.
  """
  warmup = int(config.warmup * config.steps)
  peak = factor * config.learning_rate
  schedule = optax.warmup_cosine_decay_schedule(
    0.0 if warmup else peak, peak, warmup, config.steps
  )
  return optax.adamw(schedule, weight_decay=config.weight_decay)


def defence_optimizer(
  config: ml_collections.ConfigDict,
) -> optax.GradientTransformation:
  """`optimizer`, whose learning rate is higher for a defence's own adversary.

  Args:
    config: as for `optimizer`, and `adversary_factor`: an adversary has to keep
      up with the network that runs from it.
  """
  return optax.multi_transform(
    {
      'network': optimizer(config),
      'adversary': optimizer(config, config.adversary_factor),
    },
    lambda params: {
      name: 'adversary' if name == 'defence' else 'network' for name in params
    },
  )
