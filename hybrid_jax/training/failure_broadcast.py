"""How a run of several processes ends before its time: all, with one message.

A process that fails leaves its message in JAX's store of keys. All processes
wait for that key in a thread, so that they end even where they compute, or wait
for each other; the first of them says what happened.
"""

import contextlib
import os
import sys
import threading
import time
import traceback
from typing import NoReturn

import jax

from hybrid_jax import errors
from hybrid_jax.training import distributed

_FAILED = 'hybrid_jax/failed'
_ENDED = 'hybrid_jax/ended'
_GRACE_SECONDS = 10.0  # for the others to end


def watch() -> None:
  """From now on this process ends when another one fails."""
  threading.Thread(target=_end_with_others, daemon=True).start()


def fail(error: BaseException, patience: float) -> NoReturn:
  """Ends all processes because of what was raised in this one.

  Args:
    error: a `UserError` is told as it is. Anything else may be no more than the
      echo of a process that went away.
    patience: seconds in which JAX finds out that a process went away, and ends
      this one.
  """
  message = str(error)
  if not isinstance(error, errors.UserError):
    time.sleep(patience)
    traceback.print_exception(error)
    message = f'process {jax.process_index()} failed: {error!r}'.splitlines()[0]
  # Another process may be faster, or the store be gone.
  with contextlib.suppress(Exception):
    distributed.client().key_value_set(_FAILED, message)
  time.sleep(_GRACE_SECONDS)  # The thread of `watch` ends this process.
  print(f'error: {message}', file=sys.stderr, flush=True)
  os._exit(1)


def _end_with_others():
  try:
    message = distributed.client().blocking_key_value_get(
      _FAILED, distributed.FOREVER_MS
    )
  except Exception:  # The run is over.
    return
  if not distributed.is_first():
    distributed.client().key_value_set(f'{_ENDED}/{jax.process_index()}', '1')
    os._exit(1)
  print(f'error: {message}', file=sys.stderr, flush=True)
  # The store is this process's: the others would take its end for a crash.
  until = time.monotonic() + _GRACE_SECONDS
  while time.monotonic() < until and len(
    distributed.client().key_value_dir_get(_ENDED)
  ) < (jax.process_count() - 1):
    time.sleep(0.1)
  time.sleep(0.3)
  os._exit(1)
