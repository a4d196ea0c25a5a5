"""Multilayer perceptrons of several sizes, views and trials."""

import dataclasses
from collections.abc import Iterator, Sequence

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
  """Yields one attack for each of `config.widths`, view, trial and label.

  Args:
    problem: the attack problem.
    config: see `OPTIONS`; and `heads`, with `views`, some of
      `adversary.VIEWS`, and the settings of `head_settings` and `heads.train`.
    seed: for the trials and all weights.
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
  """Yields the attacks of one network; without `widths` it is linear.

  Args:
    problem: the attack problem.
    config: see `attack`.
    seed: see `attack`.
    widths: the sizes of the hidden layers.
    name: the name of the network in reports.
  """
  views, labels = list(config.heads.views), list(problem.sensitive)
  data, test = head_data(problem, views)
  settings = head_settings(len(views), len(labels), config.heads, seed)
  names = [
    f'{name}, {views[view]}, trial {number % 1000}'
    for view, number in zip(settings.view, settings.seed, strict=True)
  ]
  yield from train_heads(
    problem, data, test, settings, names, widths, config.heads
  )


def train_heads(
  problem: adversary.Problem,
  data: heads.Data,
  test: np.ndarray,
  settings: heads.HeadSettings,
  names: Sequence[str],
  widths: tuple[int, ...],
  config: ml_collections.ConfigDict,
) -> Iterator[adversary.Attack]:
  """Trains those heads that the problem wants; yields one attack for each.

  Args:
    problem: the attack problem.
    data: the heads' data.
    test: `[views, draws * n, d]`.
    settings: of `m` heads.
    names: `[m]`, of the heads in reports.
    widths: the sizes of the hidden layers.
    config: see `heads.train`.
  """
  labels = [list(problem.sensitive)[i] for i in settings.label]
  wanted = [
    i
    for i, (name, label) in enumerate(zip(names, labels, strict=True))
    if problem.wants(name, label)
  ]
  if not wanted:
    return
  settings = heads.HeadSettings(
    *(a[wanted] for a in dataclasses.astuple(settings))
  )
  chunks = None
  if problem.relearning is not None:
    chosen = [problem.chosen(names[i], labels[i]) for i in wanted]
    chunks = np.array([attack.chunks for attack in chosen if attack])
  params, chunks = heads.train(data, settings, widths, config, chunks=chunks)
  class_mask = data.class_mask[settings.label]
  validation_log_probs, test_log_probs = (
    by_draw(heads.log_probs(params, x, settings.view, class_mask), problem)
    for x in (data.validation, test)
  )
  for row, i in enumerate(wanted):
    k = int(class_mask[row].sum())
    yield adversary.Attack(
      names[i],
      labels[i],
      validation_log_probs[row][..., :k],
      test_log_probs[row][..., :k],
      chunks=int(chunks[row]),
    )


def head_settings(
  views: int, labels: int, config: ml_collections.ConfigDict, seed: int
) -> heads.HeadSettings:
  """Draws `config.trials` settings, and combines them with each view and label.

  The first trial has `config.learning_rate`, `config.weight_decay` and all
  units. The others draw the learning rate within a factor of 4 of it and the
  weight decay within a factor of 30, both uniformly on a logarithmic scale, and
  a quarter, half or all of the units. Validation chooses among them.

  Args:
    views: the number of views.
    labels: the number of labels.
    config: `trials`, `learning_rate` and `weight_decay`.
    seed: for the drawn settings, and for the seeds of the heads.
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
  return heads.HeadSettings(
    view, label, seed * 1000 + trial, rate[trial], decay[trial], width[trial]
  )


def head_data(
  problem: adversary.Problem, views: Sequence[str]
) -> tuple[heads.Data, np.ndarray]:
  """Returns the heads' data, and the test examples `[views, draws * n, d]`."""
  train = problem.rows(dataset.TRAIN)
  validation = problem.rows(dataset.VALIDATION)
  noise = None
  if problem.noise_scale is not None:
    noise = np.stack(
      [problem.views[name].matrix.T @ problem.noise_scale for name in views]
    )

  def viewed(fold):
    vectors = np.stack([problem.viewed(name, fold) for name in views])
    return vectors.reshape(len(views), -1, vectors.shape[-1])

  labels, class_mask = label_arrays(problem)
  data = heads.Data(
    train=viewed(dataset.TRAIN),
    noise=noise,
    train_label=labels[:, train],
    validation=viewed(dataset.VALIDATION),
    validation_label=np.tile(
      labels[:, validation], len(problem.evaluation_draws[dataset.VALIDATION])
    ),
    class_mask=class_mask,
    capacity=(problem.train_capacity, problem.evaluation_capacity),
  )
  return data, viewed(dataset.TEST)


def label_arrays(problem: adversary.Problem) -> tuple[np.ndarray, np.ndarray]:
  """Returns the sensitive labels `[labels, n]`, and their classes.

  The classes are a mask `[labels, k]`, with k the largest number of classes.
  """
  labels = np.stack(list(problem.sensitive.values()))
  counts = labels.max(axis=1) + 1
  return labels, np.arange(counts.max()) < counts[:, None]


def by_draw(flat: np.ndarray, problem: adversary.Problem) -> np.ndarray:
  """Reshapes `[m, draws * n, k]` to `[m, draws, n, k]`."""
  draws = len(problem.evaluation_draws[dataset.TEST])
  return flat.reshape(len(flat), draws, -1, flat.shape[-1])
