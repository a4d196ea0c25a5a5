"""Prints what a data set holds, and its faults; it trains nothing.

    hybrid-jax check-data --config=arrays:my.npz

The exit code is 1 if there is a fault: the data cannot be read, a class is
missing in a fold, equal examples are in two folds, or a channel is constant. It
is 0 otherwise.
"""

from absl import flags

from hybrid_jax import plugins
from hybrid_jax.cli import command, config_flag

_CONFIG = flags.DEFINE_string('config', None, config_flag.HELP)


def main(argv: list[str]) -> int:
  """Prints the report of the config's data; returns 1 if there is a fault."""
  command.no_more(argv)
  # Imported here, because it takes seconds: mistakes in flags are shown first.
  from hybrid_jax.datasets import check
  from hybrid_jax.study import schema, validate

  config = config_flag.read(_CONFIG, schema.of, 'data')
  config = validate.prepare(config)
  module = plugins.load('data set', config.data.name)
  report = check.examine(module.load(config.data))
  print(check.format_report(report), end='')
  return 1 if report.faults else 0
