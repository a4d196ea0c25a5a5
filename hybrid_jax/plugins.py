"""Plug-ins: one file each, found by name or by dotted path.

A data set, model, release mechanism, defence, adversary, reconstruction or
measure is one module that defines its kind's entry, see `KINDS`. A name
without a dot is a module of the package; `my_package.my_attack` is any module
that Python can import. Nothing is registered.

A plug-in may also define `OPTIONS`, its settings in the config (a dict from
name to `Option`), `TITLE`, its name in reports, and `COLOUR`.
"""

import dataclasses
import functools
import importlib
import importlib.util
import math
import numbers
import pathlib
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import ml_collections

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
  'measure': ('measures', 'measure'),
}

# Type to its name for one value, and for several.
_TYPES = {
  int: ('a whole number', 'whole numbers'),
  float: ('a number', 'numbers'),
  bool: ('True or False', 'True or False'),
  str: ('text', 'texts'),
}


@dataclasses.dataclass(frozen=True)
class Option:
  """One setting of the config: its default, and the values it may have.

  The bounds hold for a number, and for each number of a tuple.

  Attributes:
    default: the value where the config names none.
    help: one line that says what it sets.
    unit: of the number: `'steps'`, `'GiB'`.
    low: the smallest valid number.
    high: the largest valid number.
    above: a bound that the number must exceed.
    below: a bound that the number must stay under.
    choices: the valid values, or a function that returns them.
    plugin: a kind of `KINDS`, one of whose plug-ins the value names.
    noun: what a value is called in a message: `'split point'`.
    type: `int`, `float`, `bool`, `str`, or a tuple of them as
      `tuple[int, ...]`; by default that of `default`.
    lengths: the valid lengths of a tuple; any length where it is empty.
    filled: whether a tuple needs at least one item.
    distinct: whether the items of a tuple must differ.
    per_split_point: whether a dict with a value for each split point is valid.
    optional: whether `None` is valid.
  """

  default: Any
  help: str
  unit: str = ''
  low: float | None = None
  high: float | None = None
  above: float | None = None
  below: float | None = None
  choices: Sequence[Any] | Callable[[], Sequence[Any]] = ()
  plugin: str = ''
  noun: str = ''
  type: Any = None
  lengths: tuple[int, ...] = ()
  filled: bool = False
  distinct: bool = False
  per_split_point: bool = False
  optional: bool = False

  def __post_init__(self):
    if self.type is None:
      object.__setattr__(self, 'type', _type_of(self.default))

  @property
  def is_tuple(self) -> bool:
    """Whether values are tuples."""
    return typing.get_origin(self.type) is tuple

  def known(self) -> list[Any]:
    """Returns the valid values, if they can be listed."""
    choices = self.choices() if callable(self.choices) else self.choices
    return [*choices, *(known(self.plugin) if self.plugin else ())]

  def check(self, key: str, value: Any) -> None:
    """Raises `UserError` unless `value` is valid.

    Args:
      key: the setting's full name, for the message: `'training.steps'`.
      value: what the config has; one value, never a dict by split points.
    """
    if value is None and self.optional:
      return
    fits = _has_type(value, self.type)
    if fits and self.is_tuple:
      fits = not (self.lengths and len(value) not in self.lengths)
      fits = fits and not (self.filled and not value)
      fits = fits and not (self.distinct and len(set(value)) < len(value))
    leaves = list(_leaves(value))
    if not fits or not all(self._is_within(leaf) for leaf in leaves):
      raise errors.UserError(f'{key} is {value!r}; it must be {self.valid()}.')
    for leaf in leaves:
      if self.plugin and is_outside(leaf):
        load(self.plugin, leaf)
      elif self.plugin or self.choices:
        errors.check_known(
          self.noun or self.plugin or 'value', leaf, self.known(), key
        )

  def valid(self) -> str:
    """Describes the valid values: `'a whole number, 1 or more (steps)'`."""
    one, several = _TYPES.get(_innermost(self.type), ('', ''))
    each = self._range()
    if self.is_tuple:
      nested = typing.get_origin(typing.get_args(self.type)[0]) is tuple
      several = f'tuples of {several}' if nested else several
      several = f'different {several}' if self.distinct else several
      count = ' or '.join(map(str, self.lengths))
      count = count or ('one or more' if self.filled else '')
      text = f'a tuple of {count} {several}'.replace('  ', ' ')
      text += f', each {each}' if each else ''
    else:
      text = one + (f', {each}' if each else '')
    if self.plugin or self.choices:
      names = ', '.join(str(name) or "''" for name in self.known())
      count = 'one or more' if self.filled else 'some'
      count += ' different' if self.distinct else ''
      text = f'a tuple of {count} of {names}' if self.is_tuple else names
    text += f' ({self.unit})' if self.unit else ''
    text += ', or one for each split point' if self.per_split_point else ''
    text += ', or None' if self.optional else ''
    return text

  def _range(self):
    low, high, above, below = (
      None if bound is None else _number(bound)
      for bound in (self.low, self.high, self.above, self.below)
    )
    if low and high:
      return f'from {low} to {high}'
    least = f'{low} or more' if low else f'above {above}' if above else ''
    most = f'{high} at most' if high else f'below {below}' if below else ''
    return ' and '.join(part for part in (least, most) if part)

  def _is_within(self, leaf):
    if isinstance(leaf, bool) or not isinstance(leaf, numbers.Real):
      return True
    return (
      (self.low is None or leaf >= self.low)
      and (self.high is None or leaf <= self.high)
      and (self.above is None or leaf > self.above)
      and (self.below is None or leaf < self.below)
    )


