"""Prepares the page that runs a study's edge half in a browser.

    python -m launch.live --workdir=runs/watch
    bash hybrid_jax/deploy/page/vendor.sh
    python -m launch.serve --bundle=runs/watch/live/bundle
      --page=runs/watch/live

`bash launch/live.sh` does all three.
"""

import pathlib

from absl import flags

from hybrid_jax import errors
from hybrid_jax.cli import command

_WORKDIR = flags.DEFINE_string('workdir', None, 'Of a finished study.')
_OUT = flags.DEFINE_string(
  'out', None, 'Where to write; by default WORKDIR/live.'
)


def main(argv: list[str]) -> None:
  """Writes what the page needs; keeps what is there for the same bundle."""
  command.no_more(argv)
  if not _WORKDIR.value:
    raise errors.UserError('--workdir is needed; see --help.')
  workdir = pathlib.Path(_WORKDIR.value)
  command.set_up_jax()
  from hybrid_jax.study import (
    live,  # Slow to import; mistakes are told at once.
  )

  out = pathlib.Path(_OUT.value) if _OUT.value else workdir / 'live'
  prepared = live.prepare(workdir, out)
  print(f'{out}: {len(prepared["windows"])} windows and two attackers.')
