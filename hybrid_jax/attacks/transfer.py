"""The transfer attack: the network behind the cut, trained for the secret.

The edge is frozen, and the layers behind it are trained for the sensitive
labels, once from the cloud's weights and once from fresh ones (Osia et al.,
arXiv 1703.02952). Behind raw inputs stands the whole network.
"""

import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset
from hybrid_jax.training import steps, train_state

OPTIONS = {
  'steps': plugins.Option(300, 'Steps at most.', unit='steps', low=1),
  'batch_size': plugins.Option(128, 'Examples of a step.', low=1),
  'every': plugins.Option(
    100, 'Steps between validations.', unit='steps', low=1
  ),
  'patience': plugins.Option(
    2, 'Validations without a gain, after which training ends.', low=1
  ),
  'learning_rate': plugins.Option(2e-3, 'Largest learning rate.', above=0),
  'warmup': plugins.Option(
    0.05,
    'Share of the steps in which the learning rate rises.',
    low=0,
    below=1,
  ),
  'weight_decay': plugins.Option(1e-2, 'Weight decay of AdamW.', low=0),
}

_BLOCK = 1024


def attack(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> Iterator[adversary.Attack]:
  """One attack for each start and sensitive label; none without `behind`.

  One network answers for all labels at once. Each label keeps the parameters
  that did best for it on validation.

  Args:
    problem: what is attacked.
    config: see `OPTIONS`.
    seed: of the weights and the batches.
  """
  if problem.behind is None:
    return
  labels = np.stack(list(problem.sensitive.values()), axis=1)
  borders = np.cumsum([0, *(labels.max(axis=0) + 1)])
  behind = problem.behind(int(borders[-1]))
  for start, init in behind.starts.items():
    best = _train(problem, behind.apply, init, labels, borders, config, seed)
    for i, attribute in enumerate(problem.sensitive):
      yield adversary.Attack(f'transfer, {start}', attribute, *best[i])


def _train(problem, apply, init, labels, borders, config, seed):
  """For each label the log-probabilities on validation and test."""
  train, held = (problem.rows(f) for f in (dataset.TRAIN, dataset.VALIDATION))
  data = {'x': jnp.asarray(problem.clean[train]), 'y': labels[train]}
  heads = [slice(a, b) for a, b in itertools.pairwise(borders)]
  tx = train_state.optimizer(config)

  def loss(params, batch, key):
    gain_key, noise_key = jax.random.split(key)
    x = batch['x']
    # A random gain and smooth labels: the attacker has few examples.
    x *= 1 + 0.1 * jax.random.normal(gain_key, (len(x), 1))
    if problem.noise_scale is not None:
      x += jax.random.normal(noise_key, x.shape) @ problem.noise_scale.T
    logits = apply(params, x)
    total = 0.0
    for i, head in enumerate(heads):
      own = logits[:, head]
      classes = jax.nn.one_hot(batch['y'][:, i], own.shape[-1])
      smooth = optax.smooth_labels(classes, 0.1)
      total += optax.softmax_cross_entropy(own, smooth).mean()
    return total, {}

  run = _make_chunk(steps.make_step(loss, tx), data, config, seed)
  predict = jax.jit(
    lambda p, blocks: jax.lax.map(lambda b: apply(p, b), blocks)
  )
  state = train_state.create(
    init(jax.random.fold_in(jax.random.key(3), seed)), tx
  )
  best: list = [(None, -1.0)] * len(heads)
  stale = 0
  for _ in range(config.steps // config.every):
    state = run(state)
    found = _logits(predict, state.params, problem, dataset.VALIDATION)
    stale += 1
    for i, head in enumerate(heads):
      score = float((found[..., head].argmax(-1) == labels[held, i]).mean())
      if score > best[i][1]:
        best[i], stale = (state.params, score), 0
    if stale >= config.patience:
      break
  return [
    [
      np.asarray(
        jax.nn.log_softmax(
          _logits(predict, params, problem, fold)[..., head], axis=-1
        )
      )
      for fold in (dataset.VALIDATION, dataset.TEST)
    ]
    for (params, _), head in zip(best, heads, strict=True)
  ]


def _make_chunk(step, data, config, seed):
  key = jax.random.fold_in(jax.random.key(2), seed)

  @jax.jit
  def run(state, data):
    def body(state, _):
      row_key, step_key = jax.random.split(jax.random.fold_in(key, state.step))
      rows = jax.random.randint(
        row_key, (config.batch_size,), 0, len(data['y'])
      )
      batch = jax.tree.map(lambda a: a[rows], data)
      return step(state, batch, step_key)[0], None

    return jax.lax.scan(body, state, length=config.every)[0]

  return lambda state: run(state, data)


def _logits(predict, params, problem, fold):
  """Logits `[draws, n, outputs]` of what every attacker is scored on."""
  scored = problem.scored[fold]
  flat = scored.reshape(-1, scored.shape[-1])
  padded = np.pad(flat, ((0, -len(flat) % _BLOCK), (0, 0)))
  found = predict(params, padded.reshape(-1, _BLOCK, flat.shape[1]))
  logits = np.asarray(found).reshape(len(padded), -1)[: len(flat)]
  return logits.reshape(*scored.shape[:2], -1)
