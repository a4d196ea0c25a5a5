import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybrid_jax.defences import losses

_contrastive = jax.jit(losses.contrastive, static_argnums=3)
_gradient = jax.jit(jax.value_and_grad(losses.contrastive), static_argnums=3)

# The corners of a 3 x 4 rectangle: its sides and its diagonals are 3, 4 and 5.
CORNERS = np.array([[0, 0], [3, 4], [0, 4], [3, 0]], np.float32)

# Number of corners, labels, margin, then by hand over unordered pairs:
# the sums over the same and over the different pairs, and their counts.
BY_HAND = [
  # same: 5^2; different: (5 - 4)^2 + (5 - 3)^2
  ((0, 0, 1), 5.0, 25.0, 5.0, 1, 2),
  # same: both diagonals; different: (3.5 - 3)^2 twice, and 4 > 3.5 twice
  ((0, 0, 1, 1), 3.5, 50.0, 0.5, 2, 4),
  # no different pair: 3^2 + 4^2 + 5^2
  ((2, 2, 2), 1.0, 50.0, 0.0, 3, 0),
  # no same pair: (6 - 5)^2 + (6 - 4)^2 + (6 - 3)^2
  ((0, 1, 2), 6.0, 0.0, 14.0, 0, 3),
]


@pytest.mark.parametrize('case', BY_HAND)
def test_contrastive_by_hand(case):
  labels, margin, same, different, same_count, different_count = case
  features, labels = CORNERS[: len(labels)], jnp.array(labels)
  plain = _contrastive(features, labels, margin, False)
  expected = (same + different) / (same_count + different_count)
  np.testing.assert_allclose(plain, expected, rtol=1e-6)
  balanced = _contrastive(features, labels, margin, True)
  expected = 0.5 * (
    same / max(same_count, 1) + different / max(different_count, 1)
  )
  np.testing.assert_allclose(balanced, expected, rtol=1e-6)


def test_contrastive_numbers():
  # The first two of those above, worked out to the end.
  three, four = jnp.array([0, 0, 1]), jnp.array([0, 0, 1, 1])
  for features, labels, margin, balance, expected in (
    (CORNERS[:3], three, 5.0, False, 10.0),
    (CORNERS[:3], three, 5.0, True, 13.75),
    (CORNERS, four, 3.5, False, 50.5 / 6),
    (CORNERS, four, 3.5, True, 12.5625),
  ):
    value = _contrastive(features, labels, margin, balance)
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def _double_loop(features, labels, margin, balance):
  flat = features.reshape(len(features), -1).astype(np.float64)
  same, different = [], []
  for i in range(len(flat)):
    for j in range(len(flat)):
      distance = np.sqrt(np.sum((flat[i] - flat[j]) ** 2))
      if i != j and labels[i] == labels[j]:
        same.append(distance**2)
      elif i != j:
        different.append(max(0.0, margin - distance) ** 2)
  if balance:
    return 0.5 * (np.mean(same) + np.mean(different))
  return np.mean(same + different)


@pytest.mark.parametrize('balance', [False, True])
@pytest.mark.parametrize('shape', [(17, 5), (12, 1, 3, 4)])
def test_contrastive_equals_a_double_loop(shape, balance):
  rng = np.random.default_rng(0)
  features = rng.standard_normal(shape).astype(np.float32)
  labels = rng.integers(0, 3, shape[0])
  margin = 4.0
  value = _contrastive(features, jnp.array(labels), margin, balance)
  expected = _double_loop(features, labels, margin, balance)
  np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_contrastive_gradient_by_hand():
  points = jnp.array([[0.0], [2.0]])
  # (5 - d)^2 at d = 2, and d = x1 - x0: 6 for x0, so that descent parts them.
  _, apart = _gradient(points, jnp.array([0, 1]), 5.0, False)
  np.testing.assert_allclose(apart.ravel(), [6, -6], rtol=1e-6)
  # d^2: -2 d for x0, so that descent brings them together.
  _, together = _gradient(points, jnp.array([1, 1]), 5.0, False)
  np.testing.assert_allclose(together.ravel(), [-4, 4], rtol=1e-6)


@pytest.mark.parametrize('balance', [False, True])
@pytest.mark.parametrize('labels', [(0, 0, 1), (0, 1, 1)])
def test_gradient_is_finite_where_two_rows_coincide(labels, balance):
  features = jnp.array([[1.0, 2], [1.0, 2], [3.0, 5]])
  value, gradient = _gradient(features, jnp.array(labels), 5.0, balance)
  assert np.isfinite(value)
  assert np.isfinite(gradient).all()
  # The third still has a pull or a push from the others.
  assert np.abs(gradient[2]).max() > 0.1


def _largest(jaxpr):
  """The size of the largest array in a jaxpr and those inside it."""
  sizes = [v.aval.size for v in jaxpr.invars + jaxpr.constvars]
  for equation in jaxpr.eqns:
    sizes += [v.aval.size for v in equation.outvars]
    for inner in jax.tree.leaves(
      list(equation.params.values()),
      is_leaf=lambda p: hasattr(p, 'eqns') or hasattr(p, 'jaxpr'),
    ):
      inner = getattr(inner, 'jaxpr', inner)
      if hasattr(inner, 'eqns'):
        sizes.append(_largest(inner))
  return max(sizes)


def test_no_array_over_pairs_and_features():
  batch, dim = 64, 32
  features = jnp.zeros((batch, dim))
  labels = jnp.zeros(batch, jnp.int32)

  def loss(features):
    return losses.contrastive(features, labels, 1.0, True)

  def wasteful(features):
    return jax.jit(lambda a: jnp.sum((a[:, None] - a[None]) ** 2))(features)

  assert _largest(jax.make_jaxpr(wasteful)(features).jaxpr) >= (
    batch * batch * dim
  )
  for f in (loss, jax.grad(loss)):
    largest = _largest(jax.make_jaxpr(f)(features).jaxpr)
    assert largest == batch * batch


def test_cross_entropy_by_hand():
  logits = jnp.log(jnp.array([[1.0, 1.0], [3.0, 1.0], [1.0, 4.0]]))
  # Shares 1/2, 3/4 and 1/5 for the labels.
  value = losses.cross_entropy(logits, jnp.array([0, 0, 0]))
  expected = -(np.log(0.5) + np.log(0.75) + np.log(0.2)) / 3
  np.testing.assert_allclose(value, expected, rtol=1e-6)
