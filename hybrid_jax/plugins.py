"""Plug-ins: one file each, found by its name.

A data set, model, release mechanism or adversary is one module in its folder.
Nothing is registered; `base` holds what a folder's plug-ins share.
"""

import importlib
import importlib.util
import pathlib
import types

from hybrid_jax import errors

KINDS = {
  'data set': 'datasets',
  'model': 'models',
  'release mechanism': 'release',
  'defence': 'defences',
  'adversary': 'adversaries',
  'reconstruction': 'reconstruction',
  'measure': 'audit',
}


def known(kind: str) -> list[str]:
  """The names of a kind's plug-ins, sorted. `kind` is a key of `KINDS`."""
  folder = pathlib.Path(__file__).parent / KINDS[kind]
  names = (path.stem for path in folder.glob('*.py'))
  return sorted(name for name in names if name not in ('__init__', 'base'))


def load(kind: str, name: str) -> types.ModuleType:
  """The plug-in's module.

  Raises:
    UserError: no plug-in has that name; the message lists the known ones.
  """
  errors.check_known(kind, name, known(kind))
  return importlib.import_module(f'hybrid_jax.{KINDS[kind]}.{name}')


def describe(kind: str, name: str) -> str:
  """The first line of the plug-in's docstring, without importing it."""
  errors.check_known(kind, name, known(kind))
  folder = pathlib.Path(__file__).parent / KINDS[kind]
  text = (folder / f'{name}.py').read_text(encoding='utf-8')
  return text.lstrip('"').splitlines()[0].rstrip('"')
