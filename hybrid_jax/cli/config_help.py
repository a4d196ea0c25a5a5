"""Prints every setting of a config: its value, the valid values, and help."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

import ml_collections
import rich.console
import rich.markup
import rich.table

from hybrid_jax import plugins
from hybrid_jax.study import config_schema, config_tree

_PLAIN_WIDTH = 150  # columns of a log; a terminal has its own
_MISSING = '–'


def show(config: Mapping[str, Any], stream: TextIO | None = None) -> None:
  """Prints a table of each group of a completed config, under the group's key.

  Args:
    config: see `config_schema.complete`.
    stream: where to print; the standard output by default.
  """
  console = rich.console.Console(file=stream or sys.stdout, highlight=False)
  if not console.is_terminal:
    console.width = _PLAIN_WIDTH
  groups: dict[str, list[tuple[str, ...]]] = {}
  for key, *texts in rows(config):
    group, _, name = key.rpartition('.')
    groups.setdefault(group, []).append((name, *texts))
  width = max(len(row[0]) for group in groups.values() for row in group)
  for group, members in groups.items():
    heading = f'config.{group}' if group else 'config'
    console.print(f'[bold]{heading}[/bold]')
    table = rich.table.Table(
      box=None, show_header=False, pad_edge=False, expand=True
    )
    table.add_column(width=width + 2, no_wrap=True)
    for share in (2, 3, 4):
      table.add_column(ratio=share, overflow='fold')
    for name, *texts in members:
      table.add_row(f'  {name}', *map(rich.markup.escape, texts))
    console.print(table)
    console.print()


def rows(config: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
  """Returns key, value, valid values and help of every setting.

  Args:
    config: see `config_schema.complete`.
  """
  values = ml_collections.ConfigDict(config).to_dict()
  return list(_rows(values, config_schema.of(values), ''))


def _rows(values: Any, tree: Any, path: str) -> Iterator[tuple]:
  for name, node in tree.items():
    key = f'{path}.{name}' if path else name
    value = values.get(name)
    if isinstance(node, config_tree.Table):
      entries = value or {}
      if not entries:
        keys = ', '.join(node.keys or ()) or 'any name'
        yield key, '{}', f'{{{node.noun or "name"}: ...}} of {keys}', 'Empty.'
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
    inner = (str(v) if isinstance(v, tuple) else _shown(v) for v in value)
    return ', '.join(inner) or '()'
  return str(value) if value != '' else "''"
