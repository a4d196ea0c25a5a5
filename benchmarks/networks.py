"""The networks that are timed, and the check that PyTorch has the same."""

import dataclasses
import math
import pathlib
import tempfile
from typing import Any

import jax
import numpy as np

from benchmarks import timing
from configs import utkface, watch
from hybrid_jax import errors, plugins

_MAX_DIFFERENCE = 1e-4  # between the two sides' logits


@dataclasses.dataclass(frozen=True)
class Network:
  """Network with the settings of its training.

  Attributes:
    title: its title in the table.
    name: the name of the model, in `hybrid_jax.models` and in
      `benchmarks.pytorch.networks`.
    options: the model's fields, without `classes`.
    example: the shape of an example, `[height, width, channels]`.
    classes: the number of logits.
    batch_size: the number of examples of a step.
    config: the settings of the training.
    examples: the number of examples in memory.
    steps: the number of steps that are timed at once.
  """

  title: str
  name: str
  options: dict[str, Any]
  example: tuple[int, int, int]
  classes: int
  batch_size: int
  config: Any
  examples: int
  steps: int

  def model(self) -> Any:
    """Returns the Flax module."""
    module = plugins.load('model', self.name)
    return module.Model(classes=self.classes, **self.options)

  def torch(self) -> dict[str, Any]:
    """Returns arguments of `pytorch.networks.make`, without the layout."""
    return {
      'name': self.name,
      'options': {k: v for k, v in self.options.items() if k != 'small'},
      'example': self.example,
      'classes': self.classes,
    }


_WATCH, _FACES = watch.get_config(), utkface.get_config()
SIAMESE = _WATCH.siamese  # the settings of its fine-tuning
WATCH = Network(
  '1-D CNN, 128 x 6',
  'cnn1d',
  _WATCH.model.options.to_dict(),
  *((1, 128, 6), 7, _WATCH.training.batch_size, _WATCH.training, 8192, 50),
)
# The networks of configs/watch.py and configs/utkface.py, and two more.
NETWORKS = (
  WATCH,
  Network(
    'VGG-16, 48 x 48 grey, a quarter as wide',
    'vgg16',
    _FACES.model.options.to_dict(),
    *((48, 48, 1), 2, _FACES.training.batch_size, _FACES.training, 1024, 4),
  ),
  Network(
    'VGG-16, 224 x 224 RGB, a quarter as wide',
    'vgg16',
    {'width': 0.25, 'dense': 1024},
    *((224, 224, 3), 2, 8, _FACES.training, 64, 2),
  ),
  Network(
    'ResNet-18, 32 x 32 RGB, half as wide',
    'resnet',
    {'depths': (2, 2, 2, 2), 'width': 32, 'small': True},
    *((32, 32, 3), 10, 64, _FACES.training, 1024, 3),
  ),
)


def check_same(bench: timing.Bench, network: Network) -> float:
  """Returns the largest difference of the two sides' logits.

  Both sides have the same weights.

  Raises:
    UserError: the difference is larger than rounding errors, so that the two
      sides cannot be compared.
  """
  model = network.model()
  x = jax.random.normal(jax.random.key(1), (2, *network.example))
  params = _random(jax.eval_shape(model.init, jax.random.key(0), x)['params'])
  with jax.default_matmul_precision('highest'):  # Of a GPU, not TF32.
    ours = np.asarray(jax.jit(model.apply)({'params': params}, x))
  weights = {f'w{i}': w for i, w in enumerate(torch_weights(model, params))}
  with tempfile.TemporaryDirectory() as folder:
    file = pathlib.Path(folder) / 'weights.npz'
    np.savez(file, x=np.asarray(x), allow_pickle=False, **weights)
    arguments = {'network': network.torch(), 'file': str(file)}
    theirs = bench.torch.call('training.logits', **arguments)
  difference = float(np.abs(ours - np.asarray(theirs)).max())
  if not difference < _MAX_DIFFERENCE:
    raise errors.UserError(
      f'{network.title}: the logits of the two sides differ by'
      f' {difference:.2g}.'
    )
  return difference


def torch_weights(model: Any, params: Any) -> list[np.ndarray]:
  """Returns the parameters in the order and with the axes of PyTorch.

  Each layer has its kernel, or the scale of a norm, and then its bias. Kernels
  are `[out, in, height, width]` or `[out, in]`.
  """
  weights: list[np.ndarray] = []

  def add(layer):
    for name in ('kernel', 'scale', 'bias'):
      if name in layer:
        a = np.asarray(layer[name])
        axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[a.ndim]
        weights.append(np.ascontiguousarray(a.transpose(axes)))
    for name in sorted(layer):  # `conv1`, `conv1_norm`, `conv2`, ...
      if isinstance(layer[name], dict):
        add(layer[name])

  for block in (*model.SPLIT_POINTS, 'head'):
    if block in params:  # A pool has no parameters.
      add(params[block])
  return weights


def _random(shapes):
  """Draws random weights, also those that usually start as 0 or 1."""
  rng = np.random.default_rng(0)

  def draw(path, a):
    drawn = rng.standard_normal(a.shape).astype(np.float32)
    if path[-1].key == 'kernel':
      return drawn * np.sqrt(2 / math.prod(a.shape[:-1]), dtype=np.float32)
    return 0.1 * drawn + (path[-1].key == 'scale')

  return jax.tree_util.tree_map_with_path(draw, shapes)
