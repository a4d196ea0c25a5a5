"""What one GPU does in eight minutes; run it by `bash benchmarks/gpu.sh`.

In this order, as far as the time goes: the study `watch`, cold and warm; 64 and
1,024 adversaries in one program; ranks of 20,000 and 100,000 vectors; and
training steps of four networks at batches of 64 to 1,024, in float32 and
bfloat16, with PyTorch eager (channels-last) and, at the middle batch, compiled.
A part that does not fit in the time or the memory is reported as such. With
`--small`, all parts run with tiny sizes on whatever device there is: a test of
the script, whose figures mean nothing.
"""

import dataclasses
import functools
import itertools
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from absl import flags

from benchmarks import adversaries, networks, ranks, step_time, study, timing
from hybrid_jax import errors, files, progress
from hybrid_jax.cli import command
from hybrid_jax.metrics import ranking

Part = tuple[str, Callable[[], dict[str, Any]]]


@dataclasses.dataclass(frozen=True)
class Sizes:
  """How much is measured.

  Attributes:
    studies: kinds of the runs of the study, in order.
    stages: stages of the study.
    limit: seconds of a run of the study at most.
    counts: numbers of adversaries in one program.
    sides: numbers of vectors whose ranks are taken.
    batches: batch sizes; the middle one is also compiled by PyTorch.
    architectures: the networks.
    dtypes: the precisions of the steps.
    products: sides of the matrices whose product gives the peak.
    rounds: how often each step is timed.
  """

  studies: tuple[str, ...] = ('cold', 'warm')
  stages: tuple[str, ...] = (*study.STAGES, 'report')
  limit: float = 150.0
  counts: tuple[int, ...] = (64, 1024)
  sides: tuple[int, ...] = (20_000, 100_000)
  batches: tuple[int, ...] = (64, 256, 1024)
  architectures: tuple[networks.Network, ...] = networks.NETWORKS
  dtypes: tuple[str, ...] = ('bfloat16', 'float32')
  products: tuple[int, ...] = (4096, 8192)
  rounds: int = 3


SMALL = Sizes(
  studies=('cold',),
  stages=('data',),
  counts=(2,),
  sides=(300,),
  batches=(8,),
  architectures=(dataclasses.replace(networks.WATCH, examples=64, steps=2),),
  dtypes=('float32',),
  products=(64,),
  rounds=1,
)


def main(argv: list[str]) -> None:
  """Runs the parts, prints a line for each, and writes the results."""
  command.no_more(argv)
  given = flags.FLAGS
  if jax.default_backend() == 'cpu' and not given.small:
    raise errors.UserError('there is no GPU; --small tests the script.')
  out, started = pathlib.Path(given.out), time.monotonic()
  device = jax.devices()[0]
  results = {'device': device.device_kind, 'jax': jax.__version__, 'parts': {}}
  with tempfile.TemporaryDirectory() as folder:
    sizes = SMALL if given.small else Sizes()
    for name, measure in parts(sizes, given.torch_python, pathlib.Path(folder)):
      left = given.seconds - (time.monotonic() - started)
      results['parts'][name] = result = _measured(measure, left)
      print(f'{name}: {_text(result)}', flush=True)
      files.write_json(out, results)
  progress.say(f'{out}, after {time.monotonic() - started:.0f} s')


def _measured(measure, left):
  """Returns a part's figures, or why there are none."""
  if left <= 0:
    return {'left_out': 'no time left'}
  try:
    return measure()
  except (errors.UserError, jax.errors.JaxRuntimeError) as e:
    return {'left_out': str(e).splitlines()[0][:200]}


def _text(result):
  return ', '.join(
    f'{key} {value:.4g}' if isinstance(value, float) else f'{key} {value}'
    for key, value in result.items()
  )


