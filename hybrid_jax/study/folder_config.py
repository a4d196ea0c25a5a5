"""What the configs of folders share: their argument, and sizes that fit."""

import os
from collections.abc import Sequence
from typing import Any

import ml_collections

from hybrid_jax import plugins
from hybrid_jax.study import config_parts


def parse(
  name: str, arg: str, keys: Sequence[str], config: str = '', **changed: Any
) -> tuple[dict[str, Any], str]:
  """Splits a config's argument into settings of the data and a variant.

  Args:
    name: of the data set.
    arg: `FOLDER,key=value,variant`; the folder's name may contain commas.
    keys: the settings that may be given.
    config: the name of the config; by default that of the data set.
    **changed: settings with another default than the data set's.

  Returns:
    The settings with all defaults, and one of `config_parts.VARIANTS`.

  Raises:
    ValueError: there is no folder, or a word is unknown or not a number.
  """
  config = config or name
  folder, words = _split(arg)
  if not folder:
    raise ValueError(
      f'{config} takes a folder, as {config}:FOLDER, not {arg!r}'
    )
  defaults = {**plugins.defaults('data set', name), **changed}
  data, variant = {'name': name, **defaults, 'folder': folder}, ''
  for word in words:
    key, equals, value = word.partition('=')
    if not equals:
      config_parts.check_variant(word, f'{config} (after {folder},)')
      variant = word
    elif key in keys:
      data[key] = _number(f'{config}: {key}', value, defaults[key])
    else:
      raise ValueError(
        f'{config} takes {", ".join(f"{k}=" for k in keys)} or'
        f' {", ".join(config_parts.VARIANTS[1:])}, not {word!r}'
      )
  return data, variant


def fit_to_data(c: ml_collections.ConfigDict) -> None:
  """Sets what follows from the data: prototypes, and batches that fit.

  There is one prototype for each primary class, and no batch is larger than
  the training fold.

  Args:
    c: the config, which is changed in place.

  Raises:
    UserError: the data set cannot be studied.
  """
  data = plugins.load('data set', c.data.name).load(c.data)
  c.release.prototypes = len(data.primary_names)
  most = int((data.fold == 0).sum())
  for group in ('training', 'siamese', 'defend'):
    c[group].batch_size = min(c[group].batch_size, most)


def _split(arg):
  """Returns the folder, which may contain commas, and the words after it."""
  parts = arg.split(',')
  for i in range(len(parts), 0, -1):
    folder = os.path.expanduser(','.join(parts[:i]))
    if folder and os.path.isdir(folder):
      return folder, parts[i:]
  return os.path.expanduser(parts[0]), parts[1:]


def _number(what, text, default):
  try:
    if isinstance(default, bool):
      return bool(int(text))
    if isinstance(default, tuple):
      numbers = tuple(int(part) for part in text.split('x'))
      return numbers * 2 if len(numbers) == 1 else numbers
    return type(default)(text)
  except ValueError:
    form = 'a number, or two as 48x64' if default else 'a number'
    raise ValueError(f'{what}= takes {form}, not {text!r}') from None
