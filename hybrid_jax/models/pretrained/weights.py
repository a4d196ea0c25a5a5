"""Loads pretrained weights into VGG-16 in place of random ones.

It reads files of VGG-16 and VGG-Face (Simonyan and Zisserman, ICLR 2015;
Parkhi, Vedaldi and Zisserman, BMVC 2015) with the names of Keras, torchvision,
timm and Caffe.

The files expect different pictures. Those of Keras and Caffe expect BGR from 0
to 255 minus the mean; those of torchvision expect RGB divided by the standard
deviation. This program's pictures are RGB. The settings `channel_order` and
`scale` describe the file's pictures, and the first kernel is converted.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections

from hybrid_jax import errors, plugins
from hybrid_jax.models.pretrained import layers, layout, names, readers

MODELS = ('vgg16',)
_BGR_SUFFIXES = ('.h5', '.keras')
_LAYER_CHOICES = ('match', 'skip', 'must')
OPTIONS = {
  'path': plugins.Option('', 'File of published weights; empty for none.'),
  'head': plugins.Option(
    'skip',
    'Whether the last layer is loaded; match: if its shape fits.',
    choices=_LAYER_CHOICES,
  ),
  'dense': plugins.Option(
    'must', 'The same for the dense layers.', choices=_LAYER_CHOICES
  ),
  'grey': plugins.Option(False, 'Sums the first kernel for grey pictures.'),
  'channel_order': plugins.Option(
    'rgb',
    "Order of the channels in the file's pictures.",
    choices=('rgb', 'bgr'),
  ),
  'scale': plugins.Option(
    1.0, "Factor from this program's pixel values to the file's.", above=0
  ),
}


@dataclasses.dataclass(frozen=True)
class Summary:
  """The result of loading a file.

  Attributes:
    path: the file.
    loaded: the layers with parameters from the file.
    fresh: the layers that keep their random parameters.
    unused: names in the file that belong to no layer.
    channel_order: that the file's pictures were taken to have.
    scale: that they were taken to have.
  """

  path: pathlib.Path
  loaded: tuple[str, ...]
  fresh: tuple[str, ...]
  unused: tuple[str, ...]
  channel_order: str = 'rgb'
  scale: float = 1.0

  def line(self) -> str:
    """Returns one line for the log."""
    line = (
      f'{self.path.name}: loaded {", ".join(self.loaded)}; fresh:'
      f' {", ".join(self.fresh) or "none"}'
    )
    if self.unused:
      line += f'; not used: {", ".join(self.unused)}'
    order = self.channel_order.upper()
    line += f'; taken to expect {order} pictures of scale {self.scale:g}'
    if self.path.suffix in _BGR_SUFFIXES and (order, self.scale) == ('RGB', 1):
      line += (
        '. Published files of Keras and Caffe expect BGR from 0 to 255: then'
        ' set model.pretrained.channel_order=bgr, and scale to 255 times the'
        ' deviation of the normalization'
      )
    return line


def check(
  config: Mapping[str, Any],
  model_name: str,
  options: Mapping[str, Any] | None = None,
) -> None:
  """Checks the settings and the start of the file, before any long work.

  Args:
    config: some of `OPTIONS`; without a `path` only the names are checked.
    model_name: the name of the network.
    options: the options of the network, if they are known.

  Raises:
    UserError: an unknown setting or value, a model without published weights, a
      model with normalization, or a file that `readers.check` rejects.
  """
  for name in config:
    errors.check_known('setting of model.pretrained', name, OPTIONS)
  settings = {**plugins.values(OPTIONS), **config}
  if not settings['path']:
    return
  errors.check_known('model with published weights', model_name, MODELS)
  if options and options.get('norm'):
    raise errors.UserError(
      f'model.options.norm is {options["norm"]}, and published weights have no'
      ' normalization; set it to False.'
    )
  for name, option in OPTIONS.items():
    option.check(f'model.pretrained.{name}', settings[name])
  readers.check(pathlib.Path(settings['path']).expanduser())


def from_config(
  config: ml_collections.ConfigDict | ml_collections.FrozenConfigDict,
  params: Mapping[str, Any],
  model_name: str,
) -> tuple[dict[str, Any], Summary | None]:
  """Calls `load` with the settings of `config.model.pretrained`.

  Args:
    config: some of `OPTIONS`; without a `path`, `params` are returned.
    params: the network's initial parameters.
    model_name: the name of the network.

  Returns:
    The parameters, and the summary of `load`, or `None` without a `path`.

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
  """Replaces the network's parameters by those of a file.

  Args:
    path: a `.h5`, `.safetensors`, `.pt`, `.pth` or `.npz` file; the module
      `pretrained.names` lists the layer names that it may have.
    params: the network's initial parameters, for the shapes and dtypes.
    model_name: one of `MODELS`.
    head: what to do with the last layer. `'skip'`: keep the initial one.
      `'must'`: load it, or raise. `'match'`: load it if it fits and no earlier
      layer kept its initial values; else keep it, without an error.
    dense: the same three choices for fc6 and fc7, which fit pictures of one
      size only.
    grey: whether to sum the first kernel over its three input channels, for
      pictures of one channel. A grey picture then gives what three equal
      channels would give.
    channel_order: the channel order of the file's pictures, `'rgb'` or `'bgr'`.
      This program's pictures are RGB.
    scale: the file's pixel values are `scale` times those of this program; the
      first kernel is multiplied by it. A mean that was subtracted from the
      file's pictures is not corrected.

  Returns:
    The new parameters, with the dtypes of the old ones; and a summary.

  Raises:
    UserError: the model or a choice is not known; the file cannot be read; a
      convolution, or a layer with `'must'`, is missing, has another shape or is
      not finite.
  """
  path = pathlib.Path(path).expanduser()
  input_format = layers.InputFormat(grey, channel_order, scale)
  settings = {'head': head, 'dense': dense, **dataclasses.asdict(input_format)}
  check({'path': str(path), **settings}, model_name)
  entries, unused = names.find(readers.read(path), path)
  order = layout.detect(entries, readers.source(path), path)
  new, fresh = dict(params), []
  for layer in names.LAYERS:
    choice = head if layer == names.HEAD else dense
    choice = 'must' if layer in names.CONVS else choice
    # After a random layer, the file's weights are of no use.
    if choice == 'skip' or (choice == 'match' and fresh):
      fresh.append(layer)
      continue
    block, problem = layers.convert(entries, layer, params, order, input_format)
    if problem and choice == 'match':
      fresh.append(layer)
    elif problem:
      raise errors.UserError(f'{path}: {problem}')
    else:
      new[layer] = block
  loaded = tuple(layer for layer in names.LAYERS if layer not in fresh)
  return new, Summary(path, loaded, tuple(fresh), unused, channel_order, scale)
