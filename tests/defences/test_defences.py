import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import watch
from hybrid_jax import plugins
from hybrid_jax.defences import gradient_reversal, losses, penalties
from hybrid_jax.metrics import bayes_ceiling
from hybrid_jax.models import perceptron

CONFIG = watch.get_config().defend
_distance_jit = jax.jit(losses.distance_correlation)
_bits_jit = jax.jit(losses.gaussian_bits, static_argnums=2)
_contrastive = jax.jit(losses.contrastive, static_argnums=3)
CLASSES = {'side': 2, 'who': 3}


def _make(name):
  return plugins.load('defence', name).make(CONFIG[name])


def _penalty(name, params, batch, weight):
  """Computes the penalty in one program, which compiles faster."""
  return jax.jit(lambda p: _make(name).penalty(p, batch, weight))(params)


def _batch(clean, primary, sensitive, classes=3, noisy=None, x=None):
  clean = jnp.asarray(clean, jnp.float32)
  return penalties.Batch(
    x=clean if x is None else x,
    clean=clean,
    noisy=clean[None] if noisy is None else noisy,
    primary=jnp.asarray(primary),
    sensitive={name: jnp.asarray(a) for name, a in sensitive.items()},
    classes=classes,
  )


def _random(n=12, d=4, seed=0):
  """A batch of three classes, one of a single example, with two equal rows."""
  rng = np.random.default_rng(seed)
  clean = rng.standard_normal((n, d)).astype(np.float32)
  clean[3] = clean[5]
  noisy = clean + rng.standard_normal((2, n, d)).astype(np.float32)
  return _batch(
    clean,
    [2] + [0, 1] * (n // 2 - 1) + [0],
    {'who': np.arange(n) % 3, 'side': np.arange(n) // 2 % 2},
    noisy=jnp.asarray(noisy),
    x=jnp.asarray(rng.standard_normal((n, 1, 6, 2)), jnp.float32),
  )


@pytest.mark.parametrize('name', plugins.known('defence'))
def test_every_defence_has_finite_gradients(name):
  defence, batch = _make(name), _random()
  assert isinstance(defence, penalties.Defence)
  params = defence.init(jax.random.key(0), 4, CLASSES)

  def penalty(params, clean, noisy):
    moved = penalties.Batch(
      batch.x, clean, noisy, batch.primary, batch.sensitive, batch.classes
    )
    return defence.penalty(params, moved, 0.7)

  value, gradients = jax.jit(jax.value_and_grad(penalty, argnums=(0, 1, 2)))(
    params, batch.clean, batch.noisy
  )
  assert value.shape == ()
  assert np.isfinite(value)
  for leaf in jax.tree.leaves(gradients):
    assert np.isfinite(leaf).all()
  moves = max(float(np.abs(g).max()) for g in gradients[1:])
  assert (moves > 1e-3) == (name != 'noise_alone')
  if name == 'noise_alone':
    assert value == 0


@pytest.mark.parametrize('d', [1, 4])
def test_gaussian_bits_equal_the_ceiling(d):
  rng = np.random.default_rng(d)
  released = 2 * rng.standard_normal((50, d)) + 3
  labels = rng.integers(0, 3, 50)
  labels[0] = 4  # A class of one example; class 3 is empty.
  result = _bits_jit(released, labels, 5)
  expected = bayes_ceiling.gaussian_bits(released, labels)
  assert result == pytest.approx(expected, rel=1e-4)
  assert expected > 0.5


def test_the_gradient_of_the_bound_by_hand():
  # One class at -2 and 2, one alone: 2/3 * 1/2 log2(1 + 4) bits, whose slope
  # at p is 2/3 * p / (n (1 + 4) ln 2) with n = 2.
  batch = _batch([[-2], [2], [9]], [0, 0, 1], {'who': [0, 1, 2]})
  defence = _make('bounded')
  value, gradient = jax.jit(
    jax.value_and_grad(
      lambda clean: defence.penalty(
        {}, _batch(clean, batch.primary, batch.sensitive), 0.5
      )
    )
  )(batch.clean)
  assert value == pytest.approx(0.5 * np.log2(5) / 3, rel=1e-5)
  slope = 0.5 * 2 / 3 * 2 / (2 * 5 * np.log(2))
  np.testing.assert_allclose(gradient.ravel(), [-slope, slope, 0], atol=1e-6)


def _distance_correlation(a, b):
  """Computes the definition in a double loop."""

  def centred(x):
    x = x.reshape(len(x), -1)
    d = np.array([[np.sqrt(((u - v) ** 2).sum()) for v in x] for u in x])
    return d - d.mean(0)[None] - d.mean(1)[:, None] + d.mean()

  x, y = centred(a), centred(b)
  return np.sqrt((x * y).mean() / np.sqrt((x * x).mean() * (y * y).mean()))


def test_distance_correlation_equals_a_loop():
  rng = np.random.default_rng(1)
  a = rng.standard_normal((30, 1, 4, 2))
  b = np.abs(a[:, 0, :3, 0]) + 0.3 * rng.standard_normal((30, 3))
  expected = _distance_correlation(a, b)
  assert 0.2 < expected < 0.9
  result = _distance_jit(jnp.asarray(a), jnp.asarray(b))
  assert result == pytest.approx(expected, rel=1e-4)
  batch = _batch(b, np.zeros(30, int), {}, x=jnp.asarray(a))
  result = _penalty('distance_correlation', {}, batch, 0.5)
  assert result == pytest.approx(0.5 * expected, rel=1e-4)


def test_distance_correlation_of_equal_and_independent_vectors():
  rng = np.random.default_rng(2)
  a = rng.standard_normal((600, 3))
  rotation, _ = np.linalg.qr(rng.standard_normal((3, 3)))
  alike = _distance_jit(jnp.asarray(a), 5 * a @ rotation + 1)
  assert alike == pytest.approx(1, abs=1e-4)
  other = jnp.asarray(rng.standard_normal((600, 1)))
  assert _distance_jit(jnp.asarray(a), other) < 0.12


def test_reversal_changes_only_the_gradient():
  x = jnp.array([1.0, -2.0])
  value, gradient = jax.value_and_grad(
    lambda x: jnp.sum(gradient_reversal.reverse(x, 0.25) ** 3)
  )(x)
  assert value == 1 - 8
  np.testing.assert_allclose(gradient, -0.25 * np.array([3.0, 12.0]))


def _cross_entropy(params, noisy, sensitive):
  total = 0.0
  for name, labels in sensitive.items():
    logits = perceptron.apply(params[name], noisy)
    log = jax.nn.log_softmax(logits)
    total -= jnp.take_along_axis(
      log, jnp.broadcast_to(labels[None, :, None], (2, 12, 1)), -1
    ).mean()
  return total


@pytest.mark.parametrize('name', ['gradient_reversal', 'max_entropy'])
def test_an_adversary_minimises_its_cross_entropy(name):
  """With any weight: the edge's term gives it no gradient."""
  batch, defence = _random(), _make(name)
  params = defence.init(jax.random.key(1), 4, CLASSES)
  expected = jax.jit(jax.grad(_cross_entropy))(
    params, batch.noisy, batch.sensitive
  )
  for weight in (0.0, 5.0):
    result = jax.jit(
      jax.grad(lambda p, w=weight: defence.penalty(p, batch, w))
    )(params)
    jax.tree.map(
      functools.partial(np.testing.assert_allclose, atol=1e-6), result, expected
    )
  assert max(np.abs(a).max() for a in jax.tree.leaves(expected)) > 0.01


def _edge_gradient(name, params, batch, weight):
  def penalty(noisy):
    moved = penalties.Batch(
      batch.x, batch.clean, noisy, batch.primary, batch.sensitive, 3
    )
    return _make(name).penalty(params, moved, weight)

  return jax.jit(jax.grad(penalty))(batch.noisy)


def test_the_edge_maximises_the_loss_of_the_adversary():
  batch = _random()
  params = _make('gradient_reversal').init(jax.random.key(1), 4, CLASSES)
  up = jax.jit(jax.grad(_cross_entropy, argnums=1))(
    params, batch.noisy, batch.sensitive
  )
  result = _edge_gradient('gradient_reversal', params, batch, 0.3)
  np.testing.assert_allclose(result, -0.3 * up, atol=1e-7)
  assert np.abs(up).max() > 1e-3


def test_a_uniform_adversary_gives_the_edge_no_gradient():
  rng = np.random.default_rng(3)
  point = jnp.asarray(rng.standard_normal(4), jnp.float32)
  batch = _batch(
    np.tile(point, (3, 1)), [0, 1, 1], {'who': [0, 1, 1], 'side': [0, 0, 1]}
  )
  params = penalties.init_adversary(jax.random.key(2), 4, CLASSES)
  assert np.abs(_edge_gradient('max_entropy', params, batch, 1)).max() > 1e-3
  for layers in params.values():
    # Its logits are 0 just here, and not where the edge might move.
    layers[-1] = (layers[-1][0], -perceptron.apply(layers, point))
  flat = _edge_gradient('max_entropy', params, batch, 1)
  np.testing.assert_allclose(flat, 0, atol=1e-5)
  # What it answers is then no more than its own cross-entropy: log 3 + log 2.
  result = _penalty('max_entropy', params, batch, 7.0)
  assert result == pytest.approx(np.log(6), rel=1e-4)


def test_dpfe_by_hand():
  clean = np.array([[0, 0], [3, 4], [0, 4], [3, 0]])
  # Class 0 holds the first three: two sides of 4 and 3 and the diagonal of 5.
  who, side = [0, 0, 1, 0], [0, 1, 1, 0]
  # who: one pair of one person, (7 - 5)^2; others 4^2 and 3^2.
  # side: one pair, (7 - 3)^2; others 5^2 and 4^2.
  assert CONFIG.dpfe.margin == 7
  total = (4 + (16 + 9) / 2) + (16 + (25 + 16) / 2)
  batch = _batch(clean, [0, 0, 0, 1], {'who': who, 'side': side})
  result = _penalty('dpfe', {}, batch, 0.2)
  assert result == pytest.approx(0.5 * 0.2 * total / 2, rel=1e-5)


def test_contrastive_is_half_the_contrastive_loss():
  batch = _random()
  result = _penalty('contrastive', {}, batch, 0.4)
  expected = _contrastive(
    batch.clean, batch.primary, CONFIG.contrastive.margin, True
  )
  assert result == pytest.approx(0.2 * float(expected), rel=1e-6)
  other = _contrastive(
    batch.clean, batch.primary, CONFIG.contrastive.margin, False
  )
  assert abs(expected - other) > 1e-3
