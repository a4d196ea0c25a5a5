"""Mixed precision training: float32, or bfloat16 inside the network.

Micikevicius et al., "Mixed precision training", ICLR 2018. The loss is not
scaled, because bfloat16 has the exponent range of float32. Parameters,
gradients, optimizer and losses stay float32. Everything that is released,
attacked or exported is computed in float32.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from hybrid_jax import errors
from hybrid_jax.models import split_model

DTYPES = ('float32', 'bfloat16')


@dataclasses.dataclass(frozen=True)
class Mixed:
  """A model whose `apply` computes in `dtype`, with float32 in and out."""

  model: split_model.SplitModel
  dtype: Any

  def apply(
    self, variables: Any, x: jax.Array, *args: Any, **kwargs: Any
  ) -> jax.Array:
    """Applies the model; gradients have the dtype of the variables."""
    variables, x = _cast((variables, x), self.dtype)
    out = self.model.apply(variables, x, *args, **kwargs)
    return jnp.asarray(out, jnp.float32)


def trainable(
  model: split_model.SplitModel, config: ml_collections.ConfigDict
) -> split_model.SplitModel | Mixed:
  """Returns the model for the training steps, in the precision of the config.

  In float32 it is the model itself.

  Args:
    model: the network.
    config: `config.model`, with its optional `dtype`.

  Raises:
    UserError: the dtype is not one of `DTYPES`.
  """
  dtype = check(config)
  if dtype == jnp.float32:
    return model
  return Mixed(model, dtype)


def check(config: ml_collections.ConfigDict) -> Any:
  """Returns the `dtype` of `config.model`, by default float32.

  Raises:
    UserError: the dtype is not one of `DTYPES`.
  """
  name = config.get('dtype', 'float32')
  errors.check_known('dtype (model.dtype)', name, DTYPES)
  return jnp.dtype(name)


def _cast(tree, dtype):
  return jax.tree.map(
    lambda a: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a,
    tree,
  )
