"""One layer's parameters, from what a file has for it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from hybrid_jax import errors
from hybrid_jax.models.pretrained import layout, names


@dataclasses.dataclass(frozen=True)
class First:
  """How the first kernel is fitted to this program's pictures; see `base`."""

  grey: bool
  channel_order: str
  scale: float


def take(
  found: Mapping[str, Mapping[str, names.Entry]],
  layer: str,
  params: Mapping[str, Any],
  order: str,
  first: First,
) -> tuple[dict[str, Any], str]:
  """A layer's new parameters, and what is wrong with them.

  Args:
    found: see `names.find`.
    layer: one of `names.LAYERS`.
    params: the network's; they say which shapes and types are needed.
    order: the file's; see `layout`.
    first: for the first convolution.

  Returns:
    The block, as `params` has it, and an empty string; or an empty block, and
    a sentence that names the layer and says why it does not fit.

  Raises:
    UserError: the block has other parameters than a file can fill.
  """
  inner, old = _inner(params, layer)
  # What fc6 flattens has the depth of the last convolution.
  channels = _inner(params, names.CONVS[-1])[1]['bias'].shape[0]
  new = {}
  for part in ('kernel', 'bias'):
    entry = found.get(layer, {}).get(part)
    if entry is None:
      there = [name for name in names.LAYERS if part in found.get(name, {})]
      return {}, (
        f'the {part} of {layer} is missing. There are those of'
        f' {", ".join(there) or "no layer"}.'
      )
    array = entry.array
    if not jnp.issubdtype(array.dtype, jnp.floating):
      return {}, f'{entry.name!r} is {array.dtype}, not floating point.'
    if part == 'kernel':
      array = layout.kernel(entry, layer, order, channels)
      if layer == names.CONVS[0] and array.ndim == 4:
        array = _fit_first(array, old[part].shape, first)
    shape, needed = tuple(array.shape), tuple(old[part].shape)
    if shape != needed:
      return {}, _misfit(entry, layer, part, shape, needed)
    array = np.asarray(array, np.float32)
    if not np.isfinite(array).all():
      return {}, f'{entry.name!r} ({layer}) holds NaN or infinity.'
    new[part] = jnp.asarray(array, old[part].dtype)
  return ({inner: new} if inner else new), ''


def _inner(params, layer):
  """The name of a block's one submodule, if any; its kernel and bias."""
  block = params[layer]
  if layer == names.HEAD:
    return '', block
  if len(block) != 1:
    raise errors.UserError(
      f'{layer} has {" and ".join(block)}; published weights have no'
      ' normalization, so set model.options.norm to False.'
    )
  return next(iter(block.items()))


def _fit_first(array, needed, first):
  """The first kernel `[h, w, in, out]` for other channels and units."""
  if first.channel_order == 'bgr':
    array = array[:, :, ::-1]
  array = np.asarray(array, np.float32)
  if first.grey and array.shape[2] == 3 and needed[2] == 1:
    array = array.sum(axis=2, keepdims=True)
  return array * np.float32(first.scale)


def _misfit(entry, layer, part, shape, needed):
  hint = ''
  if layer == names.CONVS[0] and shape[2:3] == (3,) and needed[2:3] == (1,):
    hint = ' For pictures of one channel, set model.pretrained.grey to True.'
  if layer in names.DENSE:
    hint = (
      ' The dense layers fit pictures of one size; to train them afresh, set'
      " model.pretrained.dense to 'skip'."
    )
  if layer == names.HEAD:
    hint = " To train the head afresh, set model.pretrained.head to 'skip'."
  return (
    f'the {part} of {layer}, {entry.name!r}, has shape {shape}, in the order of'
    f' axes used here; {needed} is needed.{hint}'
  )
