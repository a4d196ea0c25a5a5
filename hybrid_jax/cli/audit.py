"""Audits released vectors that were made elsewhere, or what a bundle releases.

python -m launch.audit --released=my.npz --out=runs/my
python -m launch.audit --bundle=runs/watch/bundle
"""

import pathlib

from absl import flags
from ml_collections import config_flags

from hybrid_jax import errors
from hybrid_jax.cli import command
from hybrid_jax.report import rows, tables
from hybrid_jax.study import audit_bundle, audit_released, results, runner
from hybrid_jax.study.stages import report

_RELEASED = flags.DEFINE_string(
  'released', None, 'The .npz file, in the layout of docs/formats.md.'
)
_OUT = flags.DEFINE_string('out', None, 'Where all results go.')
_BUNDLE = flags.DEFINE_string(
  'bundle',
  None,
  'A folder that the export wrote, whose files run and are attacked.',
)
_WORKDIR = flags.DEFINE_string(
  'workdir', None, "The bundle's study; the folder around it is looked at."
)
_CONFIG = config_flags.DEFINE_config_file(
  'config',
  str(pathlib.Path(__file__).parents[2] / 'configs' / 'audit.py'),
  'How to attack released vectors; a bundle is attacked as its study was.',
)


def main(argv: list[str]) -> None:
  """Audits the file or the bundle, and prints what was found."""
  command.no_more(argv)
  if _BUNDLE.value and not (_RELEASED.value or _OUT.value):
    command.set_up_jax()
    _audit_bundle(pathlib.Path(_BUNDLE.value))
    return
  if _BUNDLE.value or not (_RELEASED.value and _OUT.value):
    raise errors.UserError(
      'either --released and --out are needed, or --bundle; see --help.'
    )
  command.set_up_jax()
  config = command.read(_CONFIG)
  out = pathlib.Path(_OUT.value)
  row = audit_released.run(pathlib.Path(_RELEASED.value), out, config)
  print(tables.terminal([row], {}))
  for sentence in row['failed_controls']:
    print(f'FAILED CONTROL: {sentence}')
  print(f'The whole report: {out / "report.html"}')


def _audit_bundle(folder):
  workdir = pathlib.Path(_WORKDIR.value) if _WORKDIR.value else None
  if workdir is None:
    around = [
      p for p in folder.absolute().parents if (p / 'config.json').exists()
    ]
    if not around:
      raise errors.UserError(
        f'{folder} lies in no work directory of a study; name it by --workdir.'
      )
    workdir = around[0]
  opened = runner.open_study(workdir)
  row = audit_bundle.run(opened, folder)
  trained = rows.find(results.gather(opened), row)
  report.run(opened)
  print(
    tables.terminal(
      [
        trained | {'embedding': f'{row["embedding"]}, as trained'},
        row
        | {'embedding': f'{row["embedding"]}, as deployed, {row["variant"]}'},
      ],
      {},
    )
  )
