"""Parses command lines as the commands do, and runs none of them.

Reads a JSON list of command lines from standard input, each a list of words
from the command's name on; writes a JSON list of errors, '' where there is
none. Every line has a process of its own, since flags are global; what takes
long to import is imported once, before the processes fork.
"""

import contextlib
import importlib
import io
import json
import os
import sys

from absl import flags

from hybrid_jax.study import config_schema


def _check(words: list[str]) -> None:
  from hybrid_jax.cli import command, config_flag

  name, *arguments = words
  module = importlib.import_module(f'hybrid_jax.cli.{name.replace("-", "_")}')

  def main(argv: list[str]) -> None:
    command.no_more(argv)
    if flags.FLAGS['config'].value if 'config' in flags.FLAGS else None:
      tree = config_schema.of_audit if name == 'audit' else config_schema.of
      config_flag.read(module._CONFIG, tree)

  main.__module__ = module.__name__
  sys.argv = [name, *arguments]
  command.run(main, getattr(module, 'MISTAKE', 1))


def _error(words: list[str]) -> str:
  reader, writer = os.pipe()
  pid = os.fork()
  if not pid:
    out = io.StringIO()
    with contextlib.redirect_stderr(out), contextlib.redirect_stdout(out):
      try:
        _check(words)
        code = 0
      except SystemExit as e:
        code = e.code or 0
      except BaseException as e:
        code = repr(e)
    text = f'{code}: {out.getvalue()}' if code else ''
    os.write(writer, text.encode()[:4000])
    os._exit(0)
  os.close(writer)
  with os.fdopen(reader) as f:
    text = f.read()
  os.waitpid(pid, 0)
  return text


if __name__ == '__main__':
  json.dump([_error(words) for words in json.load(sys.stdin)], sys.stdout)
