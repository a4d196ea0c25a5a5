"""In what precision a network is trained: float32, or bfloat16 within it.

Micikevicius et al., "Mixed precision training", ICLR 2018, without a scale of
the loss: bfloat16 has the exponents of float32. Parameters, their gradients and
the optimizer stay float32, and so does all that comes out: losses, distances,
and what is released, attacked and exported are never computed in less.
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
  """A model whose `apply` computes in `dtype`, between float32 and float32."""

  model: split_model.SplitModel
  dtype: Any

  def apply(
    self, variables: Any, x: jax.Array, *args: Any, **kwargs: Any
  ) -> jax.Array:
    """As the model's own; gradients come back in the variables' dtype."""
    variables, x = _cast((variables, x), self.dtype)
    out = self.model.apply(variables, x, *args, **kwargs)
    return jnp.asarray(out, jnp.float32)


def trainable(
  model: split_model.SplitModel, config: ml_collections.ConfigDict
) -> split_model.SplitModel | Mixed:
  """The model as steps take it, by `dtype` of `config.model`.

  In float32 it is the model itself.

  Raises:
    UserError: the dtype is not one of `DTYPES`.
  """
  dtype = check(config)
  if dtype == jnp.float32:
    return model
  return Mixed(model, dtype)


def check(config: ml_collections.ConfigDict) -> Any:
  """The `dtype` of `config.model`, float32 where it names none.

  Raises:
    UserError: it is not one of `DTYPES`.
  """
  name = config.get('dtype', 'float32')
  errors.check_known('dtype (model.dtype)', name, DTYPES)
  return jnp.dtype(name)


def _cast(tree, dtype):
  return jax.tree.map(
    lambda a: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a,
    tree,
  )
