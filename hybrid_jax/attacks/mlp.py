"""Multilayer perceptrons, several sizes, views and seeds, trained together."""

from collections.abc import Iterator

import jax.numpy as jnp
import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset
from hybrid_jax.training import heads

OPTIONS = {
  'widths': plugins.Option(
    ((64,), (128, 64)),
    'Hidden layers of each network to try.',
    unit='units',
    low=1,
    filled=True,
  ),
}


def attack(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> Iterator[adversary.Attack]:
  """One attack for each of `config.widths`, view, trial and label.

  Args:
    problem: what is attacked.
    config: see `OPTIONS`; and `heads`, with `views` (some of
      `adversary.VIEWS`) and the settings of `members` and `heads.train`.
    seed: of the trials and of all weights.
  """
  for widths in config.widths:
    name = 'mlp ' + '-'.join(map(str, widths))
    yield from attack_with(problem, config, seed, tuple(widths), name)


def attack_with(
  problem: adversary.Problem,
  config: ml_collections.ConfigDict,
  seed: int,
  widths: tuple[int, ...],
  name: str,
) -> Iterator[adversary.Attack]:
  """The same for one shape of network; without `widths`, a linear one."""
  views, labels = list(config.heads.views), list(problem.sensitive)
  data, test = _arrays(problem, [problem.views[v] for v in views])
  crowd = members(len(views), len(labels), config.heads, seed)
  params = heads.train(data, crowd, widths, config.heads)
  valid = data.valid[crowd.label]
  on_validation = _by_draw(
    heads.log_probs(params, data.held, crowd.view, valid), problem
  )
  on_test = _by_draw(heads.log_probs(params, test, crowd.view, valid), problem)
  for i in range(len(crowd.seed)):
    k = int(valid[i].sum())
    yield adversary.Attack(
      f'{name}, {views[crowd.view[i]]}, trial {crowd.seed[i] % 1000}',
      labels[crowd.label[i]],
      on_validation[i][..., :k],
      on_test[i][..., :k],
    )


def members(
  views: int, labels: int, config: ml_collections.ConfigDict, seed: int
) -> heads.Members:
  """Every view and label with each of `config.trials` settings.

  The first trial has `config.learning_rate`, `config.weight_decay` and all
  units; the others draw the learning rate within a factor of 4 of it and the
  weight decay within a factor of 30, both evenly on a logarithmic scale, and a
  quarter, half or all of the units. All train at once; validation chooses.
  """
  view, label, trial = (
    a.ravel()
    for a in np.meshgrid(
      np.arange(views),
      np.arange(labels),
      np.arange(config.trials),
      indexing='ij',
    )
  )
  rng = np.random.default_rng((7, seed))
  rate = config.learning_rate * 4 ** rng.uniform(-1, 1, config.trials)
  decay = config.weight_decay * 30 ** rng.uniform(-1, 1, config.trials)
  width = rng.choice([0.25, 0.5, 1.0], config.trials)
  rate[0], decay[0], width[0] = config.learning_rate, config.weight_decay, 1.0
  return heads.Members(
    view, label, seed * 1000 + trial, rate[trial], decay[trial], width[trial]
  )


def _arrays(problem, views):
  train = problem.rows(dataset.TRAIN)
  held = problem.rows(dataset.VALIDATION)
  noise = problem.noise_scale
  draws = len(problem.scored[dataset.VALIDATION])

  def seen(fold):
    flat = problem.scored[fold].reshape(-1, problem.clean.shape[1])
    return jnp.asarray(heads.pad(np.stack([v(flat) for v in views])))

  labels = np.stack(list(problem.sensitive.values()))
  counts = labels.max(axis=1) + 1
  return heads.Data(
    train=jnp.asarray(
      heads.pad(np.stack([v(problem.clean[train]) for v in views]))
    ),
    noise=None
    if noise is None
    else jnp.asarray(
      heads.pad(
        np.stack([v.matrix.T @ noise for v in views]).astype(np.float32),
        (-2, -1),
      )
    ),
    train_label=jnp.asarray(labels[:, train]),
    held=seen(dataset.VALIDATION),
    held_label=jnp.asarray(np.tile(labels[:, held], draws)),
    valid=jnp.asarray(np.arange(counts.max()) < counts[:, None]),
  ), seen(dataset.TEST)


def _by_draw(flat, problem):
  draws = len(problem.scored[dataset.TEST])
  array = np.asarray(flat)
  return array.reshape(len(array), draws, -1, array.shape[-1])
