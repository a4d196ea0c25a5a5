"""Atomic file writes, and readers that name a damaged file."""

import contextlib
import hashlib
import io
import json
import os
import pathlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from hybrid_jax import errors

_RUN_AGAIN = 'Remove it and run the same command again.'


@contextlib.contextmanager
def atomic_write(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Replaces a file in one step: it holds the old or the new content.

  Args:
    path: the file. Missing folders are created.

  Yields:
    A temporary path in the same folder, to be written in the `with` block. At
    the end of the block it is renamed to `path`; after an error it is deleted.

  Raises:
    UserError: the operating system cannot write, for example on a full disk.
  """
  temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    yield temporary
    with open(temporary, 'rb') as f:
      os.fsync(f.fileno())
    os.replace(temporary, path)
  except OSError as e:
    raise errors.UserError(
      f'could not write {path}: {e.strerror or e}. Its previous content is'
      ' unchanged.'
    ) from e
  finally:
    with contextlib.suppress(OSError):
      temporary.unlink()


def write_bytes(path: pathlib.Path, data: bytes) -> None:
  """Writes `data` to a file; see `atomic_write`."""
  with atomic_write(path) as temporary:
    temporary.write_bytes(data)


def write_files(folder: pathlib.Path, contents: Mapping[str, bytes]) -> None:
  """Writes several files to a folder; if the disk is full, none of them.

  Args:
    folder: created if it is missing.
    contents: file name to content. The files are replaced in this order.

  Raises:
    UserError: see `atomic_write`.
  """
  new = folder / '.new'
  try:
    for name, data in contents.items():
      write_bytes(new / name, data)
    for name in contents:
      os.replace(new / name, folder / name)
  finally:
    shutil.rmtree(new, ignore_errors=True)


def encode_json(value: Any) -> bytes:
  """Returns `value` as JSON with sorted keys.

  Raises:
    ValueError: a number is NaN or infinite.
  """
  text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False)
  return (text + '\n').encode()


def by_number(keys: Iterable[str]) -> list[str]:
  """Returns keys that are numbers in their order; JSON has them as text."""
  return sorted(keys, key=float)


def write_json(path: pathlib.Path, value: Any) -> None:
  """Writes `value` as JSON; see `encode_json` and `atomic_write`."""
  write_bytes(path, encode_json(value))


def read_json(path: pathlib.Path) -> Any:
  """Reads a JSON file.

  Raises:
    UserError: the file does not exist, or is not JSON.
  """
  try:
    return json.loads(path.read_text(encoding='utf-8'))
  except FileNotFoundError as e:
    raise errors.UserError(f'{path} does not exist.') from e
  except ValueError as e:
    raise errors.UserError(f'{path} is damaged: {e}. {_RUN_AGAIN}') from e


def write_npz(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
  """Writes named arrays as an `.npz`; see `atomic_write`.

  Raises:
    ValueError: an array holds Python objects, which would be pickled.
  """
  for name, array in arrays.items():
    if np.asarray(array).dtype.hasobject:
      raise ValueError(f'Object arrays cannot be saved: {name!r} is one.')
  buffer = io.BytesIO()
  # NumPy 2.1 takes `allow_pickle` for the name of an array.
  named: dict[str, Any] = dict(arrays)
  np.savez(buffer, **named)
  write_bytes(path, buffer.getvalue())


def read_npz(
  path: pathlib.Path, advice: str = _RUN_AGAIN
) -> dict[str, np.ndarray]:
  """Reads all arrays of an `.npz`.

  Args:
    path: the file.
    advice: the end of the message for a damaged file: what the user can do.

  Raises:
    UserError: the file does not exist, is truncated, or holds pickled objects.
  """
  try:
    with np.load(path, allow_pickle=False) as stored:
      return {name: stored[name] for name in stored.files}
  except FileNotFoundError as e:
    raise errors.UserError(f'{path} does not exist.') from e
  except Exception as e:  # zipfile, zlib and numpy have errors of their own.
    # NumPy takes every file that it does not know for pickled objects.
    reason = 'it is no .npz, or pickled objects' if 'pickle' in str(e) else e
    raise errors.UserError(f'{path} is damaged: {reason}. {advice}') from e


def sha256(path: pathlib.Path) -> str:
  """Returns the SHA-256 of a file, in hexadecimal."""
  with open(path, 'rb') as f:
    return hashlib.file_digest(f, 'sha256').hexdigest()
