"""The program `hybrid-jax`, which runs one of its commands."""

import ast
import importlib
import pathlib
import sys

import hybrid_jax
from hybrid_jax import errors

COMMANDS = (
  'study',
  'audit',
  'export',
  'serve',
  'gate',
  'cost',
  'live',
  'check-data',
  'grid',
  'results',
)


def main() -> None:
  """Runs the command that the first argument names."""
  name, *rest = sys.argv[1:] or ['--help']
  if name in ('--help', '-h', '-?', 'help'):
    print(_help())
    return
  if name == '--version':
    print(f'hybrid-jax {hybrid_jax.__version__}')
    return
  name = name.replace('_', '-')
  try:
    errors.check_known('command', name, COMMANDS)
  except errors.UserError as e:
    print(f'error: {e}', file=sys.stderr)
    sys.exit(2)
  sys.path.append('')  # Plug-ins may be in the working directory.
  sys.argv = [f'hybrid-jax {name}', *rest]
  from hybrid_jax.cli import command  # It is not needed for --help.

  module = importlib.import_module(f'hybrid_jax.cli.{_module(name)}')
  command.run(module.main, getattr(module, 'MISTAKE', 1))


def _help():
  lines = [
    'usage: hybrid-jax COMMAND [--FLAG=VALUE ...]',
    '',
    *(f'  {name:11s} {_describe(name)}' for name in COMMANDS),
    '',
    '`hybrid-jax COMMAND --help` describes a command and its flags.',
  ]
  return '\n'.join(lines)


def _module(name):
  return name.replace('-', '_')


def _describe(name):
  """The first line of a command's docstring, without importing its module."""
  path = pathlib.Path(__file__).parent / f'{_module(name)}.py'
  text = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8'))) or ''
  return text.partition('\n')[0]
