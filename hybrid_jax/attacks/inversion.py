"""White-box inversion: descends to an input that the edge releases alike.

After Mahendran and Vedaldi, "Understanding deep image representations by
inverting them", CVPR 2015, with the law of the noise in place of their norm.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import scipy.linalg

from hybrid_jax import errors, plugins
from hybrid_jax.attacks import inputs_problem
from hybrid_jax.datasets import dataset

OPTIONS = {
  'steps': plugins.Option(100, 'Steps of the descent.', unit='steps', low=1),
  'learning_rate': plugins.Option(
    0.1, 'First learning rate; a cosine to zero.', above=0
  ),
  'restarts': plugins.Option(
    2, 'Random starts, beside the nearest training input.', low=0
  ),
  'prior': plugins.Option(1e-5, 'Weight of the squared norm.', low=0),
  'smooth': plugins.Option(1e-3, 'Weight of the total variation.', low=0),
  'max_items': plugins.Option(
    128,
    'Examples of the test fold, spread evenly, at most; 0 for all.',
    unit='examples',
    low=0,
    optional=True,
  ),
}

_START = 0.1  # standard deviation of the random starts, in normalized units


def reconstruct(
  problem: inputs_problem.Problem, config: ml_collections.ConfigDict, seed: int
) -> tuple[np.ndarray, np.ndarray]:
  """Minimises, over x, for each released vector r of dimension d,

      ||L^-1 (edge(x) - r)||^2 / d + prior ||x||^2 + smooth TV(x)

  with noise `L e`; without noise L holds the features' standard deviations. TV
  adds up the absolute differences of neighbours in time or space. Each item
  has `restarts` random starts, and the training input that is released
  nearest; the one of the least objective is kept.

  Args:
    problem: what is attacked; it must have an `edge`.
    config: `inversion` with `steps`, `learning_rate` (the first, of a cosine to
      zero), `restarts`, `prior`, `smooth`, and `max_items`, at most so many
      of the test fold, spread evenly; 0 or `None` for all.
    seed: of the random starts.

  Returns:
    `items [m]` and `rebuilt [m, ...]`.

  Raises:
    UserError: there is no edge, or `steps` is below 1 or `restarts` below 0.
  """
  c = config.inversion
  if problem.edge is None:
    raise errors.UserError('inversion needs the edge, and there is none.')
  for name, least in (('steps', 1), ('restarts', 0)):
    if c[name] < least:
      raise errors.UserError(
        f'inversion.{name} is {c[name]}; it must be at least {least}.'
      )
  items = spread(len(problem.released), c.max_items)
  released = problem.released[items]
  whiten = whitening(problem)
  shape = (c.restarts, len(items), *problem.x.shape[1:])
  drawn = _START * jax.random.normal(jax.random.key(seed), shape)
  starts = jnp.concatenate([drawn, nearest(problem, released, whiten)[None]])
  found, objective = descend(
    problem.edge,
    released,
    starts,
    whiten,
    (c.steps, c.learning_rate, c.prior, c.smooth),
  )
  return items, keep_least(np.asarray(found), np.asarray(objective))


def spread(n: int, most: int | None) -> np.ndarray:
  """At most `most` of `range(n)`, spread evenly; all for 0 or `None`."""
  return np.linspace(0, n - 1, min(most or n, n)).round().astype(int)


def whitening(problem: inputs_problem.Problem) -> np.ndarray:
  """`L^-1`: its diagonal `[d]` where it has no more, or all of it `[d, d]`."""
  scale = problem.noise_scale
  if scale is None:
    return 1 / problem.spread
  diagonal = np.diag(scale)
  if not (scale - np.diag(diagonal)).any():
    return (1 / diagonal).astype(np.float32)
  inverse = scipy.linalg.solve_triangular(
    scale.astype(np.float64), np.eye(len(scale)), lower=True
  )
  return inverse.astype(np.float32)


def nearest(
  problem: inputs_problem.Problem, released: np.ndarray, whiten: np.ndarray
) -> np.ndarray:
  """The training inputs `[m, ...]` whose clean vectors are nearest.

  Args:
    problem: whose training fold is searched.
    released: `[m, d]`.
    whiten: see `whitening`; distances are taken after it.
  """
  train = problem.rows(dataset.TRAIN)
  # About the mean, since large values cancel badly in single precision.
  gallery = np.asarray(_whiten(problem.clean[train] - problem.center, whiten))
  sought = np.asarray(_whiten(released - problem.center, whiten))
  squared = np.square(gallery).sum(axis=1) - 2 * sought @ gallery.T
  return problem.x[train][squared.argmin(axis=1)].astype(np.float32)


def descend(
  edge: Callable[[jax.Array], jax.Array],
  released: np.ndarray,
  starts: jax.Array,
  whiten: np.ndarray,
  settings: tuple[int, float, float, float],
) -> tuple[jax.Array, jax.Array]:
  """Adam from every start at once; see `reconstruct` for the objective.

  Args:
    edge: see `base.Problem`.
    released: `[m, d]`.
    starts: `[s, m, ...]`.
    whiten: see `whitening`.
    settings: `steps`, `learning_rate`, `prior` and `smooth`.

  Returns:
    Inputs `[s, m, ...]` and the objective `[s, m]` there.
  """
  if not isinstance(edge, jax.tree_util.Partial):
    edge = jax.tree_util.Partial(edge)
  return _descend(edge, released, starts, whiten, tuple(settings))


def keep_least(found: np.ndarray, objective: np.ndarray) -> np.ndarray:
  """For each item of `found [s, m, ...]`, that of the least `[s, m]`."""
  # One that ran away is never kept while there is another.
  best = np.where(np.isfinite(objective), objective, np.inf).argmin(axis=0)
  return found[best, np.arange(len(best))]


def total_variation(x: jax.Array) -> jax.Array:
  """`[b, ...]` to `[b]`: over all axes but the first and the channels."""
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
  sought = jnp.tile(released, (len(starts), 1))

  def objective(x):
    residual = _whiten(edge(x) - sought, whiten)
    value = jnp.square(residual).mean(axis=1)
    value += prior * jnp.square(x).reshape(len(x), -1).sum(axis=1)
    if smooth:
      value += smooth * total_variation(x)
    return value

  def step(carry, _):
    x, opt_state = carry
    # Items do not meet: each gets the gradient of its own objective.
    gradient = jax.grad(lambda x: objective(x).sum())(x)
    updates, opt_state = tx.update(gradient, opt_state)
    return (optax.apply_updates(x, updates), opt_state), None

  x = starts.reshape(-1, *starts.shape[2:])
  (x, _), _ = jax.lax.scan(step, (x, tx.init(x)), None, steps)
  return x.reshape(starts.shape), objective(x).reshape(starts.shape[:2])