# The settings of a plug-in or of a group; a dict is a group within.
Options = Mapping[str, 'Option | Options']


def known(kind: str) -> list[str]:
  """Returns the names of a kind's plug-ins, sorted.

  Args:
    kind: a key of `KINDS`.
  """
  return list(_known(kind))


@functools.cache
def _known(kind):
  folder, entry = KINDS[kind]
  defines = re.compile(rf'^(def|class) {entry}\b', re.MULTILINE)
  return sorted(
    path.stem
    for path in (_ROOT / folder).glob('*.py')
    if defines.search(path.read_text(encoding='utf-8'))
  )


def is_outside(name: Any) -> bool:
  """Returns whether a plug-in's name is a dotted path out of the package."""
  parts = name.split('.') if isinstance(name, str) else []
  return len(parts) > 1 and all(part.isidentifier() for part in parts)


def key(name: str) -> str:
  """Returns the name of a plug-in in results and as a group of the config.

  Args:
    name: `'trees'`, or a dotted path, whose last part is returned.
  """
  return name.rpartition('.')[2]


def load(kind: str, name: str) -> types.ModuleType:
  """Imports a plug-in's module.

  Args:
    kind: a key of `KINDS`.
    name: of a module of the package, or a dotted path.

  Raises:
    UserError: no plug-in has that name; the message lists the known ones. Or a
      dotted path cannot be imported, or its module lacks the kind's entry.
  """
  if is_outside(name):
    return _load_outside(kind, name)
  errors.check_known(kind, name, known(kind))
  return importlib.import_module(f'hybrid_jax.{KINDS[kind][0]}.{name}')


def describe(kind: str, name: str) -> str:
  """Returns the first line of the plug-in's docstring, without importing it."""
  errors.check_known(kind, name, known(kind))
  path = _ROOT / KINDS[kind][0] / f'{name}.py'
  text = path.read_text(encoding='utf-8')
  return text.lstrip('"').splitlines()[0].rstrip('"')


def options(kind: str, name: str) -> Options:
  """Returns a plug-in's settings: `OPTIONS`, or the fields of a model."""
  module = load(kind, name)
  if kind == 'model':
    return _fields(module.Model)
  return getattr(module, 'OPTIONS', {})


def defaults(kind: str, name: str) -> dict[str, Any]:
  """Returns the default of each of a plug-in's settings."""
  return values(options(kind, name))


