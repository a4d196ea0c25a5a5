"""Prints what a data set holds, and its faults; it trains nothing.

    hybrid-jax check-data --config=arrays:my.npz --page=check.html

The exit code is 1 if there is a fault: the data cannot be read, a class is
missing in a fold, equal examples are in two folds, or a channel is constant. It
is 0 otherwise.
"""

import pathlib

from absl import flags

from hybrid_jax import errors, files, plugins
from hybrid_jax.cli import command, config_flag

_CONFIG = flags.DEFINE_string('config', None, config_flag.HELP)
_PAGE = flags.DEFINE_string(
  'page', None, 'A file, NAME.html, for a page with ten examples.'
)


def main(argv: list[str]) -> int:
  """Prints the report of the config's data; returns 1 if there is a fault."""
  command.no_more(argv)
  if _PAGE.value is not None and not _PAGE.value.endswith('.html'):
    raise errors.UserError(
      f'--page is {_PAGE.value!r}; it must be a file NAME.html.'
    )
  # Imported here, because it takes seconds: mistakes in flags are shown first.
  from hybrid_jax.datasets import check
  from hybrid_jax.study import config_schema, validate

  config = config_flag.read(_CONFIG, config_schema.of, 'data')
  config = validate.prepare(config)
  module = plugins.load('data set', config.data.name)
  data = module.load(config.data)
  report = check.examine(data)
  print(check.format_report(report), end='')
  if _PAGE.value is not None:
    from hybrid_jax.report import data_page

    html = data_page.render(data, report, config.data.name)
    files.write_bytes(pathlib.Path(_PAGE.value), html.encode())
  return 1 if report.faults else 0
