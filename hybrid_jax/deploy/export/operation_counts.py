"""Counts the parameters and multiply-adds of a function."""

import math
from collections.abc import Callable
from typing import Any

import jax


def parameters(params: Any) -> int:
  """Returns how many numbers the arrays in `params` hold."""
  return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def multiply_adds(function: Callable, *args: Any) -> int:
  """Counts the multiply-adds of one call.

  Only matrix products and convolutions of the traced program count;
  element-wise operations do not.
  """
  return _count(jax.make_jaxpr(function)(*args).jaxpr)


def _count(jaxpr):
  total = 0
  for eqn in jaxpr.eqns:
    if eqn.primitive.name == 'dot_general':
      (contracted, _), _ = eqn.params['dimension_numbers']
      shape = eqn.invars[0].aval.shape
      total += math.prod(eqn.outvars[0].aval.shape) * math.prod(
        shape[axis] for axis in contracted
      )
    elif eqn.primitive.name == 'conv_general_dilated':
      numbers = eqn.params['dimension_numbers']
      kernel = eqn.invars[1].aval.shape
      # Each output takes one product for each weight of its filter.
      per_output = math.prod(kernel) // kernel[numbers.rhs_spec[0]]
      total += math.prod(eqn.outvars[0].aval.shape) * per_output
    elif 'branches' in eqn.params:  # Only one of the branches runs.
      total += max(_count(b.jaxpr) for b in eqn.params['branches'])
    else:
      for value in eqn.params.values():
        inner = getattr(value, 'jaxpr', value)
        if hasattr(inner, 'eqns'):
          total += _count(inner)
  return total