def values(group: Options) -> dict[str, Any]:
  """Returns the default of each setting of a group, nested as it is."""
  return {
    name: option.default if isinstance(option, Option) else values(option)
    for name, option in group.items()
  }


def settings(
  kind: str, name: str, config: ml_collections.ConfigDict
) -> ml_collections.ConfigDict:
  """Returns a plug-in's settings: its defaults, and those of a config.

  Args:
    kind: a key of `KINDS`.
    name: of a module of the package, or a dotted path.
    config: a group that may have the plug-in's settings under its key.
  """
  group = config.get(key(name)) or ml_collections.ConfigDict()
  return ml_collections.ConfigDict(defaults(kind, name) | group.to_dict())


def title(kind: str, name: str) -> str:
  """Returns a plug-in's name for reports: `TITLE`, or its name in words."""
  words = key(name).replace('_', ' ')
  return getattr(load(kind, name), 'TITLE', words)


def colour(kind: str, name: str) -> str | None:
  """Returns a plug-in's `COLOUR` in figures, or `None`."""
  return getattr(load(kind, name), 'COLOUR', None)


def _load_outside(kind, name):
  try:
    module = importlib.import_module(name)
  except Exception as e:  # An import runs any code.
    raise errors.UserError(
      f'the {kind} {name!r} cannot be imported: {type(e).__name__}:'
      f' {" ".join(str(e).split())}. Give the dotted path of a module that'
      ' Python finds, as my_package.my_module.'
    ) from e
  entry = KINDS[kind][1]
  if not callable(getattr(module, entry, None)):
    raise errors.UserError(
      f'the {kind} {name!r} has no {entry!r}; a module of this kind must define'
      f' it, as the plug-ins in hybrid_jax/{KINDS[kind][0]} do.'
    )
  for key, option in getattr(module, 'OPTIONS', {}).items():
    if not isinstance(option, Option):
      raise errors.UserError(
        f'the {kind} {name!r}: OPTIONS[{key!r}] is {option!r}; it must be a'
        ' plugins.Option.'
      )
  return module


def _fields(model):
  """The options of a model: its dataclass fields, and the docstring's lines."""
  docs = '\n'.join(each.__doc__ or '' for each in reversed(model.__mro__))
  lines = re.findall(r'^ {4}(\w+): (.+(?:\n {6}.+)*)', docs, re.MULTILINE)
  helps = {name: _sentence(text) for name, text in lines}
  kinds = typing.get_type_hints(model)
  return {
    field.name: Option(
      field.default,
      helps.get(field.name, ''),
      type=kinds[field.name],
      low=None if kinds[field.name] is bool else _least(field.default),
    )
    for field in dataclasses.fields(model)
    if field.name not in ('classes', 'parent', 'name')
  }


def _least(default):
  """Sizes are 1 or more; a number that is 0 or 1 by default may be 0."""
  sizes = default if isinstance(default, tuple) else (default,)
  return 1 if all(isinstance(n, int) and n > 1 for n in sizes) else 0


def _sentence(text):
  text = ' '.join(text.split())
  return text[:1].upper() + text[1:]


def _type_of(value):
  if isinstance(value, tuple):
    if not value:
      raise TypeError('the type of an option whose default is () is not known')
    return tuple[_type_of(value[0]), ...]
  return type(value)


def _innermost(kind):
  while typing.get_origin(kind) is tuple:
    kind = typing.get_args(kind)[0]
  return kind


def _has_type(value, kind):
  if typing.get_origin(kind) is tuple:
    inner = typing.get_args(kind)[0]
    return isinstance(value, tuple | list) and all(
      _has_type(item, inner) for item in value
    )
  if kind in (bool, str):
    return isinstance(value, kind)
  number = numbers.Integral if kind is int else numbers.Real
  return (
    isinstance(value, number)
    and not isinstance(value, bool)
    and math.isfinite(value)
  )


def _number(value):
  return str(value) if isinstance(value, int) else f'{value:g}'


def _leaves(value) -> Iterator[Any]:
  if isinstance(value, tuple | list):
    for item in value:
      yield from _leaves(item)
  else:
    yield value
