"""The cloud half, retrained for the sensitive labels.

The edge is frozen. The layers after the cut are trained for the sensitive
labels, from fresh weights and from the cloud's own weights (Osia et al., arXiv
1703.02952). Before fresh weights, the features are centred and scaled: the
cloud's own weights were trained on features as they are, and fresh ones learn
faster on standard ones. On raw inputs the whole network is trained.
"""

import functools
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset, padding
from hybrid_jax.training import counter_keys, fit_best, train_state

_FRESH, _TRAINED = 'fresh weights', "the cloud's weights"

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
  'starts': plugins.Option(
    (_FRESH, _TRAINED),
    'Weights to start from; fresh ones where the cloud has none of its own.',
    choices=(_FRESH, _TRAINED),
    noun='start',
    filled=True,
    distinct=True,
  ),
  'learning_rate': plugins.Option(
    6e-3,
    "Peak learning rate; a third of it from the cloud's weights.",
    above=0,
  ),
  'warmup': plugins.Option(
    0.05,
    'Share of the steps in which the learning rate rises.',
    low=0,
    below=1,
  ),
  'weight_decay': plugins.Option(1e-2, 'Weight decay of AdamW.', low=0),
}

_BLOCK = padding.TILE  # examples in one pass of the network
_SCALED = padding.TILE  # examples that the features are scaled by
_SCALING_STREAMS = 6, 7  # of random numbers, for these examples


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
  heads = tuple((int(a), int(b)) for a, b in itertools.pairwise(borders))
  cloud = problem.cloud(int(borders[-1]))
  arguments = jax.device_put(_arguments(problem, labels))
  settings = ml_collections.FrozenConfigDict(
    {k: config[k] for k in OPTIONS if k != 'starts'}
  )
  network = _Network(
    *(
      f if isinstance(f, jax.tree_util.Partial) else jax.tree_util.Partial(f)
      for f in (cloud.inverse, cloud.apply)
    )
  )
  inits = {_FRESH: cloud.fresh, _TRAINED: cloud.trained or cloud.fresh}
  starts = config.starts if cloud.trained else (_FRESH,)
  for start in starts:
    name = f'transfer, {start}'
    wanted = [problem.wants(name, label) for label in problem.sensitive]
    if not any(wanted):
      continue
    # On the host, so that both starts are the same kind of argument.
    params = jax.device_get(
      inits[start](jax.random.fold_in(jax.random.key(3), seed))
    )
    scaling, best = _fit(
      network,
      params,
      arguments,
      np.bool_(start == _TRAINED),
      np.int32(seed),
      heads,
      settings,
    )
    log_probs = {
      fold: _log_probs(network, scaling, best, released, heads)
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


class _Network(NamedTuple):
  """The functions of `adversary.TrainableCloud`."""

  inverse: jax.tree_util.Partial
  apply: jax.tree_util.Partial

  def logits(self, params, scaling, x, gain=1.0):
    """Logits `[b, outputs]` of released vectors `x [b, d]`."""
    features = (self.inverse(x) - scaling.mean) * scaling.factor
    return self.apply(params, gain * features)


class Scaling(NamedTuple):
  """What is subtracted from the features `[e]`, and a factor of all of them."""

  mean: jax.Array
  factor: jax.Array


class _Arguments(NamedTuple):
  """Arrays to learn from and to choose by; targets of one width share shapes.

  Attributes:
    train: `x [rows, d]` and `y [rows, labels]`.
    train_count: the rows that count.
    validation: `[rows, d]`, whole blocks.
    truth: `[rows, labels]`; -1 in padded rows, which are never correct.
    blocks: the blocks of validation that count.
    noise: see `adversary.Problem.noise_argument`.
  """

  train: dict[str, np.ndarray]
  train_count: np.ndarray
  validation: np.ndarray
  truth: np.ndarray
  blocks: np.ndarray
  noise: np.ndarray | None


def _arguments(problem, labels):
  train = problem.rows(dataset.TRAIN)
  draws = problem.evaluation_draws[dataset.VALIDATION]
  noise = problem.noise_argument()
  validation = draws.reshape(-1, draws.shape[-1])
  truth = np.tile(labels[problem.rows(dataset.VALIDATION)], (len(draws), 1))
  # Wide vectors without noise are not padded to the draws of noisy ones.
  rows = padding.rows(len(truth))
  if noise is not None:
    rows = problem.evaluation_capacity
  return _Arguments(
    train={
      'x': padding.pad(problem.clean[train], {0: problem.train_capacity}),
      'y': padding.pad(labels[train], {0: problem.train_capacity}),
    },
    train_count=np.int32(train.sum()),
    validation=padding.pad(validation, {0: rows}),
    truth=padding.pad(truth + 1, {0: rows}) - 1,
    blocks=np.int32(-(-len(truth) // _BLOCK)),
    noise=noise,
  )


@functools.partial(jax.jit, static_argnames=('heads', 'settings'))
def _fit(
  network: _Network,
  params: Any,
  arguments: _Arguments,
  trained: jax.Array,
  seed: jax.Array,
  heads: tuple[tuple[int, int], ...],
  settings: ml_collections.FrozenConfigDict,
) -> tuple[Scaling, Any]:
  """Trains from initial parameters; returns the best ones for each label.

  Args:
    network: what is trained.
    params: the initial parameters.
    arguments: the data and the noise.
    trained: whether the parameters were trained on features as they are.
    seed: of the batches and the noise.
    heads: the first output of each label, and the one after its last.
    settings: see `OPTIONS`.

  Returns:
    The scaling of the features, and the parameters.
  """

  scaling = _sample_scaling(network, arguments, trained, seed)

  def loss(params, batch, key):
    x, noise = batch['x'], arguments.noise
    d = 0 if noise is None else len(noise)
    draws = jax.random.normal(key, (len(x), 1 + d))
    if noise is not None:
      x += draws[:, 1:] @ noise.T
    # A random gain and smooth labels, since the attacker has few examples.
    logits = network.logits(params, scaling, x, 1 + 0.1 * draws[:, :1])
    total = 0.0
    for i, (first, end) in enumerate(heads):
      classes = jax.nn.one_hot(batch['y'][:, i], end - first)
      smooth = optax.smooth_labels(classes, 0.1)
      total += optax.softmax_cross_entropy(logits[:, first:end], smooth).mean()
    return total

  def count_correct(params):
    def add_block(i, total):
      x, truth = (
        jax.lax.dynamic_slice_in_dim(a, i * _BLOCK, _BLOCK)
        for a in (arguments.validation, arguments.truth)
      )
      logits = network.logits(params, scaling, x)
      predicted = [logits[:, a:b].argmax(-1) for a, b in heads]
      return total + (jnp.stack(predicted, axis=1) == truth).sum(axis=0)

    zeros = jnp.zeros(len(heads), jnp.int32)
    correct = jax.lax.fori_loop(0, arguments.blocks, add_block, zeros)
    return correct.astype(jnp.float32)

  best = fit_best.fit_best(
    loss,
    params,
    optax.chain(
      train_state.optimizer(settings),
      optax.scale(jnp.where(trained, 1 / 3, 1.0)),
    ),
    arguments.train,
    seed,
    steps=settings.steps,
    every=settings.every,
    batch_size=settings.batch_size,
    score=count_correct,
    patience=settings.patience,
    count=arguments.train_count,
  )
  return scaling, best


def _sample_scaling(network, arguments, trained, seed):
  """Returns the scaling by a sample of the released training vectors."""
  row_key, noise_key = (
    counter_keys.make(seed, 0, stream) for stream in _SCALING_STREAMS
  )
  x = arguments.train['x']
  rows = counter_keys.draw_rows(
    row_key, min(_SCALED, len(x)), arguments.train_count
  )
  x = adversary.add_noise(x[rows], arguments.noise, jnp.bool_(True), noise_key)
  return scaling_of(network.inverse(x), trained)


def scaling_of(features: jax.Array, trained: jax.Array | bool) -> Scaling:
  """Returns the scaling of features to mean 0 and mean square 1 over all.

  Args:
    features: `[n, e]`.
    trained: whether the network was trained on features as they are; then they
      stay so.
  """
  mean = features.mean(axis=0)
  square = jnp.square(features - mean).mean()
  factor = jnp.where(square > 0, jax.lax.rsqrt(square), 1.0)
  return Scaling(jnp.where(trained, 0.0, mean), jnp.where(trained, 1.0, factor))


@jax.jit
def _predict(network, scaling, best, x):
  """Logits `[labels, b, outputs]` by the best parameters of each label."""
  return jax.lax.map(lambda params: network.logits(params, scaling, x), best)


def _log_probs(network, scaling, best, released, heads):
  """Log-probabilities `[draws, n, k]` of each label."""
  from scipy import special  # Imported here: it is slow.

  draws, n, d = released.shape
  blocks = padding.blocks(released.reshape(-1, d), _BLOCK)
  out = [_predict(network, scaling, best, block) for block in blocks]
  logits = np.concatenate(jax.device_get(out), axis=1)[:, : draws * n]
  return [
    special.log_softmax(one[:, a:b].reshape(draws, n, -1), axis=-1)
    for one, (a, b) in zip(logits, heads, strict=True)
  ]
