"""Plug-ins: one file each, found by its name.

A data set, model, release mechanism or adversary is one module in its folder.
Nothing is registered; `base` holds what a folder's plug-ins share.
"""

import importlib
import importlib.util
import pathlib
import re
import types

from hybrid_jax import errors

_ROOT = pathlib.Path(__file__).parent

# Each kind's folder, and the name that a plug-in of it defines.
KINDS = {
  'data set': ('datasets', 'load'),
  'model': ('models', 'Model'),
  'release mechanism': ('release', 'fit'),
  'defence': ('defences', 'make'),
  'adversary': ('attacks', 'attack'),
  'reconstruction': ('attacks', 'reconstruct'),
  'measure': ('audit', 'measure'),
}


def known(kind: str) -> list[str]:
  """Returns the names of a kind's plug-ins, sorted.

  Args:
    kind: a key of `KINDS`.
  """
  folder, entry = KINDS[kind]
  defines = re.compile(rf'^(def|class) {entry}\b', re.MULTILINE)
  return sorted(
    path.stem
    for path in (_ROOT / folder).glob('*.py')
    if defines.search(path.read_text(encoding='utf-8'))
  )


def load(kind: str, name: str) -> types.ModuleType:
  """Imports a plug-in's module.

  Raises:
    UserError: no plug-in has that name; the message lists the known ones.
  """
  errors.check_known(kind, name, known(kind))
  return importlib.import_module(f'hybrid_jax.{KINDS[kind][0]}.{name}')


def describe(kind: str, name: str) -> str:
  """Returns the first line of the plug-in's docstring, without importing it."""
  errors.check_known(kind, name, known(kind))
  path = _ROOT / KINDS[kind][0] / f'{name}.py'
  text = path.read_text(encoding='utf-8')
  return text.lstrip('"').splitlines()[0].rstrip('"')
