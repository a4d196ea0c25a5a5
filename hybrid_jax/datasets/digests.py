"""Digests of input files: results must not outlive a change of their data."""

import hashlib
import pathlib
from collections.abc import Iterable, Mapping

from hybrid_jax import errors, files

NAME = 'inputs.json'  # in the folder of the results

_SHOWN = 3  # files that a message lists


def of_files(folder: pathlib.Path, names: Iterable[str]) -> str:
  """Returns one digest of the names and contents of files in a folder."""
  total = hashlib.sha256()
  for name in names:
    total.update(f'{name} {files.sha256(folder / name)}\n'.encode())
  return total.hexdigest()


def claim(
  folder: pathlib.Path, inputs: Mapping[str, pathlib.Path], flag: str
) -> None:
  """Stores the digests of all inputs in a new folder, or compares them.

  An input that does not exist yet is stored as missing; it may come later.

  Args:
    folder: of the results.
    inputs: the name of each input, and its file.
    flag: of the command, with which another folder can be chosen.

  Raises:
    UserError: an input has another content than the one of the results, is
      missing, or is new; the message names the files.
  """
  current = {
    name: files.sha256(path) if path.is_file() else None
    for name, path in inputs.items()
  }
  path = folder / NAME
  if not path.exists():
    files.write_json(path, current)
    return
  stored = files.read_json(path)
  _refuse(folder, _changes(stored, current), flag)
  if stored != current:
    files.write_json(path, current)


def check(folder: pathlib.Path, flag: str) -> None:
  """Compares the inputs of results with their digests, where both are known.

  Args:
    folder: of the results; without digests there is nothing to compare.
    flag: see `claim`.

  Raises:
    UserError: an input has another content than the one of the results.
  """
  path = folder / NAME
  if not path.exists():
    return
  stored = files.read_json(path)
  current = {
    name: files.sha256(file)
    for name in stored
    if (file := pathlib.Path(name).expanduser()).is_file()
  }
  _refuse(folder, _changes({n: stored[n] for n in current}, current), flag)


def _changes(stored, current) -> list[str]:
  """Returns what is not as it was, a few words for each file."""
  changes = []
  for name in sorted(stored.keys() | current.keys()):
    before, now = stored.get(name), current.get(name)
    if before == now or (before is None and name in stored):
      continue
    kind = 'is missing' if now is None else 'has other content'
    changes.append(f'{name} {kind if name in stored else "is new"}')
  return changes


def _refuse(folder, changes, flag) -> None:
  if changes:
    more = len(changes) - _SHOWN
    raise errors.UserError(
      f'{folder} was made from other data: {", ".join(changes[:_SHOWN])}'
      + (f', and {more} more' if more > 0 else '')
      + f'. Put back what was there, choose another {flag}, or remove that'
      ' folder.'
    )
