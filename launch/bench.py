"""Times training, attacks and measures, and compares PyTorch and scikit-learn.

    bash launch/bench.sh --suite=all --out=bench.json
    bash launch/bench.sh --suite=step_time,ranks --rounds=3 --plot=bench.png

Both sides are timed in one run and by turns, A B A B; the other side is idle. A
ratio is A's time over B's of the same round. The table has the median over the
rounds, with the smallest and the largest; below 1, A is faster. The data are
random and in memory, except for the suite `study`. The modules in `benchmarks`
describe the suites. With `--platform=gpu` both sides use the GPU.
"""

import importlib
import os
import pathlib
import platform
import shutil
import time
from typing import Any

import jax
import rich.console
from absl import flags

from benchmarks import timing
from hybrid_jax import errors, files, progress
from hybrid_jax.cli import command
from hybrid_jax.report import bench_plots
from hybrid_jax.study import summary

SUITES = (
  'step_time',
  'siamese',
  'adversaries',
  'ranks',
  'growth',
  'audit',
  'input',
  'study',
)

_SUITE = flags.DEFINE_list('suite', ['all'], f'all, or: {", ".join(SUITES)}.')
_OUT = flags.DEFINE_string('out', 'runs/bench.json', 'The JSON file to write.')
_PLOT = flags.DEFINE_string(
  'plot', None, 'The file of the plot, .html or .png; by default beside --out.'
)
_ROUNDS = flags.DEFINE_integer('rounds', 5, 'How often each side is timed.', 1)
_PLATFORM = flags.DEFINE_enum('platform', 'cpu', ['cpu', 'gpu'], 'The device.')
_TORCH = flags.DEFINE_string(
  'torch_python', '.venv-torch/bin/python', 'The path of a Python with PyTorch.'
)


def chosen(names: list[str]) -> list[str]:
  """Returns the suites of `--suite`, in the order of `SUITES`.

  Raises:
    UserError: a name is unknown; the message lists the known ones.
  """
  for name in names:
    errors.check_known('suite', name, ('all', *SUITES))
  return [name for name in SUITES if name in names or 'all' in names]


def main(argv: list[str]) -> None:
  """Runs the suites, prints the table, and writes the results and the plot."""
  command.no_more(argv)
  names, out = chosen(_SUITE.value), pathlib.Path(_OUT.value)
  plot = pathlib.Path(_PLOT.value) if _PLOT.value else out.with_suffix('.html')
  bench_plots.check_path(plot)
  if _PLATFORM.value == 'cpu':
    jax.config.update('jax_platforms', 'cpu')
  bench = timing.Bench(_ROUNDS.value, _PLATFORM.value, _TORCH.value)
  results = measure(names, bench, out)
  rows = results['rows']
  width = shutil.get_terminal_size((200, 24)).columns
  rich.console.Console(width=width).print(bench_plots.table(rows))
  print(bench_plots.markdown(rows))
  print(', '.join(f'{k} {v}' for k, v in results['machine'].items()))
  if bench_plots.drawn(rows):
    bench_plots.write_plot(bench_plots.plot(rows), plot)
    print(f'{out} and {plot}')


def measure(
  names: list[str], bench: timing.Bench, out: pathlib.Path
) -> dict[str, Any]:
  """Runs suites, and writes `out` after each.

  Returns:
    `machine`, `rounds`, `rows`, each with its `suite`, `suite_seconds`, and
    `config` and `origin` as the files of `docs/results` have them.
  """
  about, rows, spent = machine(), [], {}
  results = {'machine': about, 'rounds': bench.rounds, 'rows': rows}
  results |= {'suite_seconds': spent, 'config': {'seed': 0}}
  if about['load'] > 0.5:
    progress.say(f'load {about["load"]:.1f}: other work disturbs the figures')
  for name in names:
    progress.say(f'suite {name}')
    started = time.monotonic()
    suite = importlib.import_module(f'benchmarks.{name}')
    rows += [row | {'suite': name} for row in suite.measure(bench)]
    spent[name] = time.monotonic() - started
    if 'torch' in vars(bench):  # The suite used PyTorch.
      about['pytorch'] = bench.torch.about
    results['origin'] = summary.describe_run() | {
      'seconds': round(sum(spent.values()))
    }
    files.write_json(out, results)
  return results


def machine() -> dict[str, Any]:
  """Returns a description of this machine."""
  return {
    'machine': platform.machine(),
    'cores': os.cpu_count(),
    'load': os.getloadavg()[0],
    'python': platform.python_version(),
    'jax': jax.__version__,
    'device': jax.devices()[0].device_kind,
  }


if __name__ == '__main__':
  command.run(main)
