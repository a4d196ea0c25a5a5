"""Runs commands in forks of one process, which has imported what is slow.

A command that ends with a user's mistake would only import for seconds. A fork
is a process of its own, with its own flags, exit code and output; JAX starts
its devices after the fork.
"""

import functools
import json
import os
import pathlib
import runpy
import signal
import subprocess
import sys
import tempfile

from tests import studies


def run(
  module: str, *arguments: str, cwd: pathlib.Path = studies.ROOT
) -> subprocess.CompletedProcess:
  """Runs `python -m module arguments` in the folder `cwd`."""
  with tempfile.TemporaryDirectory() as folder:
    out, err = pathlib.Path(folder, 'out'), pathlib.Path(folder, 'err')
    order = [module, arguments, str(cwd), str(out), str(err)]
    server = _server()
    print(json.dumps(order), file=server.stdin, flush=True)
    code = int(server.stdout.readline())
    return subprocess.CompletedProcess(
      [module, *arguments], code, out.read_text(), err.read_text()
    )


@functools.cache
def _server():
  # It ends with its standard input, when the process of the tests does.
  return subprocess.Popen(
    [sys.executable, '-m', 'tests.commands'],
    cwd=studies.ROOT,
    env=studies.environment() | {'PYTHONPATH': str(studies.ROOT)},
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  )


def _serve():
  # No command: flags are global, and each fork defines its own.
  import hybrid_jax.study.runner  # noqa: F401

  for line in sys.stdin:
    pid = os.fork()
    if not pid:
      _run(*json.loads(line))
      return
    _, status = os.waitpid(pid, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)


def _run(module, arguments, cwd, out, err):
  signal.alarm(300)  # Ends it.
  for descriptor, path in ((0, os.devnull), (1, out), (2, err)):
    new = os.open(path, os.O_RDWR | os.O_CREAT)
    os.dup2(new, descriptor)
    os.close(new)
  os.chdir(cwd)
  sys.path[0] = cwd
  sys.argv = [module, *arguments]
  runpy.run_module(module, run_name='__main__', alter_sys=True)


if __name__ == '__main__':
  _serve()
