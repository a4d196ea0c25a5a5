import os
import signal
import subprocess
import sys

import pytest

from hybrid_jax import errors
from hybrid_jax.study import workdir_lock
from tests import studies

_HOLD = """
import pathlib, sys, time
from hybrid_jax.study import workdir_lock
with workdir_lock.hold(pathlib.Path(sys.argv[1])):
  print('held', flush=True)
  time.sleep(60)
"""


def test_one_process_holds_it_and_a_killed_one_leaves_it(tmp_path):
  other = subprocess.Popen(
    [sys.executable, '-c', _HOLD, str(tmp_path)],
    stdout=subprocess.PIPE,
    cwd=studies.ROOT,
    env=studies.environment(),
    text=True,
  )
  try:
    assert other.stdout is not None
    assert other.stdout.readline() == 'held\n'
    with (
      pytest.raises(
        errors.UserError,
        match=rf'is at work in .*\(process {other.pid} on .*, since \d{{4}}-',
      ),
      workdir_lock.hold(tmp_path),
    ):
      pass
  finally:
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
  with workdir_lock.hold(tmp_path):
    pass
  with workdir_lock.hold(tmp_path):
    pass


def test_a_new_folder_with_nothing_in_it_is_removed(tmp_path):
  with workdir_lock.hold(tmp_path / 'new'):
    assert (tmp_path / 'new').is_dir()
  assert not (tmp_path / 'new').exists()
  with workdir_lock.hold(tmp_path / 'new'):
    (tmp_path / 'new' / 'result').write_text('1')
  assert (tmp_path / 'new' / 'result').exists()
  with (
    pytest.raises(errors.UserError, match='cannot be written to'),
    workdir_lock.hold(tmp_path / 'new' / 'result'),
  ):
    pass
