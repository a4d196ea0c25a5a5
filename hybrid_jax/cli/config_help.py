"""Prints every setting of a config: its value, the valid values, and help."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

import ml_collections
import rich.box
import rich.console
import rich.markup
import rich.table

from hybrid_jax import plugins
from hybrid_jax.study import config_tree, schema

_PLAIN_WIDTH = 150  # columns of a log; a terminal has its own
_MISSING = '–'


def show(config: Mapping[str, Any], stream: TextIO | None = None) -> None:
  """Prints a table for each group of a completed config.

  Args:
    config: see `schema.complete`.
    stream: where to print; the standard output by default.
  """
  console = rich.console.Console(file=stream or sys.stdout, highlight=False)
  if not console.is_terminal:
    console.width = _PLAIN_WIDTH
  table = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False)
  table.add_column('setting', no_wrap=True)
  for name, share in (('value', 2), ('valid values', 3), ('what it sets', 4)):
    table.add_column(name, ratio=share, overflow='fold')
  group = None
  for key, value, valid, text in rows(config):
    if group not in (None, key.partition('.')[0]):
      table.add_section()
    group = key.partition('.')[0]
    table.add_row(*map(rich.markup.escape, (key, value, valid, text)))
  console.print(table)


def rows(config: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
  """Returns key, value, valid values and help of every setting.

  Args:
    config: see `schema.complete`.
  """
  values = ml_collections.ConfigDict(config).to_dict()
  return list(_rows(values, schema.of(values), ''))


def _rows(values: Any, tree: Any, path: str) -> Iterator[tuple]:
  for name, node in tree.items():
    key = f'{path}.{name}' if path else name
    value = values.get(name)
    if isinstance(node, config_tree.Table):
      entries = value or {}
      inner = {n: node.of(n, entries[n]) for n in entries}
      yield from _rows(entries, inner, key)
    elif isinstance(node, plugins.Option):
      yield key, _shown(value), node.valid(), node.help
    else:
      yield from _rows(value or {}, node, key)


def _shown(value):
  if value is None:
    return _MISSING
  if isinstance(value, Mapping):
    return ', '.join(f'{name}: {each}' for name, each in value.items())
  if isinstance(value, tuple):
    return ', '.join(map(_shown, value)) or '()'
  return str(value) if value != '' else "''"
