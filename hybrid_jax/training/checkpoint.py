"""Checkpoints of a training run: Orbax, whole or not at all, with a digest."""

import hashlib
import json
import pathlib
import shutil
from typing import Any

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from hybrid_jax import errors, files, progress
from hybrid_jax.training import distributed

_KEEP = 2


def save(
  folder: pathlib.Path, step: int, state: Any, position: Any = None
) -> None:
  """Saves `state` as `folder/STEP`; the newest two are kept.

  Of several processes all call this alike, and the first one writes.

  Args:
    folder: of this run's checkpoints.
    step: how many steps are done.
    state: a tree of arrays.
    position: where a stream of batches stands, as JSON; `None` without one.

  Raises:
    UserError: it could not be written (a full disk); older ones are kept.
  """
  path = folder.absolute() / f'{step:08d}'
  try:
    if distributed.is_first():
      folder.mkdir(parents=True, exist_ok=True)
      # Later ones can only be damaged: the run went back behind them.
      for stale in (p for p in _steps(folder) if p.name >= path.name):
        _remove(stale)
      _make_sure_of_room(folder, state)
    _meet()
    ocp.save(path, state, overwrite=True)
  except Exception as e:  # Orbax and TensorStore each raise their own.
    if not distributed.is_first():  # Then it tells of another process.
      raise
    for leftover in folder.glob(f'{path.name}*'):
      shutil.rmtree(leftover, ignore_errors=True)
    raise errors.UserError(
      f'could not save the checkpoint {path}: {_first_line(e)}. The last good'
      ' one is kept.'
    ) from e
  if distributed.is_first():
    # Written last: a checkpoint without its digest counts as unfinished.
    written = {'sha256': _digest(state, position)}
    if position is not None:
      written['position'] = position
    files.write_json(_digest_path(path), written)
    for old in _steps(folder)[:-_KEEP]:
      _remove(old)
  distributed.barrier('saved')


def restore(folder: pathlib.Path, like: Any) -> Any | None:
  """The newest good state in `folder`, or `None` if there is none.

  A truncated or damaged checkpoint is said in one line and passed over for the
  one before it.

  Args:
    folder: where `save` wrote.
    like: a state of the same structure, shapes and dtypes.
  """
  found = restore_with_position(folder, like)
  return None if found is None else found[0]


def restore_with_position(
  folder: pathlib.Path, like: Any
) -> tuple[Any, Any] | None:
  """As `restore`, with the position that was saved beside it, or `None`."""
  for path in reversed(_steps(folder)):
    try:
      with _alone():
        state = ocp.load(path.absolute(), like)
      written = files.read_json(_digest_path(path))
      position = written.get('position')
      if written['sha256'] != _digest(state, position):
        raise errors.UserError('its digest does not match')
    except Exception as e:  # Orbax and TensorStore each raise their own.
      progress.say(
        f'the checkpoint {path} is damaged ({_first_line(e)}); going on from'
        ' the one before it.'
      )
      continue
    return state, position
  return None


def _meet():
  """All processes are here, and Orbax counts alike in each.

  It names its barriers by how much it did in a process, and a process that has
  read alone would wait at another one than the rest, forever.
  """
  if not distributed.is_multiprocess():
    return
  from orbax.checkpoint._src.futures import synchronization  # Not public.

  counter = synchronization.OperationIdGenerator
  done = np.int32(counter.get_current_operation_id())
  for _ in range(distributed.process_max(done) - done):
    counter.next_operation_id()


def _alone():
  """Each of several processes reads for itself, and waits for no other."""
  context = ocp.Context()
  if distributed.is_multiprocess():
    mine = jax.process_index()
    context.multiprocessing.primary_host = mine
    context.multiprocessing.active_processes = {mine}
    context.multiprocessing.barrier_sync_key_prefix = f'process{mine}'
  return context


def _make_sure_of_room(folder, state):
  """Writes as much as a checkpoint takes, and takes it away again.

  On a full disk TensorStore's threads print their own tracebacks after the
  error has been raised; this finds out before they start.
  """
  size = sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(state))
  probe = folder / '.room'
  try:
    probe.write_bytes(bytes(2 * size + 2**16))
  finally:
    probe.unlink(missing_ok=True)


def _remove(path):
  _digest_path(path).unlink(missing_ok=True)
  shutil.rmtree(path, ignore_errors=True)


def _steps(folder):
  if not folder.is_dir():
    return []
  return sorted(p for p in folder.iterdir() if p.is_dir() and p.name.isdigit())


def _digest_path(path):
  return path.with_name(f'{path.name}.json')


def _digest(state, position):
  digest = hashlib.sha256()
  for leaf in jax.tree.leaves(state):
    array = np.asarray(leaf)
    digest.update(f'{array.shape}{array.dtype}'.encode())
    digest.update(array.tobytes())
  if position is not None:
    digest.update(json.dumps(position, sort_keys=True).encode())
  return digest.hexdigest()


def _first_line(error):
  return (str(error).splitlines() or [type(error).__name__])[0][:200]
