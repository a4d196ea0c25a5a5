"""Names of the layers of VGG-16 in Keras, torchvision, timm and Caffe files."""

import dataclasses
import pathlib
import re
from collections.abc import Mapping

import numpy as np

from hybrid_jax import errors

_DEPTHS = (2, 2, 3, 3, 3)
CONVS = tuple(
  f'conv{stage}_{i}'
  for stage, depth in enumerate(_DEPTHS, start=1)
  for i in range(1, depth + 1)
)
DENSE = ('fc6', 'fc7')
HEAD = 'head'
LAYERS = (*CONVS, *DENSE, HEAD)

# Positions of the convolutions in torchvision's `features`.
_FEATURES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
ALIASES = {
  # Caffe, VGG-Face, and this program.
  **{layer: layer for layer in LAYERS},
  'fc8': HEAD,
  # Keras applications.
  **{f'block{name[4]}_conv{name[6]}': name for name in CONVS},
  'fc1': 'fc6',
  'fc2': 'fc7',
  'predictions': HEAD,
  # torchvision, and timm, whose dense layers are also `fc1` and `fc2`.
  **{f'features.{i}': c for i, c in zip(_FEATURES, CONVS, strict=True)},
  'classifier.0': 'fc6',
  'classifier.3': 'fc7',
  'classifier.6': HEAD,
  'head.fc': HEAD,
}

_NAMED = re.compile(
  r'(?P<layer>.+)[._](?P<part>kernel|weights?|W|bias|biases|b)(_\d+)?'
)
_NUMBERED = re.compile(r'(?P<layer>.+)\.vars\.(?P<part>[01])')
_BY_CLASS = re.compile(r'(?P<kind>conv2d|dense)(_(?P<number>\d+))?')
_KERNELS = ('kernel', 'weight', 'weights', 'W', '0')


@dataclasses.dataclass(frozen=True)
class Entry:
  """An array, and its name in the file."""

  name: str
  array: np.ndarray


def find(
  arrays: Mapping[str, np.ndarray], path: pathlib.Path
) -> tuple[dict[str, dict[str, Entry]], tuple[str, ...]]:
  """Assigns a file's arrays to the layers of this program.

  A Keras 3 weight file names its layers by class and number; these are used in
  order.

  Args:
    arrays: the result of `readers.read`.
    path: the file, for messages.

  Returns:
    A dict of layers, each with `kernel` and `bias`; and the names of the arrays
    that belong to no layer.

  Raises:
    UserError: no name is known, two arrays have the name of one parameter, or
      the file has a convolution or normalization that VGG-16 does not have.
  """
  parts = {name: _part(name) for name in arrays}
  layers = {name: _layer(part[0]) for name, part in parts.items() if part}
  if not any(layers.values()):
    layers = _by_class(parts)
  by_layer: dict[str, dict[str, Entry]] = {}
  unused = []
  for name, array in arrays.items():
    part, layer = parts[name], layers.get(name)
    if part is None or layer is None:
      _check_same_network(name, array, path)
      unused.append(name)
      continue
    entries = by_layer.setdefault(layer, {})
    if part[1] in entries:
      raise errors.UserError(
        f'{path} has two arrays for the {part[1]} of {layer}:'
        f' {entries[part[1]].name!r} and {name!r}.'
      )
    entries[part[1]] = Entry(name, array)
  if not by_layer:
    first = ', '.join(repr(name) for name in list(arrays)[:8])
    raise errors.UserError(
      f'{path} has no layer of VGG-16 by any known name, such as'
      " 'block1_conv1', 'features.0' or 'conv1_1'. Its first names:"
      f' {first or "none"}.'
    )
  return by_layer, tuple(unused)


def _part(name: str) -> tuple[str, str] | None:
  """Splits `'features.0.weight'` into `('features.0', 'kernel')`."""
  plain = name.removesuffix(':0').replace('/', '.')
  match = _NUMBERED.fullmatch(plain) or _NAMED.fullmatch(plain)
  if match is None:
    return None
  is_kernel = match['part'] in _KERNELS
  return match['layer'], 'kernel' if is_kernel else 'bias'


def _layer(prefix: str) -> str | None:
  """Maps `'model.features.0'` to `'conv1_1'`."""
  tokens = prefix.split('.')
  two = ALIASES.get('.'.join(tokens[-2:]))
  return two or ALIASES.get(tokens[-1])


def _by_class(
  parts: Mapping[str, tuple[str, str] | None],
) -> dict[str, str | None]:
  numbers: dict[str, dict[str, int]] = {'conv2d': {}, 'dense': {}}
  for name, part in parts.items():
    last = part[0].split('.')[-1] if part else ''
    match = _BY_CLASS.fullmatch(last)
    if match:
      numbers[match['kind']][name] = int(match['number'] or 0)
  layers: dict[str, str | None] = {}
  for kind, own_names in (('conv2d', CONVS), ('dense', (*DENSE, HEAD))):
    order = sorted(set(numbers[kind].values()))
    for name, number in numbers[kind].items():
      rank = order.index(number)
      layers[name] = own_names[rank] if rank < len(own_names) else None
  return layers


def _check_same_network(name, array, path):
  if array.ndim == 4 or re.search('norm|running_|moving_', name):
    raise errors.UserError(
      f'{path} holds {name!r} of shape {array.shape}, which VGG-16 does not'
      ' have. The file is of another network, whose other weights are of no use'
      ' without this one.'
    )
