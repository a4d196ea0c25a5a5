"""Audits a file of released vectors, or the files of an exported bundle.

hybrid-jax audit --released=my.npz --out=runs/my
hybrid-jax audit --bundle=runs/watch/bundle
"""

import pathlib

from absl import flags

from hybrid_jax import errors
from hybrid_jax.cli import command, config_flag

_RELEASED = flags.DEFINE_string(
  'released', None, 'The .npz file to audit; docs/formats.md has its layout.'
)
_OUT = flags.DEFINE_string(
  'out', None, 'The folder for all results of --released.'
)
_BUNDLE = flags.DEFINE_string(
  'bundle',
  None,
  'The folder of an exported bundle to audit: its files run, and their output'
  ' is attacked.',
)
_WORKDIR = flags.DEFINE_string(
  'workdir',
  None,
  'The work directory of the bundle; by default above it.',
)
_CONFIG = flags.DEFINE_string(
  'config',
  'audit',
  'The config of the attacks on --released; a bundle has those of its study.',
)


def main(argv: list[str]) -> None:
  """Audits the file or the bundle, and prints its table."""
  command.no_more(argv)
  if _BUNDLE.value and not (_RELEASED.value or _OUT.value):
    command.set_up_jax()
    _audit_bundle(pathlib.Path(_BUNDLE.value))
    return
  if _BUNDLE.value or not (_RELEASED.value and _OUT.value):
    raise errors.UserError(
      'give either --released and --out, or --bundle; see --help.'
    )
  command.set_up_jax()
  _audit_file(pathlib.Path(_RELEASED.value), pathlib.Path(_OUT.value))


def _audit_file(path, out):
  # Imported here, because it takes seconds: mistakes in flags are shown first.
  from hybrid_jax.study import audit_released, config_schema

  config = config_flag.read(_CONFIG, config_schema.of_audit, 'attack')
  print(audit_released.run(path, out, config))
  print(f'Report: {out / "report.html"}')


def _audit_bundle(folder):
  from hybrid_jax.report import rows, tables
  from hybrid_jax.study import audit_bundle, results, runner, workdir_lock
  from hybrid_jax.study.stages import report

  workdir = pathlib.Path(_WORKDIR.value) if _WORKDIR.value else None
  if workdir is None:
    above = [
      p for p in folder.absolute().parents if (p / 'config.json').exists()
    ]
    if not above:
      raise errors.UserError(
        f'{folder} lies in no work directory of a study; give --workdir.'
      )
    workdir = above[0]
  study = runner.open_study(workdir)
  with workdir_lock.hold(workdir):
    row = audit_bundle.run(study, folder)
    trained = rows.find(results.gather(study), row)
    report.run(study)
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
