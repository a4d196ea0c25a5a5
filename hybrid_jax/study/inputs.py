"""The files that a config names: the data set's and the pretrained weights."""

import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections

from hybrid_jax import plugins

_SETTINGS = ('path', 'folder', 'file', 'manual_dir')


def of_config(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> dict[str, pathlib.Path]:
  """Returns the name of each input of a study, and its file.

  A data set with a function `input_files(config)` names its files; of others
  they are all that the settings `path`, `folder`, `file` and `manual_dir` name.
  Files of installed packages belong to their version.

  Args:
    config: of the study.
    workdir: its files, and hidden files, are no inputs.
  """
  module = plugins.load('data set', config.data.name)
  if hasattr(module, 'input_files'):
    paths = list(module.input_files(config.data))
  else:
    paths = list(_named(config.data.to_dict()))
  paths += _named(config.model.pretrained.to_dict())
  inside = workdir.absolute()
  return {
    str(file): file.expanduser()
    for path in paths
    for file in _files(path)
    if inside not in file.expanduser().absolute().parents
  }


def _named(settings: Mapping[str, Any]) -> list[pathlib.Path]:
  return [
    pathlib.Path(settings[name])
    for name in _SETTINGS
    if isinstance(settings.get(name), str) and settings[name]
  ]


def _files(path: pathlib.Path) -> list[pathlib.Path]:
  """Returns a file, or the files in a folder that are not hidden."""
  folder = path.expanduser()
  if not folder.is_dir():
    return [path]
  names = sorted(
    f.relative_to(folder) for f in folder.rglob('*') if f.is_file()
  )
  return [
    path / name
    for name in names
    if not any(part.startswith('.') for part in name.parts)
  ]
