"""What every model shares: blocks in order, each of them a split point.

A model is one file beside this one with a class `Model(SplitModel)`, whose
settings are its fields, and `classes` among them.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import ml_collections
import numpy as np
from flax import linen as nn

from hybrid_jax import errors, plugins
from hybrid_jax.datasets import sources

_LARGEST = 2**26  # bytes of a block


class SplitModel(nn.Module):
  """A network cut into an edge and a cloud half after any of its blocks.

  A subclass names its blocks in `SPLIT_POINTS`, in the order in which they
  run, and makes in `setup` one submodule of each name and one called `head`.
  Then `cloud(edge(x, p), p)` is `model(x)` for every split point `p`. A block
  may have no parameters. `EXAMPLE` is the shape of a typical example, without
  its batch.
  """

  SPLIT_POINTS: ClassVar[tuple[str, ...]] = ()
  EXAMPLE: ClassVar[tuple[int, ...]] = ()

  def edge(self, x: jax.Array, split_point: str) -> jax.Array:
    """The device's half: `x [batch, ...]` to the features at `split_point`."""
    for name in self.edge_blocks(split_point):
      x = getattr(self, name)(x)
    return x

  def cloud(self, features: jax.Array, split_point: str) -> jax.Array:
    """The cloud's half: features to primary logits `[batch, classes]`."""
    done = len(self.edge_blocks(split_point))
    for name in self.SPLIT_POINTS[done:]:
      features = getattr(self, name)(features)
    return self.head(features)

  def __call__(self, x: jax.Array) -> jax.Array:
    """The whole network: `x [batch, ...]` to logits `[batch, classes]`."""
    return self.cloud(
      self.edge(x, self.SPLIT_POINTS[-1]), self.SPLIT_POINTS[-1]
    )

  @classmethod
  def edge_blocks(cls, split_point: str) -> tuple[str, ...]:
    """The names of the blocks up to `split_point`, itself included.

    Raises:
      UserError: the model has no such split point; it lists the known ones.
    """
    errors.check_known('split point', split_point, cls.SPLIT_POINTS)
    return cls.SPLIT_POINTS[: cls.SPLIT_POINTS.index(split_point) + 1]


def split_params(
  model: SplitModel, params: Mapping[str, Any], split_point: str
) -> tuple[dict[str, Any], dict[str, Any]]:
  """The parameters that `edge` touches, and those that `cloud` does."""
  blocks = model.edge_blocks(split_point)
  edge = {name: params[name] for name in params if name in blocks}
  return edge, {name: params[name] for name in params if name not in blocks}


def make(config: ml_collections.ConfigDict, classes: int) -> SplitModel:
  """The network of `config.model`, with `classes` outputs.

  Raises:
    UserError: the model, or one of its options, is not known.
  """
  module = plugins.load('model', config.name)
  options = config.options.to_dict()
  fields = {f.name for f in dataclasses.fields(module.Model)}
  for option in options:
    errors.check_known(
      'model option', option, sorted(fields - {'classes', 'parent', 'name'})
    )
  return module.Model(classes=classes, **options)


def in_blocks(
  apply: Callable,
  params: Any,
  x: np.ndarray | sources.Source,
  block: int = 1024,
) -> np.ndarray:
  """`apply(params, x)` over `x [n, ...]` in blocks of one shape.

  Of a `Source` a block is in memory at a time. It has `block` examples, or less
  if these are large.
  """
  block = max(1, min(block, _LARGEST // (4 * math.prod(x.shape[1:]))))
  out, done = None, 0
  for part in sources.blocks(x, block):
    missing = [(0, block - len(part)), *[(0, 0)] * (part.ndim - 1)]
    found = np.asarray(apply(params, np.pad(part, missing)))
    if out is None:
      out = np.empty((len(x), *found.shape[1:]), found.dtype)
    out[done : done + len(part)] = found[: len(part)]
    done += len(part)
  if out is None:
    raise ValueError('there is no example.')
  return out
