"""Data files inside installed packages, which are not imported."""

import importlib.util
import pathlib

from hybrid_jax import errors, files


def find_folder(package: str, data_set: str) -> pathlib.Path:
  """Returns the folder of an installed package.

  Args:
    package: its name.
    data_set: the data set that it holds; also the name of the extra of
      hybrid-jax that installs the package.

  Raises:
    UserError: the package is not installed.
  """
  spec = importlib.util.find_spec(package)
  if spec is None or not spec.submodule_search_locations:
    raise errors.UserError(
      f'the data set {data_set!r} is in the {package} package, which is not'
      f" installed: pip install 'hybrid-jax[{data_set}]'."
    )
  return pathlib.Path(next(iter(spec.submodule_search_locations)))


def check_sha256(path: pathlib.Path, expected: str, reason: str) -> None:
  """Checks that a file has the expected content.

  Args:
    path: the file.
    expected: its SHA-256, in hexadecimal.
    reason: why no other file can be used, for the error message.

  Raises:
    UserError: the file does not exist or has another content.
  """
  actual = files.sha256(path) if path.is_file() else 'no file'
  if actual != expected:
    raise errors.UserError(
      f'{path} is not the known file: its sha256 is {actual}, not {expected}.'
      f' {reason}'
    )
