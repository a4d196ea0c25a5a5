"""The cloud half, retrained for the sensitive labels.

The edge is frozen. The layers after the cut are trained for the sensitive
labels, once from the cloud's weights and once from fresh weights (Osia et al.,
arXiv 1703.02952). On raw inputs the whole network is trained.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset
from hybrid_jax.training import fit_best, train_state

OPTIONS = {
  'steps': plugins.Option(
    300, 'Largest number of training steps.', unit='steps', low=1
  ),
  'batch_size': plugins.Option(128, 'Examples in a batch.', low=1),
  'every': plugins.Option(
    100, 'Steps between validations.', unit='steps', low=1
  ),
  'patience': plugins.Option(
    2, 'Validations without improvement until training stops.', low=1
  ),
  'learning_rate': plugins.Option(2e-3, 'Peak learning rate.', above=0),
  'warmup': plugins.Option(
    0.05,
    'Share of the steps in which the learning rate rises.',
    low=0,
    below=1,
  ),
  'weight_decay': plugins.Option(1e-2, 'Weight decay of AdamW.', low=0),
}

_BLOCK = 1024  # examples in one pass of the network


def attack(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> Iterator[adversary.Attack]:
  """Yields one attack for each start and label; none without `problem.cloud`.

  One network predicts all labels at once. The attack on a label uses the
  parameters that did best for this label on validation.

  Args:
    problem: the attack problem.
    config: see `OPTIONS`.
    seed: for the weights and the batches.
  """
  if problem.cloud is None:
    return
  labels = np.stack(list(problem.sensitive.values()), axis=1)
  borders = np.cumsum([0, *(labels.max(axis=0) + 1)])
  # The outputs of the network that predict each label.
  heads = [slice(a, b) for a, b in itertools.pairwise(borders)]
  cloud = problem.cloud(int(borders[-1]))
  fit = _make_fit(problem, cloud.apply, labels, heads, config, seed)
  predict = jax.jit(
    lambda best, blocks: jax.lax.map(
      lambda params: _block_logits(cloud.apply, params, blocks), best
    )
  )
  for start, init in cloud.initialisers.items():
    name = f'transfer, {start}'
    wanted = [problem.wants(name, label) for label in problem.sensitive]
    if not any(wanted):
      continue
    best = fit(init(jax.random.fold_in(jax.random.key(3), seed)))
    log_probs = {
      fold: _log_probs(predict, best, released, heads)
      for fold, released in problem.evaluation_draws.items()
    }
    for i, attribute in enumerate(problem.sensitive):
      if not wanted[i]:
        continue
      yield adversary.Attack(
        name,
        attribute,
        log_probs[dataset.VALIDATION][i],
        log_probs[dataset.TEST][i],
      )


def _make_fit(
  problem, apply, labels, heads, config, seed
) -> Callable[[Any], Any]:
  """Makes a function from initial parameters to the best ones of each label."""
  train = problem.rows(dataset.TRAIN)
  data = {
    'x': jnp.asarray(problem.clean[train]),
    'y': jnp.asarray(labels[train]),
  }
  draws = problem.evaluation_draws[dataset.VALIDATION]
  blocks = jnp.asarray(_in_blocks(draws))
  truth = np.tile(labels[problem.rows(dataset.VALIDATION)], (len(draws), 1))
  # No class is -1, so that padded rows are never correct.
  padding = blocks.shape[0] * _BLOCK - len(truth)
  truth = jnp.asarray(np.pad(truth, ((0, padding), (0, 0)), constant_values=-1))
  tx = train_state.optimizer(config)

  def loss(params, batch, key):
    gain_key, noise_key = jax.random.split(key)
    x = batch['x']
    # A random gain and smooth labels, since the attacker has few examples.
    x *= 1 + 0.1 * jax.random.normal(gain_key, (len(x), 1))
    if problem.noise_scale is not None:
      x += jax.random.normal(noise_key, x.shape) @ problem.noise_scale.T
    logits = apply(params, x)
    total = 0.0
    for i, head in enumerate(heads):
      classes = jax.nn.one_hot(batch['y'][:, i], head.stop - head.start)
      smooth = optax.smooth_labels(classes, 0.1)
      total += optax.softmax_cross_entropy(logits[:, head], smooth).mean()
    return total

  @jax.jit
  def fit(params, data, blocks, truth):

    def count_correct(params):
      logits = _block_logits(apply, params, blocks)
      predicted = [logits[..., head].argmax(-1).ravel() for head in heads]
      correct = jnp.stack(predicted, axis=1) == truth
      return correct.sum(axis=0).astype(jnp.float32)

    return fit_best.fit_best(
      loss,
      params,
      tx,
      data,
      jax.random.fold_in(jax.random.key(2), seed),
      steps=config.steps,
      every=config.every,
      batch_size=config.batch_size,
      score=count_correct,
      patience=config.patience,
    )

  return lambda params: fit(params, data, blocks, truth)


def _in_blocks(released):
  """Pads and splits `[draws, n, d]` into `[blocks, block, d]`."""
  flat = released.reshape(-1, released.shape[-1])
  padded = np.pad(flat, ((0, -len(flat) % _BLOCK), (0, 0)))
  return padded.reshape(-1, _BLOCK, flat.shape[1])


def _block_logits(apply, params, blocks):
  return jax.lax.map(lambda block: apply(params, block), blocks)


def _log_probs(predict, best, released, heads):
  """Log-probabilities `[draws, n, k]` of each label."""
  logits = np.asarray(predict(best, _in_blocks(released)))
  draws, n, _ = released.shape
  flat = logits.reshape(len(heads), -1, logits.shape[-1])[:, : draws * n]
  return [
    np.asarray(jax.nn.log_softmax(one[:, head].reshape(draws, n, -1), axis=-1))
    for one, head in zip(flat, heads, strict=True)
  ]
