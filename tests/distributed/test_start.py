"""What is refused before the processes meet; the scripts that start them."""

import subprocess

import pytest
from absl import flags
from absl.testing import flagsaver

from hybrid_jax import errors
from launch import processes
from tests.distributed import cluster

pytestmark = pytest.mark.distributed


@pytest.fixture(autouse=True)
def _parsed():
  if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()


def _never():
  raise AssertionError('it began')


@pytest.mark.parametrize(
  ('given', 'told'),
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
def test_what_is_no_place_in_a_run(given, told):
  with flagsaver.flagsaver(**given), pytest.raises(errors.UserError) as caught:
    processes.run(_never)
  assert told in str(caught.value)


@pytest.mark.parametrize('given', [{'process': 0}, {'coordinator': 'here:1'}])
def test_a_place_in_a_run_of_one_process(given):
  processes.check_alone()
  with (
    flagsaver.flagsaver(**given),
    pytest.raises(errors.UserError, match=r'--config\.distributed=true'),
  ):
    processes.check_alone()


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
    processes.join()


@pytest.mark.parametrize('name', ['slurm.sh', 'tpu_vm.sh'])
def test_the_scripts_are_bash_and_start_the_study(name):
  path = cluster.ROOT / 'launch' / name
  subprocess.run(['bash', '-n', path], check=True)
  assert 'launch.study' in path.read_text()
  assert '--config.distributed=true' in path.read_text()
