"""The transfer attack: the network behind the cut, trained for the secret.

The edge is frozen, and the layers behind it are trained from fresh weights for
the sensitive label (Osia et al., arXiv 1703.02952). It suits features in the
shape in which they left the edge; behind raw inputs stands the whole network.
"""

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from hybrid_jax.adversaries import base
from hybrid_jax.datasets import base as datasets
from hybrid_jax.training import state as train_state
from hybrid_jax.training import steps

_BLOCK = 1024


def attack(
  problem: base.Problem, config: ml_collections.ConfigDict, seed: int
) -> Iterator[base.Attack]:
  """One attack for each sensitive label; none where there is no `behind`.

  Args:
    problem: what is attacked.
    config: `transfer`, with `steps`, `batch_size`, `every`, `patience` and the
      settings of `training.state.optimizer`.
    seed: of the weights and the batches.
  """
  if problem.behind is None:
    return
  for attribute, labels in problem.sensitive.items():
    init, apply = problem.behind(int(labels.max()) + 1)
    predict = jax.jit(
      lambda p, blocks, f=apply: jax.lax.map(lambda b: f(p, b), blocks)
    )
    params = _train(
      problem, init, apply, predict, labels, config.transfer, seed
    )
    yield base.Attack(
      'transfer, fresh weights',
      attribute,
      *(
        _log_probs(predict, params, problem, fold)[None]
        for fold in (datasets.VALIDATION, datasets.TEST)
      ),
    )


def _train(problem, init, apply, predict, labels, config, seed):
  x = problem.structured
  train, held = (problem.rows(f) for f in (datasets.TRAIN, datasets.VALIDATION))
  data = {'x': jnp.asarray(x[train]), 'y': jnp.asarray(labels[train])}
  tx = train_state.optimizer(config)

  def loss(params, batch, key):
    # A random gain and smooth labels: the attacker has few examples.
    shape = (len(batch['x']), *[1] * (batch['x'].ndim - 1))
    gain = 1 + 0.1 * jax.random.normal(key, shape)
    logits = apply(params, batch['x'] * gain)
    classes = jax.nn.one_hot(batch['y'], logits.shape[-1])
    smooth = optax.smooth_labels(classes, 0.1)
    return optax.softmax_cross_entropy(logits, smooth).mean(), {}

  step = steps.make_step(loss, tx)
  key = jax.random.fold_in(jax.random.key(2), seed)

  @functools.partial(jax.jit, static_argnums=1)
  def run(state, count):
    def body(state, _):
      row_key, step_key = jax.random.split(jax.random.fold_in(key, state.step))
      rows = jax.random.randint(
        row_key, (config.batch_size,), 0, len(data['y'])
      )
      batch = jax.tree.map(lambda a: a[rows], data)
      return step(state, batch, step_key)[0], None

    return jax.lax.scan(body, state, length=count)[0]

  state = train_state.create(init(key), tx)
  best, best_score, stale = state.params, -1.0, 0
  for _ in range(config.steps // config.every):
    state = run(state, config.every)
    found = _log_probs(predict, state.params, problem, datasets.VALIDATION)
    score = float((found.argmax(-1) == labels[held]).mean())
    stale += 1
    if score > best_score:
      best, best_score, stale = state.params, score, 0
    if stale >= config.patience:
      break
  return best


def _log_probs(predict, params, problem, fold):
  x = problem.structured[problem.rows(fold)]
  padded = np.pad(x, ((0, -len(x) % _BLOCK), *[(0, 0)] * (x.ndim - 1)))
  found = predict(params, padded.reshape(-1, _BLOCK, *x.shape[1:]))
  logits = np.asarray(found).reshape(len(padded), -1)[: len(x)]
  return np.asarray(jax.nn.log_softmax(logits))
