"""Training steps for the loop: one step maker for each objective.

A step is a jitted pure function `(state, batch, key) -> (state, metrics)`. A
batch is a dict with `x [batch, ...]` and `primary [batch]`. For a defence it
also has every sensitive label `[batch]` as `sensitive_NAME`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import optax

from hybrid_jax.defences import losses, penalties
from hybrid_jax.models import split_model
from hybrid_jax.training import augmentation, mixup, precision
from hybrid_jax.training.train_state import TrainState

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]
Step = Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Metrics]]
Loss = Callable[[Any, Batch, jax.Array], tuple[jax.Array, Metrics]]

_MIXUP = 1000  # The key of the mixture; augmentation splits the same key.


def make_step(loss: Loss, tx: optax.GradientTransformation) -> Step:
  """Returns an optimizer step for a loss.

  Args:
    loss: `(params, batch, key) -> (scalar, metrics)`.
    tx: the optimizer.
  """

  @jax.jit
  def step(state, batch, key):
    (value, metrics), gradient = jax.value_and_grad(loss, has_aux=True)(
      state.params, batch, key
    )
    with jax.named_scope('optimizer'):
      updates, opt_state = tx.update(gradient, state.opt_state, state.params)
      params = optax.apply_updates(state.params, updates)
    state = state.replace(
      step=state.step + 1, params=params, opt_state=opt_state
    )
    return state, {'loss': value, **metrics}

  return step


def make_task_step(
  model: split_model.SplitModel | precision.Mixed,
  tx: optax.GradientTransformation,
  augment: augmentation.Augment = augmentation.identity,
  mixing: float = 0.0,
  label_smoothing: float = 0.0,
) -> Step:
  """Returns a step for the primary task: cross-entropy on augmented examples.

  Args:
    model: the network.
    tx: the optimizer.
    augment: changes the examples at random.
    mixing: the strength of `mixup`; 0 for none.
    label_smoothing: the weight of uniform labels, which replace that share of
      the true ones (Szegedy et al., CVPR 2016).
  """

  def loss(params, batch, key):
    x, labels = augment(key, batch['x']), batch['primary']
    mixture = mixup.draw(jax.random.fold_in(key, _MIXUP), len(x), mixing)
    logits = model.apply({'params': params}, mixture(x) if mixing else x)
    accuracy = (logits.argmax(-1) == labels).mean()
    if not mixing and not label_smoothing:
      return losses.cross_entropy(logits, labels), {'accuracy': accuracy}
    targets = mixture(jax.nn.one_hot(labels, logits.shape[-1]))
    targets = optax.smooth_labels(targets, label_smoothing)
    value = optax.softmax_cross_entropy(logits, targets).mean()
    return value, {'accuracy': accuracy}

  return make_step(loss, tx)


def make_siamese_step(
  model: split_model.SplitModel | precision.Mixed,
  tx: optax.GradientTransformation,
  split_point: str,
  config: ml_collections.ConfigDict,
  augment: augmentation.Augment = augmentation.identity,
) -> Step:
  """Returns a step for Siamese fine-tuning.

  The loss is `cross-entropy + weight / 2 * contrastive` (Osia et al., arXiv
  1703.02952). Both terms use one forward pass: the contrastive loss takes all
  pairs of features at `split_point`, and the cloud half continues from them.

  Args:
    model: the network.
    tx: the optimizer.
    split_point: the split point of the contrastive loss.
    config: `weight` (the paper's lambda), `margin` and `balance_pairs`.
    augment: changes the examples at random.
  """

  def loss(params, batch, key):
    variables = {'params': params}
    x = augment(key, batch['x'])
    features = model.apply(variables, x, split_point, method='edge')
    logits = model.apply(variables, features, split_point, method='cloud')
    task = losses.cross_entropy(logits, batch['primary'])
    with jax.named_scope('contrastive'):
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


def make_defence_step(
  model: split_model.SplitModel | precision.Mixed,
  tx: optax.GradientTransformation,
  split_point: str,
  defence: penalties.Defence,
  weight: float,
  config: ml_collections.ConfigDict,
  augment: augmentation.Augment = augmentation.identity,
) -> Step:
  """Returns a step that trains network, bottleneck and defence together.

  The loss is the cross-entropy of the cloud on noisy releases, plus the
  penalty. The parameters are a dict of `network`, `bottleneck` and `defence`.

  Args:
    model: the network.
    tx: the optimizer.
    split_point: the split point at which the bottleneck ends the edge.
    defence: the penalty.
    weight: the weight of the penalty.
    config: `noise_draws`, the number of noisy copies of each release that the
      cloud learns from; and `gain`, the standard deviation of a random gain of
      each input channel, which models the differences between sensors.
    augment: changes the examples at random, before the gain.
  """

  def loss(params, batch, key):
    variables = {'params': params['network']}
    noise_key, gain_key, augment_key = jax.random.split(key, 3)
    x = augment(augment_key, batch['x'])
    if config.gain:
      x = augmentation.gain(gain_key, x, config.gain)
    features = model.apply(variables, x, split_point, method='edge')
    bottleneck = params['bottleneck']
    clean = bottleneck.transform(features.reshape(len(x), -1))
    noisy = clean + jax.random.normal(
      noise_key, (config.noise_draws, *clean.shape)
    )
    rebuilt = bottleneck.inverse(noisy).reshape(-1, *features.shape[1:])
    logits = model.apply(variables, rebuilt, split_point, method='cloud')
    labels = jnp.tile(batch['primary'], config.noise_draws)
    task = losses.cross_entropy(logits, labels)
    penalty_batch = penalties.Batch(
      x=x,
      clean=clean,
      noisy=noisy,
      primary=batch['primary'],
      sensitive={
        name.removeprefix('sensitive_'): values
        for name, values in batch.items()
        if name.startswith('sensitive_')
      },
      classes=logits.shape[-1],
    )
    with jax.named_scope('penalty'):
      penalty = defence.penalty(params['defence'], penalty_batch, weight)
    accuracy = (logits.argmax(-1) == labels).mean()
    return task + penalty, {
      'accuracy': accuracy,
      'task': task,
      'penalty': penalty,
    }

  return make_step(loss, tx)
