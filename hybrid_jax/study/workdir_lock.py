"""A lock on a folder of results: one run at a time works there.

The operating system holds it for a process (`flock`), so that a killed run does
not leave it behind.
"""

import contextlib
import datetime
import json
import os
import pathlib
import shutil
import socket
from collections.abc import Iterator

from hybrid_jax import errors

try:
  import fcntl
except ImportError:  # Windows has no such locks.
  fcntl = None

NAME = '.lock'


@contextlib.contextmanager
def hold(folder: pathlib.Path) -> Iterator[None]:
  """Holds the lock of a folder, which is created if it is missing.

  A file system without locks gives none.

  Raises:
    UserError: another process holds it, or the folder cannot be written to.
  """
  if fcntl is None:
    yield
    return
  is_new = not folder.exists()
  file = _open(folder)
  try:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
      raise errors.UserError(
        f'another run is at work in {folder}{_describe(file)}. Wait for its'
        ' end, or choose another folder.'
      ) from e
    except OSError:
      yield
      return
    holder = {
      'process': os.getpid(),
      'host': socket.gethostname(),
      'since': f'{datetime.datetime.now():%Y-%m-%d %H:%M:%S}',
    }
    file.truncate(0)
    file.write(json.dumps(holder))
    file.flush()
    yield
  finally:
    if is_new and folder.exists() and os.listdir(folder) == [NAME]:
      shutil.rmtree(folder)  # Nothing was written.
    file.close()


def _open(folder):
  try:
    folder.mkdir(parents=True, exist_ok=True)
    return open(folder / NAME, 'a+')  # The caller closes it.
  except OSError as e:
    raise errors.UserError(
      f'{folder} cannot be written to: {e.strerror or e}.'
    ) from e


def _describe(file):
  """Returns who holds the lock, as far as its file tells."""
  try:
    file.seek(0)
    holder = json.loads(file.read())
    return (
      f' (process {holder["process"]} on {holder["host"]}, since'
      f' {holder["since"]})'
    )
  except (ValueError, KeyError, TypeError):
    return ''
