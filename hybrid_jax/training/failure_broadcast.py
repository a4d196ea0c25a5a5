"""Ends all processes of a run when one fails, with one error message.

The failing process stores its message in JAX's key-value store. A thread in
every process waits for that key, so a process ends even while it computes or
waits for the others. The first process prints the message.
"""

import contextlib
import os
import sys
import threading
import time
import traceback
from typing import Any, NoReturn

import jax

from hybrid_jax import errors
from hybrid_jax.training import distributed

_FAILED = 'hybrid_jax/failed'
_ENDED = 'hybrid_jax/ended'
_GRACE_SECONDS = 10.0  # How long the other processes may take to end.


def watch() -> None:
  """Starts the thread that ends this process when another one fails."""
  threading.Thread(target=_end_with_others, daemon=True).start()


def fail(error: BaseException, patience: float) -> NoReturn:
  """Ends all processes because this one raised `error`.

  Args:
    error: the exception. The message of a `UserError` is sent as it is; any
      other exception may only be the effect of another process's end.
    patience: the seconds within which JAX detects that another process is gone
      and ends this one.
  """
  message = str(error)
  if not isinstance(error, errors.UserError):
    time.sleep(patience)
    traceback.print_exception(error)
    message = f'process {jax.process_index()} failed: {error!r}'.splitlines()[0]
  # Fails if another process was faster, or if the store's process is gone.
  with contextlib.suppress(Exception):
    key_value_store().key_value_set(_FAILED, message)
  time.sleep(_GRACE_SECONDS)  # The thread of `watch` ends this process.
  print(f'error: {message}', file=sys.stderr, flush=True)
  os._exit(1)


def key_value_store() -> Any:
  """Returns the client of the key-value store that all processes share."""
  # Private, because JAX has no public access to its key-value store.
  from jax._src import distributed as jax_distributed

  return jax_distributed.global_state.client


def _end_with_others():
  store = key_value_store()
  try:
    message = store.blocking_key_value_get(_FAILED, distributed.WAIT_MS)
  except Exception:  # The run has ended.
    return
  if not distributed.is_first():
    store.key_value_set(f'{_ENDED}/{jax.process_index()}', '1')
    os._exit(1)
  print(f'error: {message}', file=sys.stderr, flush=True)
  # The first process holds the store. If it ended before the others, they
  # would report a crash of their own.
  others = jax.process_count() - 1
  deadline = time.monotonic() + _GRACE_SECONDS
  while time.monotonic() < deadline:
    if len(store.key_value_dir_get(_ENDED)) >= others:
      break
    time.sleep(0.1)
  time.sleep(0.3)
  os._exit(1)
