"""Files are written whole or not at all."""

import contextlib
import hashlib
import io
import json
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hybrid_jax import errors


@contextlib.contextmanager
def whole(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields a temporary path beside `path`; on success it takes its place.

  Raises:
    UserError: the disk is full or refuses; `path` keeps what it held before.
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
      f'could not write {path}: {e.strerror or e}. What it held before is kept.'
    ) from e
  finally:
    with contextlib.suppress(OSError):
      temporary.unlink()


def write_bytes(path: pathlib.Path, data: bytes) -> None:
  """Writes `data` whole or not at all; see `whole`."""
  with whole(path) as temporary:
    temporary.write_bytes(data)


def write_together(folder: pathlib.Path, contents: Mapping[str, bytes]) -> None:
  """Writes files into `folder`, all or, where the disk is full, none of them.

  Args:
    folder: made if need be.
    contents: name to bytes; they take their places in this order.
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
  """JSON with sorted keys; NaN is refused with `ValueError`."""
  text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False)
  return (text + '\n').encode()


def write_json(path: pathlib.Path, value: Any) -> None:
  """Writes `encode_json`, whole."""
  write_bytes(path, encode_json(value))


def read_json(path: pathlib.Path) -> Any:
  """Reads a JSON file.

  Raises:
    UserError: the file is not there, or is not JSON.
  """
  try:
    return json.loads(path.read_text(encoding='utf-8'))
  except FileNotFoundError as e:
    raise errors.UserError(f'{path} is not there.') from e
  except ValueError as e:
    raise errors.UserError(
      f'{path} is damaged: {e}. Remove it and run the same command again.'
    ) from e


def write_npz(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
  """Writes named arrays as an `.npz`, whole; no pickled objects."""
  buffer = io.BytesIO()
  np.savez(buffer, allow_pickle=False, **arrays)
  write_bytes(path, buffer.getvalue())


def read_npz(
  path: pathlib.Path,
  advice: str = 'Remove it and run the same command again.',
) -> dict[str, np.ndarray]:
  """Reads every array of an `.npz`; pickled objects are refused.

  Args:
    path: the file.
    advice: what to do where it cannot be read.

  Raises:
    UserError: the file is not there, is truncated, or holds pickled objects.
  """
  try:
    with np.load(path, allow_pickle=False) as stored:
      return {name: stored[name] for name in stored.files}
  except FileNotFoundError as e:
    raise errors.UserError(f'{path} is not there.') from e
  except Exception as e:  # zipfile, zlib and numpy each raise their own.
    raise errors.UserError(f'{path} is damaged: {e}. {advice}') from e


def sha256(path: pathlib.Path) -> str:
  """The file's SHA-256, in hexadecimal."""
  with open(path, 'rb') as f:
    return hashlib.file_digest(f, 'sha256').hexdigest()
