"""Fails if a figure of a study is outside its bounds, for use in CI.

    hybrid-jax gate --workdir=runs/watch --min-utility=0.9
      --max-leakage=person=0.25,side=0.6

Exit code 0: all figures are within their bounds; 1: one is not; 2: a mistake in
the input.
"""

import pathlib

from absl import flags

from hybrid_jax import errors
from hybrid_jax.cli import command
from hybrid_jax.datasets import digests
from hybrid_jax.report import gate

MISTAKE = 2

_WORKDIR = flags.DEFINE_string('workdir', None, 'The folder of metrics.json.')
_MIN_UTILITY = flags.DEFINE_string(
  'min_utility', None, 'The minimum of the low end of the utility, from 0 to 1.'
)
# If a flag is repeated, all its bounds count: none may be lost silently.
_MAX_LEAKAGE = flags.DEFINE_multi_string(
  'max_leakage',
  [],
  'LABEL=SHARE,...: the maximum of the high end of the leakage',
)
_MAX_CEILING = flags.DEFINE_multi_string(
  'max_ceiling',
  [],
  'LABEL=SHARE,...: the maximum of the high end of the ceiling',
)
_MAX_STREAM = flags.DEFINE_multi_string(
  'max_stream',
  [],
  'WINDOWS:LABEL=SHARE,...: the maximum of the high end of the leakage from'
  ' WINDOWS windows of one class together: 64:person=0.3',
)
_SPLIT_POINT = flags.DEFINE_string(
  'split_point',
  None,
  'The row to check; by default the recommended one.',
)
_EMBEDDING = flags.DEFINE_string('embedding', None, 'With --split_point.')
_STRANGERS = flags.DEFINE_bool(
  'strangers',
  False,
  'Check the figures of people whom the network never saw.',
)
_JUNIT = flags.DEFINE_string(
  'junit', None, 'The file for a report in JUnit XML.'
)


def main(argv: list[str]) -> int:
  """Checks all bounds and prints the table; returns the exit code."""
  command.no_more(argv)
  if not _WORKDIR.value:
    raise errors.UserError('--workdir is needed; see --help.')
  if _JUNIT.value == '':
    raise errors.UserError('--junit names no file.')
  bounds = gate.parse_bounds(
    _MIN_UTILITY.value,
    _MAX_LEAKAGE.value,
    _MAX_CEILING.value,
    _MAX_STREAM.value,
  )
  workdir = pathlib.Path(_WORKDIR.value)
  metrics = gate.read(workdir)
  digests.check(workdir, '--workdir')
  row = gate.pick(metrics, _SPLIT_POINT.value, _EMBEDDING.value)
  if _STRANGERS.value:
    row = gate.of_strangers(metrics, row)
  checks = gate.check(metrics, row, bounds)
  if _JUNIT.value:
    gate.write_junit(pathlib.Path(_JUNIT.value), row, checks)
  print(gate.terminal(row, checks), end='')
  if metrics.get('strangers') and not _STRANGERS.value:
    print(
      'These figures are about people of the training set; --strangers checks'
      ' those whom the network never saw.'
    )
  return 0 if all(c.passed for c in checks) else 1
