"""De-censoring: map what is released to what an undefended network releases.

Song and Shmatikov, "Overlearning reveals sensitive attributes" (ICLR 2020): an
attacker with a network of the same task, trained without a defence, learns to
turn the censored vectors into uncensored ones, and attacks those.
"""

import dataclasses
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from flax import linen as nn

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary, mlp
from hybrid_jax.datasets import dataset
from hybrid_jax.training import heads

OPTIONS = {
  'widths': plugins.Option(
    (128, 128), 'Hidden layers of the map.', unit='units', low=1
  ),
  'steps': plugins.Option(500, 'Steps of the map.', unit='steps', low=1),
  'batch_size': plugins.Option(256, 'Examples of a step.', low=1),
  'learning_rate': plugins.Option(
    3e-3, 'First learning rate; a cosine to zero.', above=0
  ),
  'head': plugins.Option(
    (64,), 'Hidden layers of the adversary on mapped vectors.', low=1
  ),
}

_VIEWS = ('trained on uncensored', 'trained on mapped')


class _Map(nn.Module):
  """`[b, d]` to `[b, size]`."""

  widths: tuple[int, ...]
  size: int

  @nn.compact
  def __call__(self, x):
    for width in self.widths:
      x = nn.relu(nn.Dense(width)(x))
    return nn.Dense(self.size)(x)


def attack(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> Iterator[adversary.Attack]:
  """One attack for each adversary, trial and label; none without `uncensored`.

  The map is trained on fresh noise. One adversary is trained on uncensored
  vectors and meets mapped ones; the other is trained on mapped ones too.

  Args:
    problem: what is attacked.
    config: see `OPTIONS`; `noise_copies`, how many noisy copies of each
      training vector to keep; and `heads`, with the settings of `mlp.members`
      and `heads.train`.
    seed: of the weights, the batches and the noise.
  """
  if problem.uncensored is None:
    return
  train, held = (problem.rows(f) for f in (dataset.TRAIN, dataset.VALIDATION))
  uncensored = adversary.fit_views(
    dataclasses.replace(problem, clean=problem.uncensored, noise_scale=None)
  )['standardised'](problem.uncensored)
  view = problem.views['standardised']
  run = _fit(problem, view, uncensored, config, seed)
  copies = problem.copies(dataset.TRAIN, config.noise_copies, 300 + seed)
  mapped = run(view(copies)).reshape(-1, uncensored.shape[1])
  clear = np.tile(uncensored[train], (len(copies), 1))
  seen = {
    fold: run(view(x)).reshape(-1, uncensored.shape[1])
    for fold, x in problem.scored.items()
  }
  draws = len(problem.scored[dataset.TEST])
  names = list(problem.sensitive)
  labels = np.stack(list(problem.sensitive.values()))
  counts = labels.max(axis=1) + 1

  def both(x):
    return jnp.asarray(heads.pad(np.stack([x, x])))

  data = heads.Data(
    train=jnp.asarray(heads.pad(np.stack([clear, mapped]))),
    noise=None,
    train_label=jnp.asarray(np.tile(labels[:, train], len(copies))),
    held=both(seen[dataset.VALIDATION]),
    held_label=jnp.asarray(np.tile(labels[:, held], draws)),
    valid=jnp.asarray(np.arange(counts.max()) < counts[:, None]),
  )
  crowd = mlp.members(len(_VIEWS), len(names), config.heads, seed)
  params = heads.train(data, crowd, tuple(config.head), config.heads)
  valid = data.valid[crowd.label]
  found = [
    np.asarray(heads.log_probs(params, x, crowd.view, valid))
    for x in (data.held, both(seen[dataset.TEST]))
  ]
  for i in range(len(crowd.seed)):
    k = int(counts[crowd.label[i]])
    yield adversary.Attack(
      f'de-censoring, {_VIEWS[crowd.view[i]]}, trial {crowd.seed[i] % 1000}',
      names[crowd.label[i]],
      *(f[i].reshape(draws, -1, f.shape[-1])[..., :k] for f in found),
    )


def _fit(problem, view, target, settings, seed):
  """The trained map, as a function of standardised vectors `[..., d]`."""
  train = problem.rows(dataset.TRAIN)
  x = jnp.asarray(view(problem.clean[train]))
  y = jnp.asarray(target[train])
  scale = None
  if problem.noise_scale is not None:
    scale = jnp.asarray(view.matrix.T @ problem.noise_scale, jnp.float32)
  module = _Map(tuple(settings.widths), y.shape[1])
  key = jax.random.fold_in(jax.random.key(4), seed)
  tx = optax.adam(
    optax.cosine_decay_schedule(settings.learning_rate, settings.steps)
  )
  params = _run(
    module, tx, settings.steps, settings.batch_size, x, y, scale, key
  )
  apply = jax.jit(module.apply)
  return lambda released: np.asarray(apply(params, released))


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _run(module, tx, steps, batch_size, x, y, scale, key):
  params = module.init(key, x[:1])

  def body(carry, number):
    params, opt_state = carry
    row_key, noise_key = jax.random.split(jax.random.fold_in(key, number))
    rows = jax.random.randint(row_key, (batch_size,), 0, len(x))
    seen = x[rows]
    if scale is not None:
      seen += jax.random.normal(noise_key, (batch_size, len(scale.T))) @ scale.T

    def loss(params):
      return jnp.square(module.apply(params, seen) - y[rows]).mean()

    updates, opt_state = tx.update(jax.grad(loss)(params), opt_state)
    return (optax.apply_updates(params, updates), opt_state), None

  start = (params, tx.init(params))
  return jax.lax.scan(body, start, jnp.arange(steps))[0][0]
