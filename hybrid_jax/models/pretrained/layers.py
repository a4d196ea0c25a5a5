"""Converts a layer of a weight file to parameters of the network."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from hybrid_jax import errors
from hybrid_jax.models.pretrained import layout, names


@dataclasses.dataclass(frozen=True)
class InputFormat:
  """The pictures that the file's network expects; see `weights.load`."""

  grey: bool
  channel_order: str
  scale: float


def convert(
  entries: Mapping[str, Mapping[str, names.Entry]],
  layer: str,
  params: Mapping[str, Any],
  order: str,
  input_format: InputFormat,
) -> tuple[dict[str, Any], str]:
  """Converts one layer of the file.

  Args:
    entries: the arrays of the file by layer; see `names.find`.
    layer: one of `names.LAYERS`.
    params: the network's parameters, for the shapes and dtypes.
    order: the file's order of axes; see `layout.detect`.
    input_format: the pictures of the file's network, for the first convolution.

  Returns:
    The parameters of the block, and an empty string. If the layer does not fit,
    no parameters, and a sentence that says why.

  Raises:
    UserError: the block has parameters that a file does not have.
  """
  inner, old = _inner(params, layer)
  # The input of fc6 has the channels of the last convolution.
  channels = _inner(params, names.CONVS[-1])[1]['bias'].shape[0]
  new = {}
  for part in ('kernel', 'bias'):
    entry = entries.get(layer, {}).get(part)
    if entry is None:
      present = [n for n in names.LAYERS if part in entries.get(n, {})]
      return {}, (
        f'the {part} of {layer} is missing. The file has the {part} of'
        f' {", ".join(present) or "no layer"}.'
      )
    array = entry.array
    if not jnp.issubdtype(array.dtype, jnp.floating):
      return {}, f'{entry.name!r} is {array.dtype}, not floating point.'
    if part == 'kernel':
      array = layout.kernel(entry, layer, order, channels)
      if layer == names.CONVS[0] and array.ndim == 4:
        array = _convert_first(array, old[part].shape, input_format)
    shape, expected = tuple(array.shape), tuple(old[part].shape)
    if shape != expected:
      return {}, _shape_message(entry, layer, part, shape, expected)
    array = np.asarray(array, np.float32)
    if not np.isfinite(array).all():
      return {}, f'{entry.name!r} ({layer}) contains NaN or infinity.'
    new[part] = jnp.asarray(array, old[part].dtype)
  return ({inner: new} if inner else new), ''


def _inner(params, layer):
  """Returns the name of a block's only submodule, and its parameters."""
  block = params[layer]
  if layer == names.HEAD:
    return '', block
  if len(block) != 1:
    raise errors.UserError(
      f'{layer} has {" and ".join(block)}; published weights have no'
      ' normalization, so set model.options.norm to False.'
    )
  return next(iter(block.items()))


def _convert_first(array, expected, input_format):
  """Converts the first kernel `[h, w, in, out]` to this program's pictures."""
  if input_format.channel_order == 'bgr':
    array = array[:, :, ::-1]
  array = np.asarray(array, np.float32)
  if input_format.grey and array.shape[2] == 3 and expected[2] == 1:
    array = array.sum(axis=2, keepdims=True)
  return array * np.float32(input_format.scale)


def _shape_message(entry, layer, part, shape, expected):
  hint = ''
  if layer == names.CONVS[0] and shape[2:3] == (3,) and expected[2:3] == (1,):
    hint = ' For pictures of one channel, set model.pretrained.grey to True.'
  if layer in names.DENSE:
    hint = (
      ' The dense layers fit pictures of one size; to start from random ones,'
      " set model.pretrained.dense to 'skip'."
    )
  if layer == names.HEAD:
    hint = " For a random head, set model.pretrained.head to 'skip'."
  return (
    f'the {part} of {layer}, {entry.name!r}, has shape {shape} in the order of'
    f' axes of this program; it must be {expected}.{hint}'
  )
