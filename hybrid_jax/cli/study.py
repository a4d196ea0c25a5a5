"""Runs a study: from recordings to a private, deployable split with evidence.

python -m launch.study --config=configs/watch.py --workdir=runs/watch

With --config.distributed=true, over several processes; see docs/scaling.md.
"""

import pathlib

from absl import flags
from ml_collections import config_flags

from hybrid_jax import errors, plugins
from hybrid_jax.cli import command, config_help, process_group
from hybrid_jax.study import runner, validate

_CONFIG = config_flags.DEFINE_config_file('config', None, 'What to study.')
_WORKDIR = flags.DEFINE_string('workdir', None, 'Where all results go.')
_STAGES = flags.DEFINE_list(
  'stages', list(runner.STAGES), 'Which stages to run, in their order.'
)
_LIST = flags.DEFINE_bool('list', False, 'List the known plug-ins and leave.')
_HELP = flags.DEFINE_bool(
  'help_config', False, 'List all settings of --config and leave.'
)


def main(argv: list[str]) -> None:
  """Runs the stages, or lists the plug-ins or the settings."""
  command.no_more(argv)
  if _LIST.value:
    for kind in plugins.KINDS:
      print(f'{kind}:')
      for name in plugins.known(kind):
        print(f'  {name:20s} {plugins.describe(kind, name)}')
    return
  config = command.read(_CONFIG, 'data', 'model')
  if _HELP.value:
    if config is None:
      raise errors.UserError('--help_config needs --config.')
    config_help.show(validate.prepare(config))
    return
  workdir = _WORKDIR.value
  if config is None or workdir is None:
    raise errors.UserError('--config and --workdir are needed; see --help.')
  if config.get('distributed'):
    command.no_profile('it is for a run of one process.')
  command.set_up_jax()

  def work() -> None:
    runner.run(config, pathlib.Path(workdir), tuple(_STAGES.value))

  if config.get('distributed'):
    process_group.run(work)
  else:
    process_group.check_single_process()
    work()
