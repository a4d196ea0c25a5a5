"""Runs a study: from recordings to a private, deployable split with evidence.

python -m launch.study --config=configs/watch.py --workdir=runs/watch
"""

import os
import pathlib
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from hybrid_jax import errors, plugins
from hybrid_jax import study as studies

_CONFIG = config_flags.DEFINE_config_file('config', None, 'What to study.')
_WORKDIR = flags.DEFINE_string('workdir', None, 'Where all results go.')
_STAGES = flags.DEFINE_list(
  'stages', list(studies.STAGES), 'Which stages to run, in their order.'
)
_LIST = flags.DEFINE_bool('list', False, 'List the known plug-ins and leave.')
_CACHE = flags.DEFINE_string(
  'compilation_cache',
  str(pathlib.Path.home() / '.cache' / 'hybrid_jax'),
  'Where compiled programs are kept from run to run; empty for nowhere.',
)


def main(argv: list[str]) -> None:
  """Runs the stages, or lists the plug-ins."""
  if len(argv) > 1:
    raise errors.UserError(f'unknown argument {argv[1]!r}; see --help.')
  if _LIST.value:
    for kind in plugins.KINDS:
      print(f'{kind}:')
      for name in plugins.known(kind):
        print(f'  {name:10s} {plugins.describe(kind, name)}')
    return
  config = _CONFIG.value
  try:
    _ = config and config.model  # A file that did not load says so only here.
  except (OSError, AttributeError) as e:
    raise errors.UserError(_plain(e)) from e
  workdir = _WORKDIR.value
  if config is None or workdir is None:
    raise errors.UserError('--config and --workdir are needed; see --help.')
  _set_up_jax()
  studies.run(config, pathlib.Path(workdir), tuple(_STAGES.value))


def _set_up_jax() -> None:
  import jax  # After the flags: a mistake in them is told at once.

  if _CACHE.value:
    jax.config.update('jax_compilation_cache_dir', _CACHE.value)
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.02)


def _parse(argv: list[str]) -> list[str]:
  try:
    return flags.FLAGS(argv)
  except (flags.Error, AttributeError, KeyError, TypeError, OSError) as e:
    # ml_collections tells mistakes in --config by any of these.
    raise errors.UserError(_plain(e)) from e


def _plain(error: Exception) -> str:
  """The gist of an error that may carry a traceback in its text."""
  text = str(error.args[0]) if error.args else str(error)
  if 'Traceback' in text:
    text = text.strip().splitlines()[-1]
  if isinstance(error, KeyError):
    text = f'unknown config key {text}'
  return ' '.join(text.split())


def run() -> None:
  """The program: a user's mistake is one line and exit code 1."""
  logging.set_verbosity(logging.ERROR)
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')  # Its chatter at export.
  try:
    app.run(main, flags_parser=_parse)
  except errors.UserError as e:
    print(f'error: {e}', file=sys.stderr)
    sys.exit(1)


if __name__ == '__main__':
  run()
