"""Keeps the figures of finished studies in small JSON files.

hybrid-jax results --workdir=runs/watch --out=docs/results

A file has the config, the seed, the commit, the machine and the time of the
study. The pages of the documentation are made from such files by
`python docs/generate.py`.
"""

import pathlib
import re
from typing import Any

from absl import flags

from hybrid_jax import errors, files
from hybrid_jax.cli import command
from hybrid_jax.study import summary

_WORKDIR = flags.DEFINE_list(
  'workdir', [], 'The work directory of a finished study, or of several.'
)
_OUT = flags.DEFINE_string('out', None, 'The folder of the JSON files.')
_NAME = flags.DEFINE_string(
  'name',
  None,
  "The file's name; by default the name of the data set, and _seed1 and so on"
  ' for another seed than 0.',
)


def main(argv: list[str]) -> None:
  """Writes the files; if anything is missing, older files stay as they are."""
  command.no_more(argv)
  if not _WORKDIR.value or not _OUT.value:
    raise errors.UserError('--workdir and --out are needed; see --help.')
  if _NAME.value and len(_WORKDIR.value) > 1:
    raise errors.UserError(
      f'--name is {_NAME.value!r}, for one file, and there are'
      f' {len(_WORKDIR.value)} work directories; leave it out.'
    )
  results: dict[str, dict[str, Any]] = {}
  for workdir in _WORKDIR.value:
    result = summary.summarize(pathlib.Path(workdir))
    name = _NAME.value or _default_name(result['config'])
    if not re.fullmatch(r'\w+', name):
      raise errors.UserError(
        f'--name is {name!r}; use letters, digits and underscores.'
      )
    if name in results:
      raise errors.UserError(
        f'two of the work directories are of {name}; keep them one by one, with'
        ' a --name each.'
      )
    results[name] = result
  folder = pathlib.Path(_OUT.value)
  files.write_files(
    folder,
    {f'{name}.json': files.encode_json(r) for name, r in results.items()},
  )
  for name, result in results.items():
    print(f'{len(result["rows"])} rows: {folder / name}.json')


def _default_name(config):
  seed = config['seed']
  return config['data']['name'] + (f'_seed{seed}' if seed else '')
