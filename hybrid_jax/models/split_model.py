"""Base class for networks that can be cut into an edge and a cloud half.

A model is one module in this folder with a class `Model(SplitModel)`. Its
dataclass fields are its options; one of them is `classes`.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import ml_collections
import numpy as np
from flax import linen as nn

from hybrid_jax import errors, plugins
from hybrid_jax.datasets import sources

_MAX_BLOCK_BYTES = 2**26


class SplitModel(nn.Module):
  """Base class: a sequence of blocks, with a split point after each of them.

  A subclass lists the names of its blocks in `SPLIT_POINTS`, in the order in
  which they run. Its `setup` makes one submodule for each name, and one called
  `head`. Then `cloud(edge(x, p), p)` equals `model(x)` for every split point
  `p`. A block may have no parameters. `EXAMPLE` is the shape of a typical
  example, without the batch axis.
  """

  SPLIT_POINTS: ClassVar[tuple[str, ...]] = ()
  EXAMPLE: ClassVar[tuple[int, ...]] = ()

  def edge(self, x: jax.Array, split_point: str) -> jax.Array:
    """Computes the features at `split_point` from `x [batch, ...]`."""
    for name in self.edge_blocks(split_point):
      x = getattr(self, name)(x)
    return x

  def cloud(self, features: jax.Array, split_point: str) -> jax.Array:
    """Computes logits `[batch, classes]` from the features."""
    done = len(self.edge_blocks(split_point))
    for name in self.SPLIT_POINTS[done:]:
      features = getattr(self, name)(features)
    return self.head(features)

  def __call__(self, x: jax.Array) -> jax.Array:
    """Computes logits `[batch, classes]` from `x [batch, ...]`."""
    return self.cloud(
      self.edge(x, self.SPLIT_POINTS[-1]), self.SPLIT_POINTS[-1]
    )

  @classmethod
  def edge_blocks(cls, split_point: str) -> tuple[str, ...]:
    """Returns the names of the blocks up to and including `split_point`.

    Raises:
      UserError: the model has no such split point.
    """
    errors.check_known('split point', split_point, cls.SPLIT_POINTS)
    return cls.SPLIT_POINTS[: cls.SPLIT_POINTS.index(split_point) + 1]


def split_params(
  model: SplitModel, params: Mapping[str, Any], split_point: str
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Returns the parameters of the edge half and those of the cloud half."""
  blocks = model.edge_blocks(split_point)
  edge = {name: params[name] for name in params if name in blocks}
  return edge, {name: params[name] for name in params if name not in blocks}


def make(config: ml_collections.ConfigDict, classes: int) -> SplitModel:
  """Builds the network of a config.

  Args:
    config: `config.model`, with `name` and `options`.
    classes: the number of outputs.

  Raises:
    UserError: the model, or one of its options, is unknown.
  """
  module = plugins.load('model', config.name)
  options = config.options.to_dict()
  fields = {f.name for f in dataclasses.fields(module.Model)}
  for option in options:
    errors.check_known(
      'model option', option, sorted(fields - {'classes', 'parent', 'name'})
    )
  return module.Model(classes=classes, **options)


@functools.partial(jax.jit, static_argnums=0)
def init(model: SplitModel, key: jax.Array, example: jax.Array) -> Any:
  """Returns fresh parameters of the network, in one program."""
  return model.init(key, example)['params']


@dataclasses.dataclass(frozen=True)
class Part:
  """Function `(params, x) -> out` of the network, or of a half of it.

  Equal parts are equal functions to JAX, and share their compilations.

  Attributes:
    model: the network.
    half: `'edge'` or `'cloud'`; `None` for the whole network.
    split_point: where it is cut.
  """

  model: SplitModel
  half: str | None = None
  split_point: str | None = None

  def __call__(self, params: Any, x: jax.Array) -> Any:
    variables = {'params': params}
    if self.half is None:
      return self.model.apply(variables, x)
    return self.model.apply(variables, x, self.split_point, method=self.half)


@functools.partial(jax.jit, static_argnums=0)
def call(function: Callable, *arguments: Any) -> Any:
  """Runs `function(*arguments)` as a program, which equal functions share."""
  return function(*arguments)


def in_blocks(
  apply: Callable,
  params: Any,
  x: np.ndarray | sources.Source,
  block: int = 1024,
) -> np.ndarray:
  """Computes `apply(params, x)` in blocks, all of one shape.

  Args:
    apply: `(params, [block, ...]) -> [block, ...]`.
    params: its first argument.
    x: examples `[n, ...]`. Of a `Source`, one block at a time is in memory.
    block: examples in a block; fewer if they are large.

  Returns:
    `[n, ...]`.
  """
  block = max(1, min(block, _MAX_BLOCK_BYTES // (4 * math.prod(x.shape[1:]))))
  out, done = None, 0
  for part in sources.iter_blocks(x, block):
    padding = [(0, block - len(part)), *[(0, 0)] * (part.ndim - 1)]
    result = np.asarray(apply(params, np.pad(part, padding)))
    if out is None:
      out = np.empty((len(x), *result.shape[1:]), result.dtype)
    out[done : done + len(part)] = result[: len(part)]
    done += len(part)
  if out is None:
    raise ValueError('x has no examples.')
  return out
