"""Trains a grid of private networks as one program, and compares them all.

python -m launch.sweep --config=configs/watch.py:sweep --workdir=runs/sweep
"""

import pathlib

from absl import flags
from ml_collections import config_flags

from hybrid_jax import errors, files
from hybrid_jax.cli import command
from hybrid_jax.report import sweep_page
from hybrid_jax.study.sweep import run

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'Of a study, with a group sweep.'
)
_WORKDIR = flags.DEFINE_string('workdir', None, 'Where all results go.')
_ONLY = flags.DEFINE_integer(
  'only',
  None,
  'Make this point of the grid alone, by the stages of launch.study, and say'
  ' how far it is from what the grid made.',
)
_ALONE = flags.DEFINE_integer(
  'alone',
  2,
  'How many trainings are also done one by one, to compare their time.',
  lower_bound=0,
)


def main(argv: list[str]) -> None:
  """Prints the points and writes `sweep.html` and `results/sweep.json`."""
  command.no_more(argv)
  config = command.read(_CONFIG, 'data', 'model')
  if config is None or _WORKDIR.value is None:
    raise errors.UserError('--config and --workdir are needed; see --help.')
  command.set_up_jax()
  workdir = pathlib.Path(_WORKDIR.value)
  if _ONLY.value is not None:
    print(sweep_page.one(run.run_one(config, workdir, _ONLY.value)))
    return
  found = run.run(config, workdir, _ALONE.value)
  page = workdir / 'sweep.html'
  files.write_bytes(page, sweep_page.render(found, config.data.name).encode())
  print(sweep_page.terminal(found))
  print(f'The picture: {page}')
