"""Trains on random batches and keeps the best parameters on validation."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from hybrid_jax.training import counter_keys

# (params, batch, key) -> scalar; the key draws the noise.
Loss = Callable[[Any, Any, jax.Array], jax.Array]
# params -> validation scores of any shape; higher is better.
Score = Callable[[Any], jax.Array]

WEIGHTS, _ROWS, _LOSS = range(3)  # streams of random numbers of a seed


class _Loop(NamedTuple):
  """State of the training loop."""

  chunk: jax.Array  # finished chunks
  params: Any
  opt_state: optax.OptState
  best: Any  # leaves have the shape of the scores in front
  best_score: jax.Array
  stale: jax.Array  # chunks since the last improvement


def fit_best(
  loss: Loss,
  params: Any,
  tx: optax.GradientTransformation,
  data: Any,
  seed: jax.Array | int,
  *,
  steps: int,
  batch_size: int,
  every: int | None = None,
  score: Score | None = None,
  patience: int | None = None,
  include_start: bool = False,
  count: jax.Array | np.ndarray | None = None,
) -> Any:
  """Trains on random batches and returns the parameters with the best score.

  Batches are drawn with replacement. It is one loop without Python in it: call
  it within `jax.jit`.

  Args:
    loss: `(params, batch, key) -> scalar`; the key draws the noise.
    params: the initial parameters.
    tx: the optimizer.
    data: a tree of training arrays `[n, ...]`.
    seed: of the batches and of the loss's draws.
    steps: the number of steps, rounded down to a multiple of `every`.
    batch_size: the number of examples in a batch.
    every: the steps between two validations; by default all steps.
    score: `params -> scores`, on validation, higher is better. Several scores
      are followed at once, and each keeps its own best parameters. By default
      the last parameters are returned.
    patience: stops after so many validations in which no score improved; by
      default never.
    include_start: whether the initial parameters may be the best.
    count: the number of examples; later rows of `data` are padding. By default
      all rows are examples.

  Returns:
    The best parameters; each leaf has the shape of the scores in front.
  """
  every = every or steps
  score = score or (lambda params: jnp.zeros(()))
  length = len(jax.tree.leaves(data)[0]) if count is None else count

  def step(carry, number):
    params, opt_state = carry
    row_key, loss_key = (
      counter_keys.make(seed, number, stream) for stream in (_ROWS, _LOSS)
    )
    rows = counter_keys.draw_rows(row_key, batch_size, length)
    batch = jax.tree.map(lambda a: a[rows], data)
    gradient = jax.grad(loss)(params, batch, loss_key)
    updates, opt_state = tx.update(gradient, opt_state, params)
    return (optax.apply_updates(params, updates), opt_state), None

  def is_active(loop):
    active = loop.chunk < steps // every
    return active if patience is None else active & (loop.stale < patience)

  def train_chunk(loop):
    numbers = loop.chunk * every + jnp.arange(every)
    (params, opt_state), _ = jax.lax.scan(
      step, (loop.params, loop.opt_state), numbers
    )
    scores = score(params)
    better = scores > loop.best_score

    def keep(new, old):
      mask = better.reshape(better.shape + (1,) * new.ndim)
      return jnp.where(mask, new, old)

    return _Loop(
      loop.chunk + 1,
      params,
      opt_state,
      best=jax.tree.map(keep, params, loop.best),
      best_score=jnp.where(better, scores, loop.best_score),
      stale=jnp.where(better.any(), 0, loop.stale + 1),
    )

  shape = jax.eval_shape(score, params).shape
  start = _Loop(
    chunk=jnp.zeros((), jnp.int32),
    params=params,
    opt_state=tx.init(params),
    best=jax.tree.map(
      lambda p: jnp.broadcast_to(p, shape + jnp.shape(p)), params
    ),
    best_score=score(params) if include_start else jnp.full(shape, -jnp.inf),
    stale=jnp.zeros((), jnp.int32),
  )
  return jax.lax.while_loop(is_active, train_chunk, start).best
