"""A training step of four networks, compared with PyTorch, eager and compiled.

A check shows that both sides have the same networks: with the same weights they
give the same logits. As in training, steps draw their batches from data in
memory; in JAX a scan takes the steps. AdamW is fused unless the name of the
side says otherwise. The time of PyTorch's compiler is reported apart, as the
seconds of the first step; it is shorter if PyTorch's cache has the network. XLA
counts the floating point operations of a step.
"""

import itertools
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from benchmarks import networks, timing
from hybrid_jax import progress
from hybrid_jax.training import precision, steps, train_state

_GOAL = 0.8
_PEAK_SIDES = (1024, 2048, 4096)


def measure(bench: timing.Bench) -> list[timing.Row]:
  """Returns the rows of each network."""
  rows: list[timing.Row] = []
  dtypes = ('float32',) if bench.platform == 'cpu' else precision.DTYPES
  peaks = {dtype: peak(dtype) for dtype in dtypes}
  for network, dtype in itertools.product(networks.NETWORKS, dtypes):
    progress.say(f'a training step: {network.title}, {dtype}')
    rows += _measure_network(bench, network, dtype, peaks[dtype])
  bench.torch.ask('forget')
  return rows


def _measure_network(bench, network, dtype, peak_rate):
  """Returns the rows of one network in one precision."""
  difference = networks.check_same(bench, network)
  bench.torch.ask('forget')
  timers, notes = {'JAX': step_timer(network, dtype=dtype)}, {}
  flops, missing = step_flops(network), ''
  if not bench.torch.call('training.can_compile'):
    missing = 'no C++ compiler, so without torch.compile'
  for name, arguments in _variants(bench, network, dtype, not missing):
    timers[name] = bench.torch.timer(
      'training.task', network.steps, **arguments
    )
    if arguments['compiled']:  # Compiles before the rounds are timed.
      once = bench.torch.timer('training.task', **arguments)()
      notes[name] = f'first step in {once:.0f} s'
  what = f'training step, {network.title}, batch {network.batch_size}'
  if bench.platform != 'cpu':
    what += f', {dtype}'
  rows = []
  for row in bench.compare(what, timers, _GOAL):
    share = flops / statistics.median(row['first_seconds']) / peak_rate
    extra = {'note': notes.get(row['second'], missing)}
    extra |= {'logits_differ': difference, 'peak_flops_a_second': peak_rate}
    rows.append(row | {'flops': flops, 'peak_share': share, 'extra': extra})
  return rows


def _variants(
  bench: timing.Bench, network: networks.Network, dtype: str, can_compile: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
  """Yields PyTorch's variants of the step: name and arguments of the maker."""
  layouts = ['contiguous', 'channels_last']
  if bench.platform != 'cpu':
    del layouts[0]  # GPUs are faster with the other; compiling is slow.
  training = {'batch_size': network.batch_size}
  for name in ('learning_rate', 'weight_decay'):
    training[name] = network.config[name]
  for compiled in (False, True) if can_compile else (False,):
    for layout in layouts:
      # The default AdamW is slower; only the small network shows it.
      both = network is networks.WATCH and not compiled
      for fused in (False, True) if both else (True,):
        how = 'torch.compile' if compiled else 'eager'
        adamw = '' if fused else ', default AdamW'
        name = f'PyTorch {how}, {layout.replace("_", "-")}{adamw}'
        way = {'layout': layout, 'fused': fused, 'compiled': compiled}
        way['autocast'] = dtype == 'bfloat16'
        work = {'network': network.torch(), 'training': training}
        yield name, work | way | {'examples': network.examples}


def scanned(
  network: networks.Network,
  objective: str,
  batch_size: int,
  length: int,
  dtype: str = 'float32',
) -> tuple[Any, ...]:
  """Returns a jitted scan of steps, as in `training.loop`, and its arguments.

  Args:
    network: the network, which trains on random data.
    objective: `'task'`, or `'siamese'` at the last split point.
    batch_size: the number of examples of a step.
    length: the number of steps.
    dtype: the precision of the network.
  """
  step, start, data, key = _prepared(network, objective, dtype)

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
  network: networks.Network,
  objective: str = 'task',
  batch_size: int = 0,
  dtype: str = 'float32',
) -> timing.Timer:
  """Times a step; the larger the batch, the fewer steps are timed at once."""
  batch_size = batch_size or network.batch_size
  length = max(1, network.steps * network.batch_size // batch_size)
  program = scanned(network, objective, batch_size, length, dtype)
  return lambda: timing.seconds(*program) / length


def step_flops(network: networks.Network) -> float:
  """Returns the floating point operations of a step, counted by XLA."""
  step, start, data, key = _prepared(network, 'task')
  batch = {k: x[: network.batch_size] for k, x in data.items()}
  compiled = jax.jit(step).lower(start, batch, key).compile()
  return float((compiled.cost_analysis() or {})['flops'])


def _prepared(network, objective, dtype='float32'):
  model, tx = network.model(), train_state.optimizer(network.config)
  trained = precision.trainable(
    model, ml_collections.ConfigDict({'dtype': dtype})
  )
  step = steps.make_task_step(trained, tx)
  if objective == 'siamese':
    step = steps.make_siamese_step(
      trained, tx, model.SPLIT_POINTS[-1], networks.SIAMESE
    )
  n, key = network.examples, jax.random.key(0)
  x = jax.random.normal(key, (n, *network.example))
  y = jax.random.randint(key, (n,), 0, network.classes)
  params = jax.jit(model.init)(key, x[:1])['params']
  return step, train_state.create(params, tx), {'x': x, 'primary': y}, key


def peak(dtype: str, sides: Sequence[int] = _PEAK_SIDES) -> float:
  """Returns the peak rate of a matrix product, in operations a second."""
  best = 0.0
  for side in sides:
    a = jax.random.normal(jax.random.key(0), (side, side)).astype(dtype)
    product = jax.jit(jnp.matmul)
    times = [timing.seconds(product, a, a) for _ in range(4)][1:]
    best = max(best, 2 * side**3 / min(times))
  return best