def parts(sizes: Sizes, torch: str, folder: pathlib.Path) -> Iterator[Part]:
  """Yields the name and the function of each part.

  Args:
    sizes: how much is measured.
    torch: a Python with PyTorch; empty for none.
    folder: for the files of the studies.
  """
  for kind in sizes.studies:
    yield f'study, {kind}', functools.partial(_study, sizes, folder, kind)
  for count in sizes.counts:
    yield f'{count} adversaries', functools.partial(_adversaries, sizes, count)
  for side in sizes.sides:
    yield f'ranks of {side}', functools.partial(_ranks, sizes, side)
  platform = 'cpu' if jax.default_backend() == 'cpu' else 'gpu'
  bench = timing.Bench(sizes.rounds, platform, torch) if torch else None
  middle = sizes.batches[len(sizes.batches) // 2]
  peaks = functools.cache(
    functools.partial(step_time.peak, sides=sizes.products)
  )
  # The middle batch first, the others as far as the time goes.
  for batch in sorted(sizes.batches, key=lambda b: b != middle):
    for network, dtype in itertools.product(sizes.architectures, sizes.dtypes):
      yield (
        f'step, {network.title}, batch {batch}, {dtype}',
        functools.partial(
          _step, sizes, network, batch, dtype, bench, batch == middle, peaks
        ),
      )


def _study(sizes, folder, kind):
  """A run of the study; the second run finds its programs compiled."""
  platform = 'cpu' if jax.default_backend() == 'cpu' else 'gpu'
  run = study.run_jax(
    folder / kind,
    folder / 'cache',
    platform,
    stages=sizes.stages,
    timeout=sizes.limit,
  )
  return {'seconds': run['seconds'], 'compiling': run['compiling']} | {
    stage: run['stages'][stage] for stage in sizes.stages
  }


def _adversaries(sizes, count):
  timer = adversaries.timer(count)
  seconds = _median(timer, sizes.rounds)
  return {'seconds': seconds, 'a_second': count / seconds}


def _ranks(sizes, side):
  rng = np.random.default_rng(0)
  candidates = rng.standard_normal((side, ranks.DIM), np.float32)
  probes = candidates + rng.standard_normal(candidates.shape, np.float32)
  return {
    'seconds': _median(
      lambda: timing.seconds(
        ranking.linkage, probes, candidates, np.arange(side)
      ),
      sizes.rounds,
    )
  }


def _step(sizes, network, batch, dtype, bench, with_compiled, peaks):
  """A training step in JAX, and in PyTorch if there is one."""
  seconds = _median(
    step_time.step_timer(network, 'task', batch, dtype), sizes.rounds
  )
  operations = step_time.step_flops(network) * batch / network.batch_size
  out = {
    'seconds': seconds,
    'peak_share': operations / seconds / peaks(dtype),
  }
  if bench is None:
    return out
  training = {'batch_size': batch}
  for name in ('learning_rate', 'weight_decay'):
    training[name] = network.config[name]
  for name, compiled in (('eager', False), ('compiled', True)):
    if compiled and not (
      with_compiled and bench.torch.call('training.can_compile')
    ):
      continue
    timer = bench.torch.timer(
      'training.task',
      max(1, network.steps),
      network=network.torch(),
      training=training,
      examples=network.examples,
      layout='channels_last',
      fused=True,
      compiled=compiled,
      autocast=dtype == 'bfloat16',
    )
    out[f'torch_{name}'] = _median(timer, sizes.rounds)
  bench.torch.ask('forget')
  best = min(value for key, value in out.items() if key.startswith('torch_'))
  return out | {'ratio': seconds / best}


def _median(timer, rounds):
  """The median of some rounds, after one in which programs compile."""
  timer()
  return statistics.median(timer() for _ in range(rounds))


if __name__ == '__main__':
  flags.DEFINE_string('out', 'runs/gpu.json', 'The JSON file to write.')
  flags.DEFINE_bool('small', False, 'Tiny sizes, to test the script.')
  flags.DEFINE_integer('seconds', 450, 'The time of all parts.', 1)
  flags.DEFINE_string(
    'torch_python', '', 'A Python with PyTorch; empty for none.'
  )
  command.run(main)
