"""Tests the checks before the processes connect, and the start scripts."""

import os
import subprocess

import pytest
from absl import flags
from absl.testing import flagsaver

from hybrid_jax import errors
from hybrid_jax.cli import process_group
from tests.training.distributed import cluster

pytestmark = pytest.mark.distributed


@pytest.fixture(autouse=True)
def _parsed():
  if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()


def _never():
  raise AssertionError('the work started')


@pytest.mark.parametrize(
  ('values', 'message'),
  [
    ({'coordinator': 'here:1'}, '--processes=N and --process=I go together'),
    ({'processes': 2, 'process': 0}, '--coordinator=HOST:PORT'),
    (
      {'coordinator': 'here', 'processes': 2, 'process': 0},
      "coordinator is 'here'; it must be HOST:PORT",
    ),
    (
      {'coordinator': 'here:1', 'processes': 2, 'process': 2},
      'process is 2; it must be from 0 to 1',
    ),
    (
      {'coordinator': 'here:1', 'processes': 2, 'process': -1},
      'process is -1; it must be from 0 to 1',
    ),
  ],
)
def test_invalid_flags_of_several_processes(values, message):
  with flagsaver.flagsaver(**values), pytest.raises(errors.UserError) as caught:
    process_group.run(_never)
  assert message in str(caught.value)


@pytest.mark.parametrize('values', [{'process': 0}, {'coordinator': 'here:1'}])
def test_flags_of_several_processes_in_a_run_of_one(values):
  process_group.check_single_process()
  with (
    flagsaver.flagsaver(**values),
    pytest.raises(errors.UserError, match=r'--config\.distributed=true'),
  ):
    process_group.check_single_process()


def test_a_coordinator_that_does_not_answer():
  address = f'127.0.0.1:{cluster.free_port()}'
  with (
    flagsaver.flagsaver(
      coordinator=address, processes=2, process=1, join_timeout=1
    ),
    pytest.raises(
      errors.UserError, match=rf'{address} did not answer within 1'
    ),
  ):
    process_group.join()


_STUBS = {
  'srun': 'shift\nexec "$@"',
  'gcloud': 'last="${@: -1}"\nexec bash -c "${last#--command=}"',
}


@pytest.mark.skipif(
  not (cluster.ROOT / '.venv').exists(), reason='they start .venv'
)
@pytest.mark.parametrize(
  ('name', 'stub', 'place'),
  [('slurm.sh', 'srun', []), ('tpu_vm.sh', 'gcloud', ['slice', 'zone'])],
)
def test_the_scripts_start_the_study(tmp_path, name, stub, place):
  """With a stub that runs the remote command on this machine."""
  (tmp_path / 'hybrid_jax').symlink_to(cluster.ROOT)  # As on a TPU's host.
  path = tmp_path / 'bin' / stub
  path.parent.mkdir()
  path.write_text(f'#!/bin/bash\n{_STUBS[stub]}\n')
  path.chmod(0o755)
  done = subprocess.run(
    [
      *('bash', str(cluster.ROOT / 'launch' / name), *place),
      *('--config=configs/watch.py:small', f'--workdir={tmp_path / "run"}'),
      # An error which shows that the study starts in several processes.
      *('--coordinator=here', '--processes=1', '--process=0'),
    ],
    cwd=tmp_path,
    env=os.environ
    | {
      'PATH': f'{path.parent}:{os.environ["PATH"]}',
      'SLURM_SUBMIT_DIR': str(cluster.ROOT),
    },
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 1
  assert done.stderr.splitlines()[-1] == (
    "error: coordinator is 'here'; it must be HOST:PORT of process 0."
  )
