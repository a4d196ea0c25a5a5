"""What all commands share: flags, compiled programs, and one-line errors."""

import contextlib
import functools
import importlib.util
import os
import pathlib
import re
import sys
from collections.abc import Callable
from importlib import metadata

from absl import app, flags, logging

from hybrid_jax import errors

_CACHE = flags.DEFINE_string(
  'compilation_cache',
  str(pathlib.Path.home() / '.cache' / 'hybrid_jax'),
  'Where compiled programs are kept from run to run; empty for nowhere.',
)

_PROFILE = flags.DEFINE_string(
  'profile',
  None,
  'A folder for a trace of the whole run, which Perfetto and XProf open: for'
  ' few steps and one stage.',
)


_OPTIMIZATION = 'xla_backend_optimization_level'

# absl prints the exception: flag --x=yes: ('Non-boolean argument …', 'yes')
_NOT_BOOLEAN = re.compile(r"^flag (.*): \('Non-boolean .*\)$")
# --config.KEY; `config_flag` reads what it becomes.
_SETTING = re.compile(r'--?(no)?config\.([^=]+)(=.*)?', re.DOTALL)


def no_more(argv: list[str]) -> None:
  """Raises `UserError` if there are positional arguments.

  Args:
    argv: what absl leaves after the flags; `argv[0]` is the program.
  """
  if len(argv) > 1:
    raise errors.UserError(f'unknown argument {argv[1]!r}; see --help.')


def set_up_jax() -> None:
  """Turns the persistent compilation cache on, and a trace if one is wanted."""
  import jax  # After the flags: a mistake in them is told at once.

  if _PROFILE.value:
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # Calls of Python would fill it.
    jax.profiler.start_trace(
      _PROFILE.value, create_perfetto_trace=True, profiler_options=options
    )
  if _CACHE.value:
    jax.config.update('jax_compilation_cache_dir', _CACHE.value)
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.02)


def run(main: Callable[[list[str]], int | None], mistake: int = 1) -> None:
  """Runs a command's `main`; a user's mistake is one line on standard error.

  Flags may be written with dashes or underscores.

  Args:
    main: the function of the command's module, whose docstring is the text of
      --help.
    mistake: the exit code after a user's mistake.
  """
  _set_help(main.__module__)
  logging.set_verbosity(logging.ERROR)
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')  # Its chatter at export.
  compile_quickly()
  try:
    app.run(functools.partial(_traced, main), flags_parser=_parse)
  except errors.UserError as e:
    print(f'error: {e}', file=sys.stderr)
    sys.exit(mistake)
  except MemoryError as e:
    print(f'error: out of memory: {e or "unknown size"}', file=sys.stderr)
    sys.exit(1)


def compile_quickly() -> None:
  """Lets XLA optimize less where there is only a CPU, unless a flag says else.

  Compiling takes half the time, and the programs of studies run as fast: their
  convolutions and products are in libraries. XLA reads the flags when it
  compiles for the first time.
  """
  given = os.environ.get('XLA_FLAGS', '')
  only_cpu = os.environ.get('JAX_PLATFORMS') == 'cpu' or not (
    metadata.entry_points(group='jax_plugins')
    or importlib.util.find_spec('libtpu')
  )
  if only_cpu and _OPTIMIZATION not in given:
    os.environ['XLA_FLAGS'] = f'{given} --{_OPTIMIZATION}=1'.strip()


def _set_help(module: str) -> None:
  """Lets --help show the docstring and the flags of a command's module."""
  sys.modules['__main__'].__doc__ = sys.modules[module].__doc__
  # The last is only there if the command has a config.
  for name in (module, __name__, 'hybrid_jax.cli.config_flag'):
    for flag in flags.FLAGS.get_key_flags_for_module(name):
      flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)


def no_profile(why: str) -> None:
  """Refuses --profile where it cannot be.

  Raises:
    UserError: it is given; `why` says why not.
  """
  if _PROFILE.value:
    raise errors.UserError(f'--profile={_PROFILE.value}: {why}')


def _traced(main, argv):
  try:
    return main(argv)
  finally:
    jax = sys.modules.get('jax')
    if _PROFILE.value and jax:
      with contextlib.suppress(RuntimeError):  # It was not begun.
        jax.profiler.stop_trace()


def _parse(argv):
  arguments = [_underscores(argument) for argument in argv[1:]]
  if 'config' in flags.FLAGS:
    arguments = _settings(arguments)
  try:
    return flags.FLAGS([argv[0], *arguments])
  except SystemExit:  # After --help, which is a failure to absl.
    sys.exit(0)
  except (flags.Error, OSError) as e:
    message = ' '.join(str(e).split())
    message = _NOT_BOOLEAN.sub(r'\1 is not true or false.', message)
    raise errors.UserError(message) from e


def _settings(arguments):
  """Writes every `--config.KEY=VALUE` as `--config_setting=KEY=VALUE`.

  `--config.KEY VALUE` is another way to write it; `--config.KEY` alone is true,
  and `--noconfig.KEY` false.
  """
  out, rest = [], list(arguments)
  while rest:
    argument = rest.pop(0)
    match = _SETTING.fullmatch(argument)
    if match is None:
      out.append(argument)
      continue
    negated, key, value = match.groups()
    if negated:
      value = '=false'
    elif value is None:
      follows = rest and not re.match(r'--|-[a-zA-Z]', rest[0])
      value = '=' + (rest.pop(0) if follows else 'true')
    out.append(f'--config_setting={key}{value}')
  return out


def _underscores(argument):
  """`--min_utility=0.9` of `--min-utility=0.9`, which absl does not know."""
  if argument == '-h':
    return '--help'
  name, equals, value = argument.partition('=')
  if not name.startswith('--') or name.startswith('--config.'):
    return argument
  return '--' + name[2:].replace('-', '_') + equals + value
