"""Prepares the browser page that runs the edge half of a study.

    python -m launch.live --workdir=runs/watch
    bash hybrid_jax/deploy/page/vendor.sh
    python -m launch.serve --bundle=runs/watch/live/bundle
      --page=runs/watch/live

`bash launch/live.sh` runs all three.
"""

import pathlib

from absl import flags

from hybrid_jax import errors
from hybrid_jax.cli import command

_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'The work directory of a finished study.'
)
_OUT = flags.DEFINE_string(
  'out', None, 'The folder for the files of the page; default: WORKDIR/live.'
)


def main(argv: list[str]) -> None:
  """Writes the files of the page, if they are not there for this bundle."""
  command.no_more(argv)
  if not _WORKDIR.value:
    raise errors.UserError('--workdir is needed; see --help.')
  workdir = pathlib.Path(_WORKDIR.value)
  command.set_up_jax()
  # Imported here, because it takes seconds: mistakes in flags are shown first.
  from hybrid_jax.study import page_demo

  out = pathlib.Path(_OUT.value) if _OUT.value else workdir / 'live'
  page = page_demo.prepare(workdir, out)
  print(f'{out}: {len(page["windows"])} windows and two attackers.')
