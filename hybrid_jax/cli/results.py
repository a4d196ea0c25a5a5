"""Keeps the figures of a finished study in a small JSON file.

hybrid-jax results --workdir=runs/watch --out=docs/results

The file has the config, the seed, the commit, the machine and the time of the
study. The pages of the documentation are made from such files by
`python docs/generate.py`.
"""

import pathlib
import re

from absl import flags

from hybrid_jax import errors, files
from hybrid_jax.cli import command
from hybrid_jax.study import summary

_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'The work directory of a finished study.'
)
_OUT = flags.DEFINE_string('out', None, 'The folder of the JSON file.')
_NAME = flags.DEFINE_string(
  'name', None, "The file's name; by default the name of the data set."
)


def main(argv: list[str]) -> None:
  """Writes the file; if anything is missing, an older file stays as it is."""
  command.no_more(argv)
  if not _WORKDIR.value or not _OUT.value:
    raise errors.UserError('--workdir and --out are needed; see --help.')
  result = summary.summarize(pathlib.Path(_WORKDIR.value))
  name = _NAME.value or result['config']['data']['name']
  if not re.fullmatch(r'\w+', name):
    raise errors.UserError(
      f'--name is {name!r}; use letters, digits and underscores.'
    )
  path = pathlib.Path(_OUT.value) / f'{name}.json'
  files.write_json(path, result)
  print(f'{len(result["rows"])} rows: {path}')
