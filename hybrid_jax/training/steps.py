"""Training steps: each objective is one step maker for the one loop.

A step is a jitted pure function `(state, batch, key) -> (state, metrics)`. A
batch is a dict with `x [batch, ...]` and `primary [batch]`.
"""

from collections.abc import Callable
from typing import Any

import jax
import ml_collections
import optax

from hybrid_jax.models import base
from hybrid_jax.training import losses
from hybrid_jax.training.state import TrainState

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]
Step = Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Metrics]]
Loss = Callable[[Any, Batch, jax.Array], tuple[jax.Array, Metrics]]


def make_step(loss: Loss, tx: optax.GradientTransformation) -> Step:
  """A step down the gradient of `loss(params, batch, key)`."""

  @jax.jit
  def step(state, batch, key):
    (value, metrics), gradient = jax.value_and_grad(loss, has_aux=True)(
      state.params, batch, key
    )
    updates, opt_state = tx.update(gradient, state.opt_state, state.params)
    state = state.replace(
      step=state.step + 1,
      params=optax.apply_updates(state.params, updates),
      opt_state=opt_state,
    )
    return state, {'loss': value, **metrics}

  return step


def make_task_step(
  model: base.SplitModel, tx: optax.GradientTransformation
) -> Step:
  """The primary task alone: cross-entropy."""

  def loss(params, batch, key):
    del key
    logits = model.apply({'params': params}, batch['x'])
    accuracy = (logits.argmax(-1) == batch['primary']).mean()
    value = losses.cross_entropy(logits, batch['primary'])
    return value, {'accuracy': accuracy}

  return make_step(loss, tx)


def make_siamese_step(
  model: base.SplitModel,
  tx: optax.GradientTransformation,
  split_point: str,
  config: ml_collections.ConfigDict,
) -> Step:
  """Siamese fine-tuning: `cross-entropy + weight / 2 * contrastive`.

  The features at `split_point` of all pairs of the batch come from one forward
  pass, which goes on through the cloud half to the task's loss.

  Args:
    model: the network.
    tx: the optimizer.
    split_point: where the contrastive loss holds.
    config: `weight` (the paper's lambda), `margin` and `balance_pairs`.
  """

  def loss(params, batch, key):
    del key
    variables = {'params': params}
    features = model.apply(variables, batch['x'], split_point, method='edge')
    logits = model.apply(variables, features, split_point, method='cloud')
    task = losses.cross_entropy(logits, batch['primary'])
    contrastive = losses.contrastive(
      features, batch['primary'], config.margin, config.balance_pairs
    )
    accuracy = (logits.argmax(-1) == batch['primary']).mean()
    return task + 0.5 * config.weight * contrastive, {
      'accuracy': accuracy,
      'task': task,
      'contrastive': contrastive,
    }

  return make_step(loss, tx)
