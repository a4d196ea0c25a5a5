"""Base class for defences: penalties on the released vector during training.

A defence is one module in this folder with `make(config) -> Defence`. All
defences are trained in the same way: the edge ends with a bottleneck, noise of
unit variance is added to its outputs, and the cloud's cross-entropy on them is
added to the weighted penalty.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from hybrid_jax import plugins
from hybrid_jax.models import perceptron

_WIDTHS = (64, 64)

# Settings that several defences have.
MARGIN = plugins.Option(
  7.0,
  'Distance up to which a pair is pushed apart, in units of the noise.',
  above=0,
)
ADVERSARY_FACTOR = plugins.Option(
  3.0,
  "Learning rate of the defence's adversary, in multiples of the network's.",
  above=0,
)


def weight_option(default: float) -> plugins.Option:
  """Returns the setting `weight` of a defence, with its default."""
  return plugins.Option(
    default,
    'Cross-entropy that one gives up for a unit of the penalty.',
    unit='nats',
    low=0,
    per_split_point=True,
  )


@dataclasses.dataclass(frozen=True)
class Batch:
  """Inputs of a penalty.

  Attributes:
    x: `[b, ...]`, the inputs of the network.
    clean: `[b, d]`, the released vectors without noise, in units of the noise.
    noisy: `[draws, b, d]`, the released vectors with fresh noise.
    primary: `[b]`, the primary labels.
    sensitive: maps each sensitive label's name to `[b]`.
    classes: the number of classes of the primary label.
  """

  x: jax.Array
  clean: jax.Array
  noisy: jax.Array
  primary: jax.Array
  sensitive: Mapping[str, jax.Array]
  classes: int


def _no_params(key, dim, classes):
  del key, dim, classes
  return {}


@dataclasses.dataclass(frozen=True)
class Defence:
  """A penalty, and its own trained parameters.

  Attributes:
    penalty: `(params, batch, weight) -> scalar`, already multiplied by
      `weight`; it is added to the cross-entropy.
    init: `(key, dim, classes) -> params`, where `dim` is the size of the
      released vector and `classes` maps each sensitive label to its number of
      classes.
  """

  penalty: Callable[[Any, Batch, float], jax.Array]
  init: Callable[[jax.Array, int, Mapping[str, int]], Any] = _no_params


def init_adversary(
  key: jax.Array, dim: int, classes: Mapping[str, int]
) -> dict[str, perceptron.Params]:
  """A multilayer perceptron for each sensitive label, on `[..., dim]`."""
  out = {}
  for i, (name, count) in enumerate(sorted(classes.items())):
    out[name] = perceptron.init(
      jax.random.fold_in(key, i), (dim, *_WIDTHS, count)
    )
  return out


def adversary_loss(
  params: Any, released: jax.Array, sensitive: Mapping[str, jax.Array]
) -> jax.Array:
  """Computes the adversaries' cross-entropy, summed over the labels.

  Args:
    params: see `init_adversary`.
    released: `[draws, b, d]`.
    sensitive: maps each label's name to `[b]`.
  """
  total = jnp.zeros(())
  for name, labels in sensitive.items():
    logits = perceptron.apply(params[name], released)
    total += optax.softmax_cross_entropy_with_integer_labels(
      logits, jnp.broadcast_to(labels, logits.shape[:-1])
    ).mean()
  return total
