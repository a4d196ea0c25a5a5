"""What all commands share: flags, compiled programs, and one-line errors."""

import os
import pathlib
import re
import sys
from collections.abc import Callable

import ml_collections
from absl import app, flags, logging

from hybrid_jax import errors

_CACHE = flags.DEFINE_string(
  'compilation_cache',
  str(pathlib.Path.home() / '.cache' / 'hybrid_jax'),
  'Where compiled programs are kept from run to run; empty for nowhere.',
)


def no_more(argv: list[str]) -> None:
  """Refuses arguments that are no flags."""
  if len(argv) > 1:
    raise errors.UserError(f'unknown argument {argv[1]!r}; see --help.')


def set_up_jax() -> None:
  """Turns the persistent compilation cache on."""
  import jax  # After the flags: a mistake in them is told at once.

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
  return ' '.join(text.split())


def read(holder: flags.FlagHolder) -> ml_collections.ConfigDict | None:
  """A config flag's value; a file that did not load says so only here."""
  try:
    _ = holder.value and holder.value.keys()
  except (OSError, AttributeError) as e:
    raise errors.UserError(plain(e)) from e
  return holder.value


def run(main: Callable[[list[str]], int | None], mistake: int = 1) -> None:
  """The program: a user's mistake is one line and exit code `mistake`.

  Flags may be written with dashes or underscores.
  """
  logging.set_verbosity(logging.ERROR)
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')  # Its chatter at export.
  try:
    app.run(main, flags_parser=_parse)
  except errors.UserError as e:
    print(f'error: {e}', file=sys.stderr)
    sys.exit(mistake)


def _parse(argv):
  try:
    return flags.FLAGS([argv[0], *map(_underscores, argv[1:])])
  except (flags.Error, AttributeError, KeyError, TypeError, OSError) as e:
    # ml_collections tells mistakes in --config by any of these.
    raise errors.UserError(plain(e)) from e


def _underscores(argument):
  """`--min_utility=0.9` of `--min-utility=0.9`; absl knows no dashes."""
  name, equals, value = argument.partition('=')
  if not name.startswith('--'):
    return argument
  return '--' + name[2:].replace('-', '_') + equals + value
