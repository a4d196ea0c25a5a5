"""A training step of four networks, beside PyTorch's eager and compiled ones.

Both sides have the same networks, which is checked: with the same weights they
give the same logits. Steps draw batches from data in memory, as training does;
ours are scanned. AdamW is fused where nothing else is said. What compiling
takes PyTorch, before anything is timed, stands apart: the first step's seconds,
fewer where its own cache has the network. The floating point operations of one
step are XLA's count.
"""

import dataclasses
import pathlib
import statistics
import tempfile
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from configs import utkface, watch
from hybrid_jax import errors, plugins, progress
from hybrid_jax.training import state, steps
from launch.benchmarks import timing

_GOAL = 0.8
_PEAK_SIDES = (1024, 2048, 4096)
_MOST_DIFFERENCE = 1e-4  # between the two sides' logits


@dataclasses.dataclass(frozen=True)
class Network:
  """A network and how it is trained.

  Attributes:
    title: what the table calls it.
    name: of the model, in `hybrid_jax.models` and `launch.pytorch.networks`.
    options: the model's fields, but for `classes`.
    example: its shape `[height, width, channels]`.
    classes: how many logits.
    batch_size: examples in a step.
    config: the settings of the training.
    examples: in memory.
    steps: timed at once.
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
    """The Flax module."""
    module = plugins.load('model', self.name)
    return module.Model(classes=self.classes, **self.options)

  def torch(self) -> dict[str, Any]:
    """The arguments of `launch.pytorch.networks.make`, but for the layout."""
    named = {k: v for k, v in self.options.items() if k != 'small'}
    named = {'name': self.name, 'options': named, 'example': self.example}
    return named | {'classes': self.classes}


_WATCH, _FACES = watch.get_config(), utkface.get_config()
WATCH = Network(
  '1-D CNN, 128 x 6',
  'cnn1d',
  _WATCH.model.options.to_dict(),
  *((1, 128, 6), 7, _WATCH.training.batch_size, _WATCH.training, 8192, 50),
)
# Those of configs/watch.py and configs/utkface.py, and two more.
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


def measure(bench: timing.Bench) -> list[timing.Row]:
  """Rows of each network; see the module."""
  rows, top = [], peak()
  for network in NETWORKS:
    progress.say(f'a training step: {network.title}')
    difference = check_same(bench, network)
    bench.torch.ask('forget')
    timers, notes = {'JAX': step_timer(network)}, {}
    flops, missing = step_flops(network), ''
    if not bench.torch.call('training.can_compile'):
      missing = 'no C++ compiler, so without torch.compile'
    for name, arguments in _variants(network, not missing):
      timers[name] = bench.torch.timer(
        'training.task', network.steps, **arguments
      )
      if arguments['compiled']:  # Apart, before anything is timed.
        once = bench.torch.timer('training.task', **arguments)()
        notes[name] = f'first step in {once:.0f} s'
    what = f'training step, {network.title}, batch {network.batch_size}'
    for row in bench.compare(what, timers, _GOAL):
      share = flops / statistics.median(row['first_seconds']) / top
      extra = {'note': notes.get(row['second'], missing)}
      extra |= {'logits_differ': difference, 'peak_flops_a_second': top}
      rows.append(row | {'flops': flops, 'peak_share': share, 'extra': extra})
  bench.torch.ask('forget')
  return rows


def _variants(
  network: Network, can_compile: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
  """PyTorch's ways to take the step: a name, and the maker's arguments."""
  training = {'batch_size': network.batch_size}
  for name in ('learning_rate', 'weight_decay'):
    training[name] = network.config[name]
  for compiled in (False, True) if can_compile else (False,):
    for layout in ('contiguous', 'channels_last'):
      # The default AdamW is never the faster one; where it costs little, shown.
      for fused in (
        (False, True) if network is WATCH and not compiled else (True,)
      ):
        how = 'torch.compile' if compiled else 'eager'
        adamw = '' if fused else ', default AdamW'
        yield (
          f'PyTorch {how}, {layout.replace("_", "-")}{adamw}',
          {
            'network': network.torch(),
            'training': training,
            'examples': network.examples,
            'layout': layout,
            'fused': fused,
            'compiled': compiled,
          },
        )


def scanned(
  network: Network, objective: str, batch_size: int, length: int
) -> tuple[Any, ...]:
  """A jitted scan of `length` steps, as in `training.loop`, and its arguments.

  Args:
    network: what is trained, on random data.
    objective: `'task'`, or `'siamese'` at the last split point of the watch's.
    batch_size: examples in a step.
    length: how many steps.
  """
  step, start, data, key = _prepared(network, objective)

  @jax.jit
  def run(start, data, key):
    def body(now, number):
      step_key = jax.random.fold_in(key, number)
      rows = jax.random.randint(step_key, (batch_size,), 0, network.examples)
      return step(now, jax.tree.map(lambda a: a[rows], data), step_key)

    end, metrics = jax.lax.scan(body, start, jnp.arange(length))
    return end, jax.tree.map(jnp.mean, metrics)

  return run, start, data, key


def step_timer(
  network: Network, objective: str = 'task', batch_size: int = 0
) -> timing.Timer:
  """Seconds a step; a larger batch has fewer steps timed at once."""
  batch_size = batch_size or network.batch_size
  length = max(1, network.steps * network.batch_size // batch_size)
  program = scanned(network, objective, batch_size, length)
  return lambda: timing.seconds(*program) / length


def step_flops(network: Network) -> float:
  """Floating point operations of one step of the task, by XLA's count."""
  step, start, data, key = _prepared(network, 'task')
  batch = {k: x[: network.batch_size] for k, x in data.items()}
  compiled = jax.jit(step).lower(start, batch, key).compile()
  return float((compiled.cost_analysis() or {})['flops'])


