"""Completes and checks the values of a config against a tree of options."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections

from hybrid_jax import errors, plugins

Option = plugins.Option


@dataclasses.dataclass(frozen=True)
class Table:
  """A group whose keys the user chooses; every key has the same settings.

  Attributes:
    entry: the settings of a key, or a function of the key and its value that
      returns them.
    keys: the valid keys; any where it is `None`.
    noun: what a key is called in a message: `'measure'`.
    filled: whether at least one key is needed.
  """

  entry: Any
  keys: Sequence[str] | None = None
  noun: str = ''
  filled: bool = False

  def of(self, key: str, value: Any) -> Any:
    """Returns the option, or the group of options, of a key."""
    return self.entry(key, value) if callable(self.entry) else self.entry


# A key's name to its option, a group within, or a table.
Tree = dict[str, Any]


def complete(values: Mapping[str, Any], tree: Tree) -> dict[str, Any]:
  """Returns the values with the default of every setting that they lack.

  Lists and single texts become tuples where a tuple belongs, and names that a
  flag gave as one text with commas are split.

  Args:
    values: a config, or a group of one, as dicts; stays as it is.
    tree: of the same group.
  """
  out = dict(values)
  for name, node in tree.items():
    if isinstance(node, Option):
      if name not in out and node.default is not None:
        out[name] = node.default
      elif name in out:
        out[name] = _as_tuple(out[name], node)
    elif isinstance(node, Table):
      out[name] = _complete_table(out.get(name) or {}, node)
    elif isinstance(out.get(name, {}), dict):
      out[name] = complete(out.get(name) or {}, node)
  return out


def check(
  values: Any,
  tree: Tree,
  path: str = '',
  split_points: Sequence[str] = (),
  known: Sequence[str] = (),
) -> None:
  """Checks completed values against their tree.

  Args:
    values: the config, or a group of it.
    tree: of the same group.
    path: the group's key.
    split_points: those that a setting with one value for each must have.
    known: those of the model, which such a setting may have; any if empty.

  Raises:
    UserError: a key is unknown or missing, or a value has a wrong type, is out
      of range or is not one of the choices. The message names the key, the
      value and the valid ones.
  """
  _check_is_group(values, path)
  for name in values:
    where = f'setting of {path}' if path else 'setting of the config'
    errors.check_known(where, name, tree)
  for name, node in tree.items():
    key = f'{path}.{name}' if path else name
    if name in values:
      _check_node(values[name], node, key, split_points, known)
    elif _is_required(node):
      raise errors.UserError(
        f'the config has no {key}; it must be {node.valid()}.'
      )


def names(value: Any) -> list[str]:
  """Returns the texts of a tuple, split at commas, as a flag may give them."""
  texts = value if isinstance(value, tuple | list) else [value]
  parts = ','.join(text for text in texts if isinstance(text, str)).split(',')
  return [part.strip() for part in parts if part.strip()]


def _complete_table(values, table):
  if not isinstance(values, dict):
    return values
  out = {}
  for key, value in values.items():
    if callable(table.entry) and not isinstance(value, dict):
      out[key] = value  # `check` refuses it.
      continue
    node = table.of(key, value)
    if isinstance(node, Option):
      out[key] = _as_tuple(value, node)
    else:
      out[key] = complete(value, node)
  return out


def _as_tuple(value: Any, option: Option) -> Any:
  """Makes a text or a list a tuple; splits names as in `('a,b',)`."""
  if not option.is_tuple:
    return value
  if isinstance(value, list):
    value = tuple(value)
  if isinstance(value, str) and option.type == tuple[str, ...]:
    value = (value,)
  if not (option.plugin or option.choices) or not isinstance(value, tuple):
    return value
  if not all(isinstance(text, str) for text in value):
    return value
  return tuple(names(value))


def unknown_keys(values: Any, tree: Any, path: str = '') -> list[str]:
  """Returns the keys of a config that its tree does not have."""
  if isinstance(tree, Option) or not isinstance(values, Mapping):
    return []
  out = []
  for name, value in values.items():
    key = f'{path}.{name}' if path else name
    node = tree.of(name, value) if isinstance(tree, Table) else tree.get(name)
    out += [key] if node is None else unknown_keys(value, node, key)
  return out


def _check_node(value, node, key, cuts, known):
  if isinstance(node, Table):
    _check_is_group(value, key)
    if node.filled and not value:
      raise errors.UserError(f'{key} is empty; name at least one {node.noun}.')
    for name, entry in value.items():
      if node.keys is not None:
        errors.check_known(node.noun, name, node.keys, key)
      if callable(node.entry):
        _check_is_group(entry, f'{key}.{name}')
      _check_node(entry, node.of(name, entry), f'{key}.{name}', cuts, known)
  elif not isinstance(node, Option):
    check(value, node, key, cuts, known)
  elif isinstance(value, Mapping | ml_collections.ConfigDict):
    if not node.per_split_point:
      raise errors.UserError(
        f'{key} is a group of settings; it must be {node.valid()}.'
      )
    for cut in cuts:
      if cut not in value:
        raise errors.UserError(
          f'{key} has no value for the split point {cut!r}; it has'
          f' {", ".join(value) or "none"}.'
        )
    for cut, each in value.items():
      if known:
        errors.check_known('split point', cut, known, key)
      node.check(f'{key}.{cut}', each)
  else:
    node.check(key, value)


def _is_required(node):
  if not isinstance(node, Option):
    return False
  return node.default is None and not node.optional


def _check_is_group(value, key):
  if not isinstance(value, Mapping | ml_collections.ConfigDict):
    raise errors.UserError(
      f'{key} is {value!r}; it must be a group of settings.'
    )
