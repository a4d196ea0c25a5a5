"""De-censoring: maps released vectors to those of an undefended network.

Song and Shmatikov, "Overlearning reveals sensitive attributes" (ICLR 2020). The
attacker has a network for the same task that was trained without a defence, and
learns a map from censored to uncensored vectors. It attacks the mapped vectors.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary, mlp
from hybrid_jax.datasets import dataset, padding
from hybrid_jax.models import perceptron
from hybrid_jax.training import counter_keys, fit_best, heads

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

_BLOCK = 1024  # vectors mapped at once
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
    return np.stack([vectors, others])

  data = heads.Data(
    train=for_both(
      np.tile(uncensored[train], (len(copies), 1)), decensor(copies)
    ),
    noise=None,
    train_label=np.tile(labels[:, train], len(copies)),
    validation=for_both(validation, validation),
    validation_label=np.tile(
      labels[:, problem.rows(dataset.VALIDATION)],
      len(problem.evaluation_draws[dataset.VALIDATION]),
    ),
    class_mask=class_mask,
    capacity=(
      config.noise_copies * problem.train_capacity,
      problem.evaluation_capacity,
    ),
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
  d, e = view.matrix.shape[1], uncensored.shape[1]
  wide_d, wide_e = padding.width(d), padding.width(e)
  rows = problem.train_capacity
  noise = np.zeros((wide_d, wide_d), np.float32)
  if problem.noise_scale is not None:
    scale = heads.narrow(view.matrix.T @ problem.noise_scale)
    noise[:d, : scale.shape[1]] = scale
  params = _train(
    {
      'x': padding.pad(view(problem.clean[train]), {0: rows, 1: wide_d}),
      'y': padding.pad(uncensored[train], {0: rows, 1: wide_e}),
    },
    _Sizes(np.int32(train.sum()), np.float32(d), np.float32(e)),
    noise,
    problem.noise_scale is not None,
    config.learning_rate,
    np.int32(seed),
    tuple(config.widths),
    config.steps,
    config.batch_size,
  )

  def decensor(released):
    flat = view(released).reshape(-1, d)
    blocks = padding.blocks(padding.pad(flat, {1: wide_d}), _BLOCK)
    out = [_apply(params, block) for block in blocks]
    return np.concatenate(jax.device_get(out))[: len(flat), :e]

  return decensor


class _Sizes(NamedTuple):
  """What counts of the padded arrays."""

  rows: np.ndarray
  inputs: np.ndarray
  outputs: np.ndarray


_apply = jax.jit(perceptron.apply)


@functools.partial(jax.jit, static_argnames=('widths', 'steps', 'batch_size'))
def _train(
  data, size, noise, has_noise, learning_rate, seed, widths, steps, batch_size
):
  init_key = counter_keys.make(seed, 0, fit_best.WEIGHTS)
  sizes = (data['x'].shape[1], *widths, data['y'].shape[1])

  def loss(params, batch, key):
    x = adversary.add_noise(batch['x'], noise, has_noise, key)
    error = perceptron.apply(params, x) - batch['y']
    # Padded outputs would make the mean smaller.
    counts = jnp.arange(error.shape[1]) < size.outputs
    return (jnp.square(error) * counts).sum() / (batch_size * size.outputs)

  return fit_best.fit_best(
    loss,
    perceptron.init(init_key, sizes, inputs=size.inputs),
    optax.adam(optax.cosine_decay_schedule(learning_rate, steps)),
    data,
    seed,
    steps=steps,
    batch_size=batch_size,
    count=size.rows,
  )