def _prepared(network, objective):
  model, tx = network.model(), state.optimizer(network.config)
  step = steps.make_task_step(model, tx)
  if objective == 'siamese':
    step = steps.make_siamese_step(
      model, tx, model.SPLIT_POINTS[-1], _WATCH.siamese
    )
  n, key = network.examples, jax.random.key(0)
  x = jax.random.normal(key, (n, *network.example))
  y = jax.random.randint(key, (n,), 0, network.classes)
  params = jax.jit(model.init)(key, x[:1])['params']
  return step, state.create(params, tx), {'x': x, 'primary': y}, key


def peak() -> float:
  """Floating point operations a second of the best square float32 product."""
  best = 0.0
  for side in _PEAK_SIDES:
    a = jax.random.normal(jax.random.key(0), (side, side))
    product = jax.jit(jnp.matmul)
    found = [timing.seconds(product, a, a) for _ in range(4)][1:]
    best = max(best, 2 * side**3 / min(found))
  return best


def check_same(bench: timing.Bench, network: Network) -> float:
  """How far the two sides' logits differ with the same weights.

  Raises:
    UserError: by more than rounding; then there is nothing to compare.
  """
  model = network.model()
  x = jax.random.normal(jax.random.key(1), (2, *network.example))
  params = jax.jit(model.init)(jax.random.key(0), x)['params']
  ours = np.asarray(jax.jit(model.apply)({'params': params}, x))
  weights = {f'w{i}': w for i, w in enumerate(torch_weights(model, params))}
  with tempfile.TemporaryDirectory() as folder:
    file = pathlib.Path(folder) / 'weights.npz'
    np.savez(file, x=np.asarray(x), allow_pickle=False, **weights)
    arguments = {'network': network.torch(), 'file': str(file)}
    theirs = bench.torch.call('training.logits', **arguments)
  difference = float(np.abs(ours - np.asarray(theirs)).max())
  if not difference < _MOST_DIFFERENCE:
    raise errors.UserError(
      f'{network.title}: the logits of the two sides differ by'
      f' {difference:.2g}.'
    )
  return difference


def torch_weights(model: Any, params: Any) -> list[np.ndarray]:
  """The parameters in the order and with the axes of PyTorch's layers.

  Of each layer the kernel, or a norm's scale, and then the bias; kernels
  `[out, in, height, width]` or `[out, in]`.
  """
  found: list[np.ndarray] = []

  def add(layer):
    for name in ('kernel', 'scale', 'bias'):
      if name in layer:
        a = np.asarray(layer[name])
        axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[a.ndim]
        found.append(np.ascontiguousarray(a.transpose(axes)))
    for name in sorted(layer):  # `conv1`, `conv1_norm`, `conv2`, ...
      if isinstance(layer[name], dict):
        add(layer[name])

  for block in (*model.SPLIT_POINTS, 'head'):
    if block in params:  # A pool has none.
      add(params[block])
  return found
