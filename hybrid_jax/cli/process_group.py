"""Starts and ends one program that runs in several processes.

On each host the user starts a parent process. The parent starts the same
command again as a child, which computes. If another process disappears, JAX
aborts the child with a native stack trace; the parent prints one clear line
instead.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from absl import flags

from hybrid_jax import errors

_COORDINATOR = flags.DEFINE_string(
  'coordinator',
  '',
  'With --config.distributed: HOST:PORT of process 0. Not needed under SLURM,'
  ' MPI or on a TPU slice.',
)
_PROCESSES = flags.DEFINE_integer(
  'processes', None, 'The number of processes; with --coordinator.'
)
_PROCESS = flags.DEFINE_integer(
  'process', None, 'The index of this process, from 0; with --coordinator.'
)
_JOIN = flags.DEFINE_integer(
  'join_timeout', 300, 'Seconds to wait until all processes have started.', 1
)
_HEARTBEAT = flags.DEFINE_integer(
  'heartbeat_timeout',
  30,
  'Seconds without a sign of life after which a process counts as gone.',
  lower_bound=5,
)

_CHILD = 'HYBRID_JAX_CHILD'  # set in the process that computes
# The line with which JAX's native code starts to report an abort, and the list
# of missing processes in that report.
_ABORTS = re.compile(r'^[EF]\d{4} .*(coordination_service|client\.h)')
_UNHEALTHY = re.compile(r'heartbeats?\):(.*?)The tasks have', re.DOTALL)
_AGAIN = (
  'Give the same command on all hosts again: it continues from the last'
  ' checkpoint.'
)


def run(work: Callable[[], Any]) -> None:
  """Runs `work` in every process, and returns when all have finished.

  Raises:
    UserError: the flags are incomplete, or the processes cannot connect.
  """
  _check()
  if _CHILD not in os.environ:
    sys.exit(_supervise())
  threading.Thread(target=_end_with_parent, daemon=True).start()
  join()
  import jax  # Not in the parent, which only waits.

  from hybrid_jax import progress
  from hybrid_jax.training import distributed, failure_broadcast

  failure_broadcast.watch()
  try:
    if not distributed.is_first():
      progress.silence()
    progress.say(
      f'distributed: {jax.process_count()} processes, {jax.device_count()}'
      ' devices'
    )
    work()
    distributed.barrier('end')
  except KeyboardInterrupt:
    os._exit(130)
  except BaseException as e:
    failure_broadcast.fail(e, patience=_HEARTBEAT.value + 15)
  jax.distributed.shutdown()


def check_single_process() -> None:
  """Checks that a run of one process has no flags for several.

  Raises:
    UserError: such a flag is set.
  """
  if _COORDINATOR.value or (_PROCESSES.value, _PROCESS.value) != (None, None):
    raise errors.UserError(
      '--coordinator, --processes and --process are for a run of several'
      ' processes: give --config.distributed=true too.'
    )


def _check():
  values = (_COORDINATOR.value or None, _PROCESSES.value, _PROCESS.value)
  if all(value is None for value in values):
    return
  if any(value is None for value in values):
    raise errors.UserError(
      '--coordinator=HOST:PORT, --processes=N and --process=I go together.'
      ' Leave all three out under SLURM, MPI or on a TPU slice.'
    )
  address, count, index = values
  if not re.fullmatch(r'.+:\d+', address):
    raise errors.UserError(
      f'coordinator is {address!r}; it must be HOST:PORT of process 0.'
    )
  if not 0 <= index < count:
    raise errors.UserError(
      f'process is {index}; it must be from 0 to {count - 1}, since processes'
      f' is {count}.'
    )


def join() -> None:
  """Connects this process with the others; then JAX sees all their devices.

  Raises:
    UserError: the processes are unknown, cannot connect, or have different
      numbers of devices.
  """
  import jax
  from jax.experimental import multihost_utils

  address = _COORDINATOR.value or None
  if address and _PROCESS.value:
    _wait_for_coordinator(address)
  jax.config.update('jax_cpu_collectives_implementation', 'gloo')
  # This service would catch SIGTERM without ending the process. JAX 0.7 has no
  # such switch.
  if hasattr(jax.config, 'jax_enable_preemption_service'):
    jax.config.update('jax_enable_preemption_service', False)
  try:
    jax.distributed.initialize(
      address,
      _PROCESSES.value,
      _PROCESS.value,
      initialization_timeout=_JOIN.value,
      heartbeat_timeout_seconds=_HEARTBEAT.value,
    )
  except ValueError as e:
    raise errors.UserError(
      'the processes are unknown, since this is no run under SLURM, MPI or on a'
      ' TPU slice: give --coordinator=HOST:PORT, --processes=N and --process=I.'
      f' ({e})'
    ) from e
  except RuntimeError as e:
    raise errors.UserError(
      f'the processes could not connect: {str(e).splitlines()[0]}'
    ) from e
  if jax.local_device_count() * jax.process_count() != jax.device_count():
    raise errors.UserError(
      f'process {jax.process_index()} has {jax.local_device_count()} of'
      f' {jax.device_count()} devices; {jax.process_count()} processes must'
      ' have the same number.'
    )
  # Connects the devices now, while all processes are known to be present.
  multihost_utils.sync_global_devices('start')


def _wait_for_coordinator(address):
  """Waits until process 0 listens, since JAX would abort without a message."""
  host, _, port = address.rpartition(':')
  deadline = time.monotonic() + _JOIN.value
  while True:
    try:
      socket.create_connection((host.strip('[]'), int(port)), 5).close()
      return
    except (OSError, OverflowError) as e:
      if time.monotonic() > deadline:
        raise errors.UserError(
          f'the coordinator {address} did not answer within {_JOIN.value} s'
          f' ({e}): is process 0 started there, and is the port open?'
        ) from e
    time.sleep(0.5)


def _supervise():
  child = subprocess.Popen(
    [sys.executable, *sys.orig_argv[1:]],
    env=os.environ | {_CHILD: '1', 'PYTHONUNBUFFERED': '1'},
    stdin=subprocess.PIPE,  # It closes when this process ends.
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    errors='replace',
  )
  native, messages = [], []
  relays = [
    threading.Thread(target=_relay, args=streams)
    for streams in (
      (child.stdout, sys.stdout, [], []),
      (child.stderr, sys.stderr, native, messages),
    )
  ]
  for relay in relays:
    relay.start()
  code = None
  while code is None:
    with contextlib.suppress(KeyboardInterrupt):  # The child gets it too.
      code = child.wait()
  for relay in relays:
    relay.join()
  # JAX 0.7 exits with 1 after an abort too.
  if code == 0 or (code > 0 and (messages or not native)):
    return code
  print(f'error: {_explain(max(-code, 0), native)}', file=sys.stderr)
  return 1


def _relay(stream, out, native, messages):
  """Copies lines; collects native reports instead, and notes error lines."""
  for line in stream:
    if line.startswith('[Gloo]'):
      continue
    messages += [line] if line.startswith('error: ') else []
    if native or _ABORTS.match(line):
      native.append(line)
    else:
      out.write(line)
      out.flush()


def _explain(signal_number, native):
  text = ''.join(native)
  if not native:
    return f'{signal.Signals(signal_number).name} ended this process. {_AGAIN}'
  report = _UNHEALTHY.search(text)
  gone = re.findall(r'(\d+)\s*$', report[1], re.MULTILINE) if report else []
  if gone:
    return f'process {", ".join(gone)} went away. {_AGAIN}'
  if 'Failed to send RPC' in text or 'Socket closed' in text:
    return f'process 0, or the network to it, went away. {_AGAIN}'
  if 'DEADLINE_EXCEEDED' in text:
    return (
      f'not all of {_PROCESSES.value or "the"} processes started within'
      f' --join_timeout={_JOIN.value} s. Start all of them, on hosts that can'
      ' reach each other.'
    )
  reason = text.partition('absl::Status: ')[2] or text
  return (
    f'the processes lost their connection: {reason.splitlines()[0]} {_AGAIN}'
  )


def _end_with_parent():
  # Standard input ends when the parent does.
  sys.stdin.read()
  os._exit(1)
