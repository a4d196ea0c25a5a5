"""Published weights in place of a network's first, random ones.

Files of VGG-16 and VGG-Face are read (Simonyan and Zisserman, ICLR 2015;
Parkhi, Vedaldi and Zisserman, BMVC 2015), with the names of Keras, torchvision,
timm and Caffe. They differ in what they want to see: those of Keras and Caffe
take BGR minus its mean in 0 to 255, those of torchvision RGB in units of its
deviation. `channel_order` and `scale` make up for both.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np

from hybrid_jax import errors
from hybrid_jax.models.pretrained import layers, layout, names, readers

MODELS = ('vgg16',)
DEFAULTS: dict[str, Any] = {
  'path': '',
  'head': 'skip',
  'dense': 'must',
  'grey': False,
  'channel_order': 'rgb',
  'scale': 1.0,
}
_WISHES = ('match', 'skip', 'must')


@dataclasses.dataclass(frozen=True)
class Summary:
  """Which layers were loaded from `path`, which not, and what was left there.

  Attributes:
    path: the file.
    loaded: layers whose parameters are now the file's.
    fresh: layers that keep what they had.
    unused: names in the file that answer to no layer.
  """

  path: pathlib.Path
  loaded: tuple[str, ...]
  fresh: tuple[str, ...]
  unused: tuple[str, ...]

  def line(self) -> str:
    """One line to print."""
    line = (
      f'{self.path.name}: loaded {", ".join(self.loaded)}; fresh:'
      f' {", ".join(self.fresh) or "none"}'
    )
    return line + (
      f'; not used: {", ".join(self.unused)}' if self.unused else ''
    )


def check(
  config: Mapping[str, Any],
  model_name: str,
  options: Mapping[str, Any] | None = None,
) -> None:
  """Refuses what `load` would refuse before it reads all of the file.

  Args:
    config: some of `DEFAULTS`; nothing is checked without a `path`.
    model_name: the network's.
    options: the network's, where they are known.

  Raises:
    UserError: an unknown setting or value, a model without published weights or
      with normalization, which they have not, or a file that `readers.check`
      refuses.
  """
  for name in config:
    errors.check_known('setting of model.pretrained', name, DEFAULTS)
  asked = {**DEFAULTS, **config}
  if not asked['path']:
    return
  errors.check_known('model with published weights', model_name, MODELS)
  if options and options.get('norm'):
    raise errors.UserError(
      f'model.options.norm is {options["norm"]}, and published weights have no'
      ' normalization; set it to False.'
    )
  errors.check_known('model.pretrained.head', asked['head'], _WISHES)
  errors.check_known('model.pretrained.dense', asked['dense'], _WISHES)
  errors.check_known(
    'model.pretrained.channel_order', asked['channel_order'], ('rgb', 'bgr')
  )
  scale = asked['scale']
  if not (isinstance(scale, int | float) and 0 < scale < np.inf):
    raise errors.UserError(
      f'model.pretrained.scale is {scale!r}; it must be a positive number.'
    )
  if not isinstance(asked['grey'], bool):
    raise errors.UserError(
      f'model.pretrained.grey is {asked["grey"]!r}; it must be True or False.'
    )
  readers.check(pathlib.Path(asked['path']).expanduser())


def from_config(
  config: ml_collections.ConfigDict | ml_collections.FrozenConfigDict,
  params: Mapping[str, Any],
  model_name: str,
) -> tuple[dict[str, Any], Summary | None]:
  """`load`, with the settings of `config.model.pretrained`.

  Args:
    config: some of `DEFAULTS`; without a `path`, `params` are returned.
    params: the network's, as first made.
    model_name: the network's.

  Raises:
    UserError: see `check` and `load`.
  """
  settings = dict(config.items())
  check(settings, model_name)
  path = settings.pop('path', '')
  if not path:
    return dict(params), None
  return load(pathlib.Path(path), params, model_name, **settings)


def load(
  path: pathlib.Path,
  params: Mapping[str, Any],
  model_name: str,
  *,
  head: str = 'skip',
  dense: str = 'must',
  grey: bool = False,
  channel_order: str = 'rgb',
  scale: float = 1.0,
) -> tuple[dict[str, Any], Summary]:
  """The parameters, with those layers replaced that a file has.

  Args:
    path: `.h5`, `.safetensors`, `.pt`, `.pth` or `.npz`; see `names` for what
      its layers may be called.
    params: the network's, as first made; they say which shapes are needed.
    model_name: one of `MODELS`.
    head: whether the file's last layer is taken: `'skip'`, `'must'`, or
      `'match'`, where its shape fits and all layers before it were taken.
    dense: the same of fc6 and fc7, which fit one size of picture only.
    grey: whether a first convolution of three channels is summed over them, for
      pictures of one, which is what it makes of three equal ones.
    channel_order: of the pictures that the file's network takes, `'rgb'` or
      `'bgr'`; this program's are RGB.
    scale: how many of the file's units are one of this program's, for each
      channel alike; the first kernel is multiplied by it.

  Returns:
    The new parameters, of the old ones' types; and what was loaded.

  Raises:
    UserError: a layer is missing, has another shape or is not finite, or the
      file cannot be read. It names the layer, and what the file has.
  """
  path = pathlib.Path(path).expanduser()
  first = layers.First(grey, channel_order, scale)
  asked = {'head': head, 'dense': dense, **dataclasses.asdict(first)}
  check({'path': str(path), **asked}, model_name)
  found, unused = names.find(readers.read(path), path)
  order = layout.detect(found, readers.source(path), path)
  new, fresh = dict(params), []
  for layer in names.LAYERS:
    wish = head if layer == names.HEAD else dense
    wish = 'must' if layer in names.CONVS else wish
    # A layer that would run from random features is worth nothing.
    if wish == 'skip' or (wish == 'match' and fresh):
      fresh.append(layer)
      continue
    block, problem = layers.take(found, layer, params, order, first)
    if problem and wish == 'match':
      fresh.append(layer)
    elif problem:
      raise errors.UserError(f'{path}: {problem}')
    else:
      new[layer] = block
  loaded = tuple(layer for layer in names.LAYERS if layer not in fresh)
  return new, Summary(path, loaded, tuple(fresh), unused)
