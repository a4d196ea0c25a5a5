"""The flag --config, and --config.KEY=VALUE for single settings of it."""

import ast
from collections.abc import Callable, Mapping
from typing import Any

import ml_collections
from absl import flags

from hybrid_jax import errors, plugins
from hybrid_jax.study import config_files, config_tree

HELP = 'A shipped config or a Python file, as watch, watch:small or my.py.'

_SETTINGS = flags.DEFINE_multi_string(
  'config_setting',
  [],
  'KEY=VALUE: the same as --config.KEY=VALUE. The last value of a key counts.',
)

_BOOLEAN = {'true': True, 't': True, '1': True} | {
  'false': False,
  'f': False,
  '0': False,
}


def read(
  holder: flags.FlagHolder,
  tree: Callable[[Mapping[str, Any]], config_tree.Tree],
  *needed: str,
) -> ml_collections.ConfigDict:
  """Returns the config of the flag, with the settings of the command line.

  Args:
    holder: of the flag --config.
    tree: returns all settings that a config may have, see `schema.of`.
    needed: the groups that the command reads, as `'data'`.

  Raises:
    UserError: --config is missing, its file fails or lacks a group, or a
      setting is unknown.
  """
  if holder.value is None:
    raise errors.UserError(
      f'--config is needed; see --help. {config_files.known()}'
    )
  config = config_files.load(holder.value)
  keys = list(config.keys())
  missing = [name for name in needed if name not in keys]
  if missing:
    raise errors.UserError(
      f'the config has {", ".join(keys)}, and no {missing[0]!r}: it is not'
      f' that of a study. {config_files.known()}'
    )
  if not _SETTINGS.value:
    return config
  values = config.to_dict()
  for setting in _SETTINGS.value:
    key, equals, text = setting.partition('=')
    if not equals:
      raise errors.UserError(
        f'--config_setting={setting} is not KEY=VALUE, as training.steps=500.'
      )
    _set(values, tree(values), key, text)
  return ml_collections.ConfigDict(values)


def _set(values: dict[str, Any], node: Any, key: str, text: str) -> None:
  """Puts the value of a setting into a config.

  Raises:
    UserError: the config cannot have the setting.
  """
  *above, last = key.split('.')
  place, tree = 'config', node
  for name in above:
    node = _step(values, node, name, place)
    place = f'{place}.{name}'
    inner = values.get(name)
    if isinstance(node, plugins.Option) and not isinstance(inner, dict):
      # One value for each split point, perhaps, but then not this one alone.
      raise errors.UserError(
        f'{place} is {inner!r}; it has no setting {last!r}.'
      )
    if not isinstance(inner, dict):
      inner = values[name] = {}
    values = inner
  try:
    node = _step(values, node, last, place)
  except errors.UserError as e:
    others = list(_keys_named(last, tree, 'config'))
    if not others:
      raise
    raise errors.UserError(f'{e} Elsewhere: {", ".join(others)}.') from None
  values[last] = parse(text, node)


def _keys_named(name, tree, path):
  """Yields the keys of the settings of this name, in all groups of a tree."""
  for key, node in tree.items():
    if key == name:
      yield f'{path}.{key}'
    elif isinstance(node, dict):
      yield from _keys_named(name, node, f'{path}.{key}')


def _step(values, node, name, place):
  """The option, group or table of a name within a group."""
  if isinstance(node, plugins.Option):  # Its values, by split points.
    return node
  if isinstance(node, config_tree.Table):
    # A new name is a typing error, unless all valid names are known.
    names = list(values) if node.keys is None else node.keys
    errors.check_known(f'setting of {place}', name, sorted(names))
    return node.of(name, values.get(name) or {})
  errors.check_known(f'setting of {place}', name, sorted(node))
  return node[name]


def parse(text: str, node: Any) -> Any:
  """Returns a setting's value from the text on the command line.

  A text that does not fit stays a text, which the config's check refuses with
  the valid values.

  Args:
    text: what stands after the `=`.
    node: the setting's option, or a group or table.
  """
  try:
    literal = ast.literal_eval(text)
  except (ValueError, SyntaxError, MemoryError, RecursionError):
    literal = text
  if not isinstance(node, plugins.Option) or isinstance(literal, dict):
    return literal
  if literal is None and node.optional:
    return None
  if node.type is str:
    return text
  if node.type is bool:
    return _BOOLEAN.get(text.lower(), literal)
  if node.is_tuple:
    return literal if isinstance(literal, tuple | list) else (literal,)
  if node.type is float and type(literal) is int:
    return float(literal)
  return literal
