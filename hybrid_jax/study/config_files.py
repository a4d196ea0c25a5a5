"""Finds and loads config files: the shipped ones by name, others by path.

A config file is Python with a function `get_config`, which takes no argument or
one text. `watch:small` is the shipped file `watch` with the text `small`, and
`path/to/mine.py:small` is a file of the user's.
"""

import ast
import functools
import importlib.util
import pathlib
import traceback

import ml_collections

from hybrid_jax import errors

_ROOT = pathlib.Path(__file__).parents[1]
# An audit has no data and no network.
_NO_STUDIES = ('__init__', 'audit')


@functools.cache
def folder() -> pathlib.Path:
  """Returns the folder of the shipped configs.

  A wheel has it within the package, a checkout at its top.
  """
  inside = _ROOT / 'configs'
  return inside if inside.is_dir() else _ROOT.parent / 'configs'


def names() -> list[str]:
  """Returns the names of the shipped studies, sorted."""
  stems = (path.stem for path in folder().glob('*.py'))
  return sorted(stem for stem in stems if stem not in _NO_STUDIES)


def known() -> str:
  """Returns a sentence that lists the shipped studies."""
  return f'Shipped configs: {", ".join(names())}.'


def describe(name: str) -> str:
  """Returns the first line of a shipped file's docstring."""
  text = (folder() / f'{name}.py').read_text(encoding='utf-8')
  return (ast.get_docstring(ast.parse(text)) or '').partition('\n')[0]


def find(value: str) -> tuple[pathlib.Path, str | None]:
  """Returns a config's file and the text after the colon, without running it.

  Args:
    value: `'watch'`, `'watch:small'` or `'path/to/mine.py:small'`.

  Raises:
    UserError: there is no such file, it is not Python, or it has no
      `get_config`.
  """
  if not value:
    raise errors.UserError(f'--config names no file. {known()}')
  name, colon, argument = value.partition(':')
  shipped = folder() / f'{name}.py'
  if name.isidentifier() and shipped.is_file():
    path = shipped
  else:
    path = pathlib.Path(name)
    _check_is_file(path, value)
  _check_has_function(path)
  return path, argument if colon else None


def load(value: str) -> ml_collections.ConfigDict:
  """Returns the config of a file.

  Args:
    value: see `find`.

  Raises:
    UserError: see `find`; or the file's code fails.
  """
  path, argument = find(value)
  spec = importlib.util.spec_from_file_location('config_file', path)
  assert spec is not None
  assert spec.loader is not None
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
    config = module.get_config(*([] if argument is None else [argument]))
  except errors.UserError:
    raise
  except Exception as e:  # A file of the user's runs any code.
    raise errors.UserError(_explain(e, path)) from e
  if not isinstance(config, ml_collections.ConfigDict):
    raise errors.UserError(
      f'{path}: get_config returns {type(config).__name__}; it must be an'
      ' ml_collections.ConfigDict.'
    )
  return config


def _check_is_file(path, value):
  data = pathlib.Path(value.partition(',')[0])
  if data.is_dir() or (data.is_file() and path.suffix != '.py'):
    raise errors.UserError(
      f'{data} is no config file, but data: did you mean'
      f' --config=arrays:{value}?'
    )
  if not path.is_file():
    stem = path.name.removesuffix('.py')
    meant = errors.suggest(stem, names())
    if (file := pathlib.Path(f'{path}.py')).is_file():
      meant = f' Did you mean {str(file)!r}?'
    raise errors.UserError(
      f'--config={value}: {str(path)!r} is neither a shipped config nor a file.'
      f'{meant} {known()}'
    )


def _check_has_function(path):
  try:
    code = compile(path.read_bytes(), str(path), 'exec')
  except (SyntaxError, ValueError) as e:
    raise errors.UserError(f'{path} is not Python: {e}.') from e
  except OSError as e:
    raise errors.UserError(f'{path} cannot be read: {e.strerror}.') from e
  # Of a module that imports all of another, the names are not known.
  if 'get_config' not in code.co_names and ('*',) not in code.co_consts:
    raise errors.UserError(
      f'{path} is no config file: it has no get_config. {known()}'
    )


def _explain(error, path):
  """What went wrong in a config file, and in which line of it."""
  text = ' '.join(str(error).split())
  if 'get_config() ' in text:  # Called with an argument, or without.
    return f'{path}: {text}'
  if type(error) is ValueError:  # Of an argument, with all that is to say.
    return text
  frames = traceback.extract_tb(error.__traceback__)
  file = str(path.absolute())
  lines = [frame.lineno for frame in frames if frame.filename == file]
  place = f'{path}, line {lines[-1]}' if lines else str(path)
  return f'{place}: {type(error).__name__}: {text}'
