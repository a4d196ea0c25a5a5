"""Audits released vectors that were made elsewhere.

python -m launch.audit --released=my.npz --out=runs/my
"""

import pathlib

from absl import flags
from ml_collections import config_flags

from hybrid_jax import errors, released
from hybrid_jax.report import tables
from launch import command

_RELEASED = flags.DEFINE_string(
  'released', None, 'The .npz file, in the layout that the README describes.'
)
_OUT = flags.DEFINE_string('out', None, 'Where all results go.')
_CONFIG = config_flags.DEFINE_config_file(
  'config',
  str(pathlib.Path(__file__).parent.parent / 'configs' / 'audit.py'),
  'How to attack.',
)


def main(argv: list[str]) -> None:
  """Audits the file, and prints what was found."""
  command.no_more(argv)
  if not (_RELEASED.value and _OUT.value):
    raise errors.UserError('--released and --out are needed; see --help.')
  command.set_up_jax()
  config = command.read(_CONFIG)
  out = pathlib.Path(_OUT.value)
  row = released.run(pathlib.Path(_RELEASED.value), out, config)
  print(tables.terminal([row], {}))
  for sentence in row['failed_controls']:
    print(f'FAILED CONTROL: {sentence}')
  print(f'The whole report: {out / "report.html"}')


if __name__ == '__main__':
  command.run(main)
