"""Runs a study: from recordings to a private, deployable split with evidence.

    hybrid-jax study --config=watch --workdir=runs/watch

With --config.distributed=true, over several processes; see docs/scaling.md.
"""

import pathlib

from absl import flags

from hybrid_jax import errors, plugins
from hybrid_jax.cli import command, config_flag, process_group
from hybrid_jax.study import config_files, stage_names

_CONFIG = flags.DEFINE_string('config', None, config_flag.HELP)
_WORKDIR = flags.DEFINE_string('workdir', None, 'Where all results go.')
_STAGES = flags.DEFINE_list(
  'stages', list(stage_names.STAGES), 'Which stages to run, in their order.'
)
_LIST = flags.DEFINE_bool(
  'list', False, 'List the shipped configs and the plug-ins, and leave.'
)
_HELP = flags.DEFINE_bool(
  'help_config', False, 'List all settings of --config and leave.'
)


def main(argv: list[str]) -> None:
  """Runs the stages, or lists the plug-ins or the settings."""
  command.no_more(argv)
  if _LIST.value:
    _list()
    return
  if _HELP.value:
    _show_settings()
    return
  workdir = _WORKDIR.value
  if workdir is None:
    raise errors.UserError('--config and --workdir are needed; see --help.')
  for stage in _STAGES.value:
    errors.check_known('stage', stage, stage_names.STAGES)
  # Imported here, because it takes seconds: mistakes in flags are shown first.
  from hybrid_jax.study import config_schema

  config = config_flag.read(_CONFIG, config_schema.of, 'data', 'model')
  if config.get('distributed'):
    command.no_profile('it is for a run of one process.')

  def work() -> None:
    # Not in the parent of a distributed run, which only waits.
    from hybrid_jax.study import runner

    command.set_up_jax()
    runner.run(config, pathlib.Path(workdir), tuple(_STAGES.value))

  if config.get('distributed'):
    process_group.run(work)
  else:
    process_group.check_single_process()
    work()


def _show_settings():
  from hybrid_jax.cli import config_help
  from hybrid_jax.study import config_schema, validate

  config = config_flag.read(_CONFIG, config_schema.of, 'data', 'model')
  config_help.show(validate.prepare(config))


def _list():
  print('shipped config:')
  for name in config_files.names():
    print(f'  {name:20s} {config_files.describe(name)}')
  for kind in plugins.KINDS:
    print(f'{kind}:')
    for name in plugins.known(kind):
      print(f'  {name:20s} {plugins.describe(kind, name)}')
