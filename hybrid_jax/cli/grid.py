"""Trains and attacks a grid of methods, weights, margins and seeds.

hybrid-jax grid --config=watch:grid --workdir=runs/grid
"""

import pathlib

import ml_collections
from absl import flags

from hybrid_jax import errors, files
from hybrid_jax.cli import command, config_flag

_STAGES = ('data', 'train', 'grid')
_CONFIG = flags.DEFINE_string(
  'config',
  None,
  f'{config_flag.HELP} Its group grid is what is trained.',
)
_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'The folder for checkpoints and results.'
)


def main(argv: list[str]) -> None:
  """Prints all points, and writes `grid.html` and `results/grid.json`."""
  command.no_more(argv)
  if _WORKDIR.value is None:
    raise errors.UserError('--config and --workdir are needed; see --help.')
  # Imported here, because it takes seconds: mistakes in flags are shown first.
  from hybrid_jax.report import grid_page
  from hybrid_jax.study import config_schema, results, runner

  config = config_flag.read(_CONFIG, config_schema.of, 'data', 'model')
  check(config)
  command.set_up_jax()
  workdir = pathlib.Path(_WORKDIR.value)
  study = runner.run(config, workdir, _STAGES)
  summary = results.read_grid(study)
  if not summary:
    raise errors.UserError(
      f'grid.split_point is {config.grid.split_point!r}, and the study cuts at'
      f' {", ".join(study.split_points)}.'
    )
  page = workdir / 'grid.html'
  html = grid_page.render(summary, config.data.name)
  files.write_bytes(page, html.encode())
  print(grid_page.terminal(summary))
  print(f'The page: {page}')


def check(config: ml_collections.ConfigDict) -> None:
  """Raises `UserError` if this command cannot run a config's grid."""
  if not config.get('grid'):
    raise errors.UserError(
      "the config has no 'grid'; take a variant that has one, such as"
      ' watch:grid.'
    )
  if config.get('distributed'):
    raise errors.UserError(
      'config.distributed is true, and this command runs in one process; take'
      f' hybrid-jax study --stages={",".join(_STAGES)}.'
    )
