"""De-censoring: maps released vectors to those of an undefended network.

Song and Shmatikov, "Overlearning reveals sensitive attributes" (ICLR 2020). The
attacker has a network for the same task that was trained without a defence, and
learns a map from censored to uncensored vectors. It attacks the mapped vectors.
"""

import dataclasses
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary, mlp
from hybrid_jax.datasets import dataset
from hybrid_jax.models import perceptron
from hybrid_jax.training import fit_best, heads

OPTIONS = {
  'widths': plugins.Option(
    (128, 128), 'Hidden layers of the map.', unit='units', low=1
  ),
  'steps': plugins.Option(
    500, 'Training steps of the map.', unit='steps', low=1
  ),
  'batch_size': plugins.Option(256, 'Examples in a batch.', low=1),
  'learning_rate': plugins.Option(
    3e-3, 'Initial learning rate, with a cosine decay to zero.', above=0
  ),
  'head': plugins.Option(
    (64,), 'Hidden layers of the head on mapped vectors.', low=1
  ),
}

_VIEWS = ('trained on uncensored', 'trained on mapped')


def attack(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> Iterator[adversary.Attack]:
  """Yields one attack for each training set, trial and label.

  Yields none if `problem.uncensored` is unknown. The map is trained on fresh
  noise. One head learns from uncensored vectors and is evaluated on mapped
  ones; the other learns from mapped vectors too.

  Args:
    problem: the attack problem.
    config: see `OPTIONS`; `noise_copies`, the number of noisy copies of each
      training vector; and `heads`, the settings of `mlp.head_settings` and
      `heads.train`.
    seed: for the weights, the batches and the noise.
  """
  if problem.uncensored is None:
    return
  train = problem.rows(dataset.TRAIN)
  uncensored = adversary.fit_views(
    dataclasses.replace(problem, clean=problem.uncensored, noise_scale=None)
  )['standardised'](problem.uncensored)
  decensor = _fit_map(problem, uncensored, config, seed)
  copies = problem.copies(dataset.TRAIN, config.noise_copies, 300 + seed)
  labels, class_mask = mlp.label_arrays(problem)
  validation, test = (
    decensor(problem.evaluation_draws[fold])
    for fold in (dataset.VALIDATION, dataset.TEST)
  )

  def for_both(vectors, others):
    return jnp.asarray(heads.pad(np.stack([vectors, others])))

  data = heads.Data(
    train=for_both(
      np.tile(uncensored[train], (len(copies), 1)), decensor(copies)
    ),
    noise=None,
    train_label=jnp.asarray(np.tile(labels[:, train], len(copies))),
    validation=for_both(validation, validation),
    validation_label=jnp.asarray(
      np.tile(
        labels[:, problem.rows(dataset.VALIDATION)],
        len(problem.evaluation_draws[dataset.VALIDATION]),
      )
    ),
    class_mask=class_mask,
  )
  settings = mlp.head_settings(
    len(_VIEWS), len(problem.sensitive), config.heads, seed
  )
  names = [
    f'de-censoring, {_VIEWS[view]}, trial {number % 1000}'
    for view, number in zip(settings.view, settings.seed, strict=True)
  ]
  yield from mlp.train_heads(
    problem,
    data,
    for_both(test, test),
    settings,
    names,
    tuple(config.head),
    config.heads,
  )


def _fit_map(problem, uncensored, config, seed):
  """Fits the map; returns a function from `[..., d]` to `[n, e]`.

  It maps standardised released vectors to standardised uncensored ones.
  """
  train = problem.rows(dataset.TRAIN)
  view = problem.views['standardised']
  noise = None
  if problem.noise_scale is not None:
    noise = jnp.asarray(view.matrix.T @ problem.noise_scale, jnp.float32)
  params = _train(
    {'x': view(problem.clean[train]), 'y': uncensored[train]},
    noise,
    config.learning_rate,
    jax.random.fold_in(jax.random.key(4), seed),
    tuple(config.widths),
    config.steps,
    config.batch_size,
  )

  def decensor(released):
    mapped = np.asarray(_apply(params, view(released)))
    return mapped.reshape(-1, mapped.shape[-1])

  return decensor


_apply = jax.jit(perceptron.apply)


@functools.partial(jax.jit, static_argnames=('widths', 'steps', 'batch_size'))
def _train(data, noise, learning_rate, key, widths, steps, batch_size):
  init_key, fit_key = jax.random.split(key)
  sizes = (data['x'].shape[1], *widths, data['y'].shape[1])

  def loss(params, batch, key):
    x = batch['x']
    if noise is not None:
      x += jax.random.normal(key, (len(x), noise.shape[1])) @ noise.T
    return jnp.square(perceptron.apply(params, x) - batch['y']).mean()

  return fit_best.fit_best(
    loss,
    perceptron.init(init_key, sizes),
    optax.adam(optax.cosine_decay_schedule(learning_rate, steps)),
    data,
    fit_key,
    steps=steps,
    batch_size=batch_size,
  )
