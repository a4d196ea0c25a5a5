"""Helpers for a run of several processes: rank, barriers, broadcasts, sharing.

With one process every function returns at once. Where the processes could
differ, the first process decides.
"""

import hashlib
import itertools
import pathlib
import secrets
import time
from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Sharding
from orbax.checkpoint import multihost

from hybrid_jax import errors

_Item = TypeVar('_Item')

# One process may work for hours while the others wait. A dead process is
# detected by its missing heartbeat, not by this limit.
WAIT_MS = 30 * 24 * 3600 * 1000
_FILE_WAIT_SECONDS = 30.0  # A file may be visible this late on other hosts.
_barrier_numbers = itertools.count()


def is_first() -> bool:
  """Returns whether this process writes files and prints for all of them."""
  return jax.process_index() == 0


def is_multiprocess() -> bool:
  """Returns whether the run has more than one process."""
  return jax.process_count() > 1


def barrier(name: str) -> None:
  """Waits for all processes. All must call the same barriers in one order."""
  if not is_multiprocess():
    return
  # `multihost_utils.sync_global_devices` has no timeout of its own.
  multihost.get_barrier_sync_fn()(
    key=f'hybrid_jax/{name}/{next(_barrier_numbers)}', timeout_ms=WAIT_MS
  )


def broadcast(tree: Any) -> Any:
  """Returns the first process's tree, as NumPy arrays, in every process.

  Args:
    tree: arrays, with the same structure, shapes and dtypes in every process.
  """
  if not is_multiprocess():
    return tree
  # The collective would time out where one process comes much later.
  barrier('broadcast')
  return multihost_utils.broadcast_one_to_all(jax.tree.map(np.asarray, tree))


def broadcast_bool(value: bool) -> bool:
  """Returns the first process's value; others may not see a file yet."""
  return bool(broadcast(np.int32(value)))


def process_max(value: int) -> int:
  """Returns the largest value of all processes."""
  if not is_multiprocess():
    return value
  barrier('process_max')
  return int(multihost_utils.process_allgather(np.int32(value)).max())


def local_share(items: Sequence[_Item]) -> list[_Item]:
  """Returns this process's share of independent items (round robin)."""
  return list(items[jax.process_index() :: jax.process_count()])


def replicate(tree: Any, sharding: Sharding) -> Any:
  """Puts arrays on all devices, those of other processes included.

  Args:
    tree: arrays, equal in every process; this is not checked.
    sharding: with an empty `PartitionSpec`, so that every device has a copy.

  Returns:
    The tree, with `jax.Array` leaves.
  """
  if not is_multiprocess():
    return jax.device_put(tree, sharding)
  return jax.tree.map(
    lambda a: jax.make_array_from_process_local_data(sharding, np.array(a)),
    tree,
  )


def to_local(tree: Any) -> Any:
  """Returns replicated arrays as arrays on one device of this process."""
  if not is_multiprocess():
    return tree
  return jax.tree.map(lambda a: a.addressable_data(0), tree)


def wait_for_file(path: pathlib.Path) -> None:
  """Waits, up to 30 seconds, for a file that another host has written.

  A network file system may show a new file late. With one process there is
  nothing to wait for.
  """
  deadline = time.monotonic() + _FILE_WAIT_SECONDS
  while is_multiprocess() and not path.exists():
    if time.monotonic() > deadline:
      return
    time.sleep(0.2)


def check_shared_workdir(workdir: pathlib.Path) -> None:
  """Checks that all processes see the same `workdir`.

  Raises:
    UserError: this process does not see what the first process has written.
  """
  if not is_multiprocess():
    return
  # Bytes as an array: JAX sends no strings.
  token = bytes(broadcast(np.frombuffer(secrets.token_bytes(16), np.uint8)))
  path = workdir / '.shared'
  if is_first():
    path.write_bytes(token)
  barrier('token_written')
  wait_for_file(path)
  if not _contains(path, token):
    raise errors.UserError(
      f'process {jax.process_index()} does not see {path}, which process 0'
      ' has written: --workdir must be in a file system that all hosts share.'
    )
  barrier('token_read')
  if is_first():
    path.unlink()


def check_same(name: str, value: str) -> None:
  """Checks that all processes have the same value of a setting.

  All processes must call it.

  Args:
    name: the setting, for the message.
    value: this process's value.

  Raises:
    UserError: in every process, if the value of any differs from that of
      process 0.
  """
  if not is_multiprocess():
    return
  digest = np.frombuffer(hashlib.sha256(value.encode()).digest(), np.uint8)
  same = bytes(broadcast(digest)) == digest.tobytes()
  if other := process_max(0 if same else jax.process_index()):
    raise errors.UserError(
      f'process {other} has other {name} than process 0: give all processes the'
      ' same command.'
    )


def _contains(path, token):
  try:
    return path.read_bytes() == token
  except OSError:
    return False
