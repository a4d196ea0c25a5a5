"""Who speaks, who does what, and who waits, in a run of several processes.

In a run of one process nothing here does anything. What is to be the same
everywhere, the first process decides.
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
from jax._src import distributed  # JAX has no public way to its barriers.
from jax.experimental import multihost_utils
from jax.sharding import Sharding

from hybrid_jax import errors

_Item = TypeVar('_Item')

# A process may have much to do while the others wait; dead ones are found out
# by their heartbeat.
FOREVER_MS = 30 * 24 * 3600 * 1000
_SEEN_SECONDS = 30.0  # what a file may take to be seen on other hosts
_numbers = itertools.count()


def is_first() -> bool:
  """Whether this process writes and speaks for all."""
  return jax.process_index() == 0


def several() -> bool:
  """Whether there are other processes."""
  return jax.process_count() > 1


def client() -> Any:
  """JAX's own, with barriers and a small store of keys for all processes."""
  return distributed.global_state.client


def barrier(name: str) -> None:
  """Waits until all processes are here. All meet the same ones in order."""
  if several():
    client().wait_at_barrier(
      f'hybrid_jax/{name}/{next(_numbers)}',
      FOREVER_MS,
    )


def from_first(tree: Any) -> Any:
  """The first process's tree of arrays, as NumPy arrays, in every process.

  Args:
    tree: of the same structure, shapes and dtypes everywhere.
  """
  if not several():
    return tree
  # Processes that come late would be missed by the collective.
  barrier('from_first')
  return multihost_utils.broadcast_one_to_all(jax.tree.map(np.asarray, tree))


def agreed(value: bool) -> bool:
  """What the first process says, which may see a file that others do not."""
  return bool(from_first(np.int32(value)))


def most(value: int) -> int:
  """The largest value of all processes."""
  if not several():
    return value
  barrier('most')
  return int(multihost_utils.process_allgather(np.int32(value)).max())


def share(items: Sequence[_Item]) -> list[_Item]:
  """This process's part of what is independent of each other."""
  return list(items[jax.process_index() :: jax.process_count()])


def put(tree: Any, sharding: Sharding) -> Any:
  """As `jax.device_put`, where the devices may be of other processes too.

  Args:
    tree: of arrays that are the same in every process.
    sharding: one that replicates.
  """
  if not several():
    return jax.device_put(tree, sharding)
  return jax.tree.map(
    lambda a: jax.make_array_from_process_local_data(sharding, np.array(a)),
    tree,
  )


def local(tree: Any) -> Any:
  """Replicated arrays on one device of this process, to compute alone."""
  if not several():
    return tree
  return jax.tree.map(lambda a: a.addressable_data(0), tree)


def wait_for(path: pathlib.Path) -> None:
  """Waits for what another host has written, a while at most.

  A network's file system may show a file late; in one process nothing is late.
  """
  until = time.monotonic() + _SEEN_SECONDS
  while several() and not path.exists() and time.monotonic() < until:
    time.sleep(0.2)


def check_shared(workdir: pathlib.Path) -> None:
  """Makes sure that all processes see the same `workdir`.

  Raises:
    UserError: this process does not see what the first one writes.
  """
  if not several():
    return
  # As an array's bytes: JAX sends no text.
  token = bytes(from_first(np.frombuffer(secrets.token_bytes(16), np.uint8)))
  path = workdir / '.shared'
  if is_first():
    path.write_bytes(token)
  barrier('written')
  wait_for(path)
  if not _holds(path, token):
    raise errors.UserError(
      f'process {jax.process_index()} does not see {path}, which process 0'
      ' has written: --workdir must be in a file system that all hosts share.'
    )
  barrier('seen')
  if is_first():
    path.unlink()


def check_same(what: str, value: str) -> None:
  """Makes sure that all processes were given the same.

  Args:
    what: is compared, for the message.
    value: this process's.

  Raises:
    UserError: in all processes, if one was given other than the first.
  """
  if not several():
    return
  digest = np.frombuffer(hashlib.sha256(value.encode()).digest(), np.uint8)
  same = bytes(from_first(digest)) == digest.tobytes()
  if other := most(0 if same else jax.process_index()):
    raise errors.UserError(
      f'process {other} has other {what} than process 0: give all processes the'
      ' same command.'
    )


def _holds(path, token):
  try:
    return path.read_bytes() == token
  except OSError:
    return False
