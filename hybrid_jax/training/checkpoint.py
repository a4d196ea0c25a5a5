"""Saves and restores the state of a training run, with Orbax.

A checkpoint is the folder `STEP` of a run. Orbax writes it under a temporary
name and renames it at the end. Its metadata hold a digest of the state, so that
damage is detected.
"""

import hashlib
import json
import pathlib
import shutil
from typing import Any

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from hybrid_jax import errors, progress
from hybrid_jax.training import distributed

_KEEP = 2  # How many checkpoints of a run are kept.


def path(folder: pathlib.Path, step: int) -> pathlib.Path:
  """Returns the path of the checkpoint of `step` in a run's `folder`."""
  return folder / f'{step:08d}'


def save(
  folder: pathlib.Path, step: int, state: Any, position: Any = None
) -> None:
  """Saves a checkpoint; the newest two are kept.

  In a run of several processes, all call this, and the first one writes.

  Args:
    folder: the folder of this run's checkpoints.
    step: how many steps are done.
    state: a tree of arrays, equal in all processes.
    position: the position in the training data, as JSON, or `None`.

  Raises:
    UserError: the checkpoint could not be written, for example because the disk
      is full. The previous ones are kept.
  """
  folder = folder.absolute()
  new = path(folder, step)
  metadata = {'sha256': _digest(state, position), 'position': position}
  try:
    if distributed.is_first():
      folder.mkdir(parents=True, exist_ok=True)
      # Later checkpoints were damaged, since the run resumed before them.
      for stale in _checkpoints(folder):
        if stale.name >= new.name:
          shutil.rmtree(stale)
      _check_room(folder, state)
    _align_operations()
    ocp.save(new, state, custom_metadata=metadata)
  except Exception as e:  # Orbax and TensorStore raise many types.
    if not distributed.is_first():  # The first process reports its own error.
      raise
    for partial in folder.glob(f'{new.name}*'):
      shutil.rmtree(partial, ignore_errors=True)
    raise errors.UserError(
      f'could not save the checkpoint {new}: {_first_line(e)}. The last good'
      ' one is kept.'
    ) from e
  if distributed.is_first():
    for old in _checkpoints(folder)[:-_KEEP]:
      shutil.rmtree(old, ignore_errors=True)
  distributed.barrier('saved')


def restore(folder: pathlib.Path, like: Any) -> Any | None:
  """Returns the state of the newest good checkpoint, or `None`.

  A damaged checkpoint is reported in one line, and the one before it is used.

  Args:
    folder: the folder of the run's checkpoints.
    like: a state of the same structure, shapes and dtypes.
  """
  restored = restore_with_position(folder, like)
  return None if restored is None else restored[0]


def restore_with_position(
  folder: pathlib.Path, like: Any
) -> tuple[Any, Any] | None:
  """Returns what `restore` returns, and the position that was saved with it."""
  for checkpoint in reversed(_checkpoints(folder)):
    try:
      with _load_context():
        state = ocp.load(checkpoint.absolute(), like)
        metadata = ocp.metadata(checkpoint.absolute()).custom_metadata or {}
      position = metadata.get('position')
      if metadata.get('sha256') != _digest(state, position):
        raise errors.UserError('its digest does not match')
    except Exception as e:  # Orbax and TensorStore raise many types.
      progress.say(
        f'the checkpoint {checkpoint} is damaged ({_first_line(e)}); using the'
        ' one before it.'
      )
      continue
    return state, position
  return None


def _align_operations():
  """Gives Orbax the same operation number in all processes.

  Orbax names its barriers by a counter of the process. Processes that have
  loaded different numbers of checkpoints would wait at different barriers.
  """
  if not distributed.is_multiprocess():
    return
  # Private, because Orbax has no public access to its counter. The first
  # process cannot save alone: Orbax compares the paths of all processes.
  from orbax.checkpoint._src.futures import synchronization

  counter = synchronization.OperationIdGenerator
  number = np.int32(counter.get_current_operation_id())
  for _ in range(distributed.process_max(number) - number):
    counter.next_operation_id()


def _load_context():
  """Returns Orbax's settings to load in this process alone."""
  context = ocp.Context()
  if distributed.is_multiprocess():
    index = jax.process_index()
    context.multiprocessing.primary_host = index
    context.multiprocessing.active_processes = {index}
    context.multiprocessing.barrier_sync_key_prefix = f'process{index}'
  return context


# Not `ocp.training.Checkpointer`, which also lists and removes checkpoints: it
# prints the content of damaged ones, counts them among those to keep, and in
# Orbax 0.12.4 has no public function to delete them.
def _checkpoints(folder):
  """Returns the paths of the checkpoints in order, oldest first."""
  if not folder.is_dir():
    return []
  return sorted(p for p in folder.iterdir() if p.is_dir() and p.name.isdigit())


def _check_room(folder, state):
  """Writes and removes a file of twice the state's size.

  On a full disk, TensorStore's threads print tracebacks of their own. This
  raises `OSError` before they start.
  """
  size = sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(state))
  probe = folder / '.room'
  try:
    probe.write_bytes(bytes(2 * size + 2**16))
  finally:
    probe.unlink(missing_ok=True)


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
