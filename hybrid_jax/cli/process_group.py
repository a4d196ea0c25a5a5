"""One program over several processes: how they start, and how they end.

What a person starts on each host is a parent that starts the same command
again, as the process that computes. JAX ends that one by an abort where another
process goes away, with a native stack trace; the parent says in its place what
happened, and what to do.
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
  'With --config.distributed: HOST:PORT of process 0, where neither SLURM nor a'
  ' TPU slice nor MPI tells who takes part.',
)
_PROCESSES = flags.DEFINE_integer(
  'processes', None, 'How many processes there are; with --coordinator.'
)
_PROCESS = flags.DEFINE_integer(
  'process', None, 'Which of them this is, from 0 on; with --coordinator.'
)
_JOIN = flags.DEFINE_integer(
  'join_timeout', 300, 'Seconds in which all processes must have come.', 1
)
_HEARTBEAT = flags.DEFINE_integer(
  'heartbeat_timeout',
  30,
  'Seconds of silence after which a process counts as gone.',
  lower_bound=5,
)

_CHILD = 'HYBRID_JAX_CHILD'  # set in the process that computes
# Lines by which JAX's native code announces its abort, and who is missed.
_ABORTS = re.compile(r'^[EF]\d{4} .*(coordination_service|client\.h)')
_UNHEALTHY = re.compile(r'heartbeats?\):(.*?)The tasks have', re.DOTALL)
_AGAIN = (
  'Give the same command on all hosts again: it goes on from the last'
  ' checkpoint.'
)


def run(work: Callable[[], Any]) -> None:
  """Does `work` in every process, and returns in none before all are done.

  Raises:
    UserError: it is not clear who takes part, or they do not find each other.
  """
  _check()
  if _CHILD not in os.environ:
    sys.exit(_supervise())
  threading.Thread(target=_end_with_parent, daemon=True).start()
  join()
  import jax  # After its flags.

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


def check_alone() -> None:
  """Refuses the flags of several processes in a run of one.

  Raises:
    UserError: one of them is given.
  """
  if _COORDINATOR.value or (_PROCESSES.value, _PROCESS.value) != (None, None):
    raise errors.UserError(
      '--coordinator, --processes and --process are for a run of several'
      ' processes: give --config.distributed=true too.'
    )


def _check():
  given = (_COORDINATOR.value or None, _PROCESSES.value, _PROCESS.value)
  if all(value is None for value in given):
    return
  if any(value is None for value in given):
    raise errors.UserError(
      '--coordinator=HOST:PORT, --processes=N and --process=I go together;'
      ' without any of them, SLURM, the TPU slice or MPI tells who takes part.'
    )
  address, count, index = given
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
  """Meets the other processes; from then on JAX sees all of their devices.

  Raises:
    UserError: it is not clear who takes part, or they do not find each other.
  """
  import jax
  from jax.experimental import multihost_utils

  address = _COORDINATOR.value or None
  if address and _PROCESS.value:
    _reach(address)
  jax.config.update('jax_cpu_collectives_implementation', 'gloo')
  # It would catch SIGTERM, and leave it at that. JAX 0.7 has no such switch.
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
      'neither SLURM nor a TPU slice nor MPI tells who takes part: give'
      f' --coordinator=HOST:PORT, --processes=N and --process=I. ({e})'
    ) from e
  except RuntimeError as e:
    raise errors.UserError(
      f'the processes did not find each other: {str(e).splitlines()[0]}'
    ) from e
  if jax.local_device_count() * jax.process_count() != jax.device_count():
    raise errors.UserError(
      f'process {jax.process_index()} has {jax.local_device_count()} of'
      f' {jax.device_count()} devices; {jax.process_count()} processes must'
      ' have equally many.'
    )
  # The devices meet now, when all processes are here.
  multihost_utils.sync_global_devices('start')


def _reach(address):
  """Waits until process 0 listens; JAX itself would abort."""
  host, _, port = address.rpartition(':')
  until = time.monotonic() + _JOIN.value
  while True:
    try:
      socket.create_connection((host.strip('[]'), int(port)), 5).close()
      return
    except (OSError, OverflowError) as e:
      if time.monotonic() > until:
        raise errors.UserError(
          f'the coordinator {address} did not answer within {_JOIN.value} s'
          f' ({e}): is process 0 started there, and is the port open?'
        ) from e
    time.sleep(0.5)


def _supervise():
  child = subprocess.Popen(
    [sys.executable, *sys.orig_argv[1:]],
    env=os.environ | {_CHILD: '1', 'PYTHONUNBUFFERED': '1'},
    stdin=subprocess.PIPE,  # Its end tells the child that this process ended.
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    errors='replace',
  )
  native, told = [], []
  relays = [
    threading.Thread(target=_relay, args=streams)
    for streams in (
      (child.stdout, sys.stdout, [], []),
      (child.stderr, sys.stderr, native, told),
    )
  ]
  for relay in relays:
    relay.start()
  code = None
  while code is None:
    with contextlib.suppress(KeyboardInterrupt):  # The child has it too.
      code = child.wait()
  for relay in relays:
    relay.join()
  if code == 0 or (code > 0 and (told or not native)):  # JAX 0.7 ends by 1.
    return code
  print(f'error: {_what_happened(max(-code, 0), native)}', file=sys.stderr)
  return 1


def _relay(stream, out, native, told):
  for line in stream:
    if line.startswith('[Gloo]'):
      continue
    told += [line] if line.startswith('error: ') else []
    if native or _ABORTS.match(line):
      native.append(line)
    else:
      out.write(line)
      out.flush()


def _what_happened(number, native):
  text = ''.join(native)
  if not native:
    return f'{signal.Signals(number).name} ended this process. {_AGAIN}'
  found = _UNHEALTHY.search(text)
  gone = re.findall(r'(\d+)\s*$', found[1], re.MULTILINE) if found else []
  if gone:
    return f'process {", ".join(gone)} went away. {_AGAIN}'
  if 'Failed to send RPC' in text or 'Socket closed' in text:
    return f'process 0, or the network to it, went away. {_AGAIN}'
  if 'DEADLINE_EXCEEDED' in text:
    return (
      f'not all of {_PROCESSES.value or "the"} processes came within'
      f' --join_timeout={_JOIN.value} s. Start them all, on hosts that reach'
      ' each other.'
    )
  reason = text.partition('absl::Status: ')[2] or text
  return f'the processes lost each other: {reason.splitlines()[0]} {_AGAIN}'


def _end_with_parent():
  sys.stdin.read()
  os._exit(1)
