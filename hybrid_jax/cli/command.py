"""What all commands share: flags, compiled programs, and one-line errors."""

import contextlib
import functools
import itertools
import os
import pathlib
import re
import sys
import traceback
from collections.abc import Callable

import ml_collections
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

# What wrong code raises; other errors tell of what it was given.
_CODE = (AttributeError, KeyError, TypeError, NameError, ImportError)


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
    jax.profiler.start_trace(_PROFILE.value, create_perfetto_trace=True)
  if _CACHE.value:
    jax.config.update('jax_compilation_cache_dir', _CACHE.value)
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.02)


def plain(error: Exception) -> str:
  """The gist of an error that may carry a traceback in its text."""
  text = str(error.args[0]) if error.args else str(error)
  if 'Traceback' in text:
    text = text.strip().splitlines()[-1]
    text = re.sub(r'^[\w.]+: ', '', text)  # The error's class.
  if isinstance(error, KeyError):
    text = f'unknown config key {text}'
  text = text.replace('\\n', ' ').replace("\\'", "'")  # One error in another.
  return ' '.join(text.split())


def read(
  holder: flags.FlagHolder, *needed: str
) -> ml_collections.ConfigDict | None:
  """A config flag's value; a file that did not load says so only here.

  Args:
    holder: the flag's.
    needed: the groups of settings that the command reads, as `'data'`.

  Raises:
    UserError: the file could not be read, or its config lacks a group.
  """
  try:
    config = holder.value
    found = list(config.keys()) if config else []
  except (OSError, AttributeError) as e:
    raise errors.UserError(plain(e)) from e
  missing = [name for name in needed if name not in found]
  if config is not None and missing:
    raise errors.UserError(
      f'the config has {", ".join(found)}, and no {missing[0]!r}: it is not'
      f' that of a study. {_known_files()}'
    )
  return config


def check_file(value: str) -> None:
  """Refuses what is no config file, which need not be Python, before it runs.

  Args:
    value: of --config: a path, and an argument after a colon.

  Raises:
    UserError: it is not there, is no Python, or has no `get_config`.
  """
  path = pathlib.Path(value.partition(':')[0])
  own = pathlib.Path(value.partition(',')[0])
  if not value:
    raise errors.UserError(f'--config names no file. {_known_files()}')
  if own.is_dir() or (own.is_file() and path.suffix != '.py'):
    raise errors.UserError(
      f'{own} is no config file, but data: did you mean'
      f' configs/arrays.py:{value}?'
    )
  if not path.is_file():
    raise errors.UserError(
      f'there is no config file {str(path)!r}.'
      f'{errors.suggest(str(path), _files())} {_known_files()}'
    )
  try:
    code = compile(path.read_bytes(), str(path), 'exec')
  except (SyntaxError, ValueError) as e:
    raise errors.UserError(f'{path} is not Python: {e}.') from e
  # Of a module that imports all of another, the names are not known.
  if 'get_config' not in code.co_names and ('*',) not in code.co_consts:
    raise errors.UserError(
      f'{path} is no config file: it has no get_config. {_known_files()}'
    )


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
  try:
    app.run(functools.partial(_traced, main), flags_parser=_parse)
  except errors.UserError as e:
    print(f'error: {e}', file=sys.stderr)
    sys.exit(mistake)


def _set_help(module: str) -> None:
  """Lets --help show the docstring and the flags of a command's module."""
  sys.modules['__main__'].__doc__ = sys.modules[module].__doc__
  for name in (module, __name__):
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
  file = _config_file(argv)
  if file is not None:
    check_file(file)
  try:
    return flags.FLAGS([argv[0], *map(_underscores, argv[1:])])
  except (flags.Error, OSError, *_CODE) as e:
    # ml_collections tells mistakes in --config by any of these.
    _check_keys(argv)
    raise errors.UserError(_place(e, file) + plain(e)) from e


def _place(error, file):
  """Where in the config file its own code went wrong, if that is what did."""
  path, place = (file or '').partition(':')[0], ''
  while error:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == path]
    if isinstance(error, _CODE) and lines:
      place = f'{path}, line {lines[-1]}: {type(error).__name__}: '
    elif 'get_config() ' in str(error):  # Called with an argument, or without.
      place = f'{path}: '
    error = error.__context__
  return place


def _config_file(argv):
  """What is given for --config, or None; the last counts."""
  given = None
  for name, following in itertools.pairwise([*argv[1:], '']):
    flag, equals, value = name.partition('=')
    if flag in ('-config', '--config'):
      given = value if equals else following
  return given


def _check_keys(argv):
  """Names the first key of a --config.KEY that the config has not.

  Raises:
    UserError: there is such a key; it lists those that are known.
  """
  try:
    flag = flags.FLAGS['config']
    config = flag.parser.parse(_config_file(argv) or flag.default)
    config.keys()
  except Exception:  # The file itself is what is wrong; it is told as such.
    return
  for argument in argv[1:]:
    key = re.match(r'--?(?:no)?config\.([\w.]+)', argument)
    inner, done = config, 'config'
    for name in key[1].split('.') if key else ():
      if not isinstance(inner, ml_collections.ConfigDict):
        raise errors.UserError(
          f'{done} is {inner!r}; it has no setting {name!r}.'
        )
      errors.check_known(f'setting of {done}', name, sorted(inner.keys()))
      inner, done = inner[name], f'{done}.{name}'


def _files():
  """The config files of studies that come with the program."""
  folder = pathlib.Path(__file__).parents[2] / 'configs'
  return sorted(
    f'configs/{path.name}'
    for path in folder.glob('*.py')
    if path.stem not in ('__init__', 'common', 'audit')
  )


def _known_files():
  return f'Known: {", ".join(_files())}.'


def _underscores(argument):
  """`--min_utility=0.9` of `--min-utility=0.9`; absl knows no dashes."""
  name, equals, value = argument.partition('=')
  if not name.startswith('--'):
    return argument
  return '--' + name[2:].replace('-', '_') + equals + value
