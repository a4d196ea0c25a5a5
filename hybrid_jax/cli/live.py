"""Prepares the browser page that runs the edge half of a study.

    hybrid-jax live --workdir=runs/watch
    hybrid-jax serve --bundle=runs/watch/live/bundle --page=runs/watch/live

The first run downloads LiteRT.js, which needs Node.js and npm.
"""

import pathlib
import shutil
import subprocess

from absl import flags

from hybrid_jax import errors
from hybrid_jax.cli import command

_PAGE = pathlib.Path(__file__).parents[1] / 'deploy' / 'page'

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
  from hybrid_jax.study import page_demo, workdir_lock

  out = pathlib.Path(_OUT.value) if _OUT.value else workdir / 'live'
  with workdir_lock.hold(out):
    page = page_demo.prepare(workdir, out)
  _download_litert()
  print(
    f'{out}: {len(page["windows"])} windows and two attackers. Show it by'
    f' hybrid-jax serve --bundle={out / "bundle"} --page={out}'
  )


def _download_litert():
  script = _PAGE / 'vendor.sh'
  present = (_PAGE / 'vendor' / 'stamp').is_file()
  if present and not shutil.which('node'):
    return  # Whether it is of the newest version cannot be known.
  try:
    subprocess.run(['bash', script], check=True)
  except (OSError, subprocess.CalledProcessError) as e:
    raise errors.UserError(
      f'the page is prepared, but bash {script} failed, which downloads'
      ' LiteRT.js. It needs Node.js and npm.'
    ) from e
