"""Prints what a data set holds, and its faults; it trains nothing.

    python -m launch.check_data --config=configs/arrays.py:my.npz

The exit code is 1 if there is a fault: the data cannot be read, a class is
missing in a fold, equal examples are in two folds, or a channel is constant. It
is 0 otherwise.
"""

from ml_collections import config_flags

from hybrid_jax import errors, plugins
from hybrid_jax.cli import command
from hybrid_jax.datasets import check
from hybrid_jax.study import validate

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'The config of the study.'
)


def main(argv: list[str]) -> int:
  """Prints the report of the config's data; returns 1 if there is a fault."""
  command.no_more(argv)
  config = command.read(_CONFIG, 'data')
  if config is None:
    raise errors.UserError('--config is needed; see --help.')
  config = validate.prepare(config)
  module = plugins.load('data set', config.data.name)
  report = check.examine(module.load(config.data))
  print(check.format_report(report), end='')
  return 1 if report.faults else 0
