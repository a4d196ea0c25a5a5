"""Checks, before any training, that what later stages import is installed."""

import importlib.util
import sys

from hybrid_jax import errors

# Each extra's packages, and what they are for.
_EXTRAS = {
  'export': (('tensorflow', 'ai_edge_litert'), 'the stage export'),
  'images': (('skimage',), 'attack.measures.reconstruction on images'),
}


def check(extra: str) -> None:
  """Checks that the packages of an extra of hybrid-jax are installed.

  Args:
    extra: `'export'` or `'images'`.

  Raises:
    UserError: one is missing; the message has the command that installs it.
  """
  packages, purpose = _EXTRAS[extra]
  missing = [name for name in packages if not _is_installed(name)]
  if missing:
    raise errors.UserError(
      f'{purpose} needs {" and ".join(missing)}: pip install'
      f" 'hybrid-jax[{extra}]', or leave it out."
    )


def _is_installed(package):
  if package in sys.modules:
    return sys.modules[package] is not None
  return importlib.util.find_spec(package) is not None
