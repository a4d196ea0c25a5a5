import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hybrid_jax.training import fit_best

_DATA = {'x': jnp.arange(8.0)}


def _loss(params, batch, key):
  """Pulls the parameter up by 1 a step of plain gradient descent."""
  del batch, key
  return -params


def _fit(**options):
  return float(
    jax.jit(
      functools.partial(
        fit_best.fit_best, _loss, tx=optax.sgd(1.0), batch_size=4, **options
      )
    )(params=jnp.zeros(()), data=_DATA, seed=0)
  )


def test_without_a_score_the_last_parameters_are_returned():
  assert _fit(steps=7) == 7


@pytest.mark.parametrize(
  ('peak', 'options', 'expected'),
  [
    # Validated at 2, 4, 6 and 8: the one nearest to the peak is kept.
    (3.9, {}, 4),
    (100, {}, 8),
    (-9, {}, 2),
    (-9, {'include_start': True}, 0),
    # Steps that do not fill a chunk are left out.
    (100, {'steps': 9}, 8),
  ],
)
def test_the_best_of_the_validations_is_kept(peak, options, expected):
  options = {'steps': 8, 'every': 2} | options
  assert _fit(score=lambda p: -jnp.abs(p - peak), **options) == expected


@pytest.mark.parametrize(('patience', 'expected'), [(2, 2), (3, 8)])
def test_patience_counts_validations_without_improvement(patience, expected):
  # Worse at 4 and 6, and best at 8.
  scores = jnp.array([0.0, 0, 5, 0, 4, 0, 3, 0, 9])
  found = _fit(
    steps=8,
    every=2,
    score=lambda p: scores[p.astype(int)],
    patience=patience,
  )
  assert found == expected


def test_each_score_keeps_its_own_parameters():
  peaks = jnp.array([2.0, 6.0, 50.0])
  best = jax.jit(
    lambda params: fit_best.fit_best(
      lambda params, batch, key: -params.sum(),
      params,
      optax.sgd(1.0),
      _DATA,
      0,
      steps=8,
      every=2,
      batch_size=1,
      score=lambda params: -jnp.abs(params[0] - peaks),
    )
  )(jnp.zeros(2))
  np.testing.assert_array_equal(best, [[2, 2], [6, 6], [8, 8]])


def test_batches_and_noise_are_drawn_anew_in_each_step():
  """Sums up the rows and the noise of all steps."""

  def loss(params, batch, key):
    drawn = jnp.stack([batch['x'][0], jax.random.normal(key)])
    return -params @ drawn

  data = {'x': jnp.arange(50.0)}
  fit = functools.partial(
    fit_best.fit_best, loss, jnp.zeros(2), optax.sgd(1.0), data
  )
  few, more = (fit(3, steps=steps, batch_size=1) for steps in (1, 2))
  # The second step adds a row and a noise of its own.
  for i in range(2):
    assert abs(more[i] - 2 * few[i]) > 1e-3
  again = fit(3, steps=2, batch_size=1)
  np.testing.assert_array_equal(more, again)
