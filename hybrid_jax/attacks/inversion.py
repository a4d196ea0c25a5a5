"""White-box inversion: searches for an input with the same release.

After Mahendran and Vedaldi, "Understanding deep image representations by
inverting them", CVPR 2015, with the covariance of the noise in place of their
norm.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from hybrid_jax import errors, plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset

OPTIONS = {
  'steps': plugins.Option(100, 'Optimisation steps.', unit='steps', low=1),
  'learning_rate': plugins.Option(
    0.1, 'Initial learning rate, with a cosine decay to zero.', above=0
  ),
  'restarts': plugins.Option(
    2, 'Random starts, in addition to the nearest training input.', low=0
  ),
  'prior': plugins.Option(1e-5, 'Weight of the squared norm.', low=0),
  'smooth': plugins.Option(1e-3, 'Weight of the total variation.', low=0),
  'max_items': plugins.Option(
    128,
    'Largest number of test examples, evenly spaced; 0 for all.',
    unit='examples',
    low=0,
    optional=True,
  ),
}

_START_STD = 0.1  # standard deviation of the random starts, in normalised units


def reconstruct(
  problem: adversary.Problem, config: ml_collections.ConfigDict, seed: int
) -> tuple[np.ndarray, np.ndarray]:
  """Minimises, over inputs x, for each released vector r of dimension d,

      ||L^-1 (edge(x) - r)||^2 / d + prior ||x||^2 + smooth TV(x)

  where the noise is `L e`; without noise, L is diagonal with the standard
  deviations of the features. TV is the sum of absolute differences between
  neighbours in time or space. Each item has `restarts` random starts, and one
  start at the training input with the nearest release. The result with the
  lowest objective is kept.

  Args:
    problem: the attack problem, with an `edge`.
    config: see `OPTIONS`.
    seed: for the random starts.

  Returns:
    `items [m]` and `rebuilt [m, ...]`.

  Raises:
    UserError: there is no edge.
  """
  if problem.edge is None:
    raise errors.UserError(
      'inversion needs the edge, which is unknown for these released vectors.'
    )
  released = problem.released(dataset.TEST)
  items = adversary.evenly_spaced(len(released), config.max_items)
  released = released[items]
  whiten = noise_whitening(problem)
  shape = (config.restarts, len(items), *problem.inputs.shape[1:])
  random = np.asarray(jax.random.normal(jax.random.key(seed), shape))
  starts = np.concatenate(
    [_START_STD * random, nearest(problem, released, whiten)[None]]
  )
  results, objective = descend(
    problem.edge,
    released,
    starts,
    whiten,
    (config.steps, config.learning_rate, config.prior, config.smooth),
  )
  return items, select_lowest(np.asarray(results), np.asarray(objective))


def noise_whitening(problem: adversary.Problem) -> np.ndarray:
  """Returns `L^-1 [d, d]`, or only its diagonal `[d]` if L is diagonal."""
  import scipy.linalg  # Imported here: it is slow.

  scale = problem.noise_scale
  if scale is None:
    return 1 / problem.std
  diagonal = np.diag(scale)
  if not (scale - np.diag(diagonal)).any():
    return (1 / diagonal).astype(np.float32)
  inverse = scipy.linalg.solve_triangular(
    scale.astype(np.float64), np.eye(len(scale)), lower=True
  )
  return inverse.astype(np.float32)


def nearest(
  problem: adversary.Problem, released: np.ndarray, whiten: np.ndarray
) -> np.ndarray:
  """Returns the training inputs `[m, ...]` with the nearest clean vectors.

  Args:
    problem: the attack problem.
    released: `[m, d]`.
    whiten: see `noise_whitening`; distances are measured after it.
  """
  train = problem.rows(dataset.TRAIN)
  # Centred, since large values lose digits in single precision.
  gallery = np.asarray(_whiten(problem.clean[train] - problem.mean, whiten))
  queries = np.asarray(_whiten(released - problem.mean, whiten))
  # Without the query's own norm, which is the same for the whole gallery.
  squared = np.square(gallery).sum(axis=1) - 2 * queries @ gallery.T
  return problem.inputs[train][squared.argmin(axis=1)].astype(np.float32)


def descend(
  edge: Callable[[jax.Array], jax.Array],
  released: np.ndarray,
  starts: np.ndarray,
  whiten: np.ndarray,
  settings: tuple[int, float, float, float],
) -> tuple[jax.Array, jax.Array]:
  """Minimises the objective of `reconstruct` with Adam, from all starts.

  Args:
    edge: see `adversary.Problem`.
    released: `[m, d]`.
    starts: `[s, m, ...]`.
    whiten: see `noise_whitening`.
    settings: `steps`, `learning_rate`, `prior` and `smooth`.

  Returns:
    Inputs `[s, m, ...]`, and their objective `[s, m]`.
  """
  if not isinstance(edge, jax.tree_util.Partial):
    edge = jax.tree_util.Partial(edge)
  return _descend(edge, released, starts, whiten, tuple(settings))


def select_lowest(results: np.ndarray, objective: np.ndarray) -> np.ndarray:
  """Returns, for each item, the result with the lowest objective.

  Args:
    results: `[s, m, ...]`.
    objective: `[s, m]`; one that is not finite is the last choice.

  Returns:
    `[m, ...]`.
  """
  best = np.where(np.isfinite(objective), objective, np.inf).argmin(axis=0)
  return results[best, np.arange(len(best))]


def total_variation(x: jax.Array) -> jax.Array:
  """Sums the absolute differences of neighbours: `[b, ...]` to `[b]`.

  Neighbours lie along all axes but the first and the last, which has channels.
  """
  total = jnp.zeros(len(x), x.dtype)
  for axis in range(1, max(x.ndim - 1, 2)):
    steps = jnp.abs(jnp.diff(x, axis=axis))
    total += steps.reshape(len(x), -1).sum(axis=1)
  return total


def _whiten(residual, whiten):
  return residual * whiten if whiten.ndim == 1 else residual @ whiten.T


@functools.partial(jax.jit, static_argnames='settings')
def _descend(edge, released, starts, whiten, settings):
  steps, rate, prior, smooth = settings
  tx = optax.adam(optax.cosine_decay_schedule(rate, steps))
  target = jnp.tile(released, (len(starts), 1))

  def objective(x):
    residual = _whiten(edge(x) - target, whiten)
    value = jnp.square(residual).mean(axis=1)
    value += prior * jnp.square(x).reshape(len(x), -1).sum(axis=1)
    if smooth:
      value += smooth * total_variation(x)
    return value

  def step(carry, _):
    x, opt_state = carry
    # The gradient of the sum is each item's own, since items are independent.
    gradient = jax.grad(lambda x: objective(x).sum())(x)
    updates, opt_state = tx.update(gradient, opt_state)
    return (optax.apply_updates(x, updates), opt_state), None

  x = starts.reshape(-1, *starts.shape[2:])
  (x, _), _ = jax.lax.scan(step, (x, tx.init(x)), None, steps)
  return x.reshape(starts.shape), objective(x).reshape(starts.shape[:2])
