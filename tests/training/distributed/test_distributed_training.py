"""Tests the training loop in real processes: results, kills, resumption."""

import json
import os
import signal
import time

import jax
import numpy as np
import pytest

from hybrid_jax.training import checkpoint
from tests.training.distributed import cluster, small

pytestmark = pytest.mark.distributed
_WORKER = 'tests.training.distributed.worker'
_AGAIN = 'Give the same command on all hosts again'


def _params(folder, step):
  """Returns the parameters of a run's checkpoint."""
  restored = checkpoint.restore(folder / 'checkpoints', small.start())
  assert int(restored.step) == step
  return restored.params


def _assert_near(restored, expected):
  for key, value in _flat(expected).items():
    np.testing.assert_allclose(_flat(restored)[key], value, atol=1e-5, rtol=0)


def _flat(tree, prefix=''):
  if not isinstance(tree, dict):
    return {prefix: np.asarray(tree)}
  return {
    path: leaf
    for name, inner in tree.items()
    for path, leaf in _flat(inner, f'{prefix}/{name}').items()
  }


@pytest.fixture(scope='module')
def single(mesh1, tmp_path_factory):
  """Parameters after 50 steps of one process on one device."""
  folder = tmp_path_factory.mktemp('single')
  state = small.fit(folder, 50, mesh=mesh1)
  return state.params


@pytest.fixture(scope='module')
def four(tmp_path_factory):
  """A run of four processes up to step 10."""
  folder = tmp_path_factory.mktemp('four')
  return folder, cluster.run(_WORKER, 4, f'--folder={folder}', '--total=10')


@pytest.mark.parametrize('network', ['dense', 'convolutions'])
def test_eight_devices_equal_one(network, single, mesh1, mesh8, tmp_path):
  more = {}
  if network == 'convolutions':
    more['model'] = small.CONVOLUTIONS
    single = small.fit(tmp_path / '1', 50, mesh=mesh1, **more).params
  state = small.fit(tmp_path / '8', 50, mesh=mesh8, **more)
  assert len(jax.tree.leaves(state.params)[0].sharding.device_set) == 8
  _assert_near(state.params, single)


def test_only_the_first_process_prints(four):
  _, ended = four
  assert 'distributed: 4 processes, 4 devices' in ended[0][2]
  assert 'a run: 10/10 steps' in ended[0][2]
  assert [err for _, _, err in ended[1:]] == [''] * 3
  assert [out for _, out, _ in ended] == [''] * 4


def test_a_run_resumed_with_other_numbers_of_processes_equals_one(
  four, single, mesh1
):
  folder, _ = four
  small.fit(folder, 20, mesh=mesh1)
  cluster.run(_WORKER, 2, f'--folder={folder}', '--total=50', devices=2)
  _assert_near(_params(folder, 50), single)
  lines = (folder / 'curve.jsonl').read_text().splitlines()
  assert [json.loads(x)['step'] for x in lines] == list(range(5, 51, 5))


def test_a_stream_read_by_two_processes_equals_one(mesh1, tmp_path):
  cluster.run(_WORKER, 2, f'--folder={tmp_path}/2', '--total=10', '--stream')
  state = small.fit(tmp_path / '1', 10, stream=True, mesh=mesh1)
  _assert_near(_params(tmp_path / '2', 10), state.params)


def _wait_for(path, timeout=240.0):
  until = time.monotonic() + timeout
  while not path.exists():
    assert time.monotonic() < until, f'{path} did not come'
    time.sleep(0.05)


def test_the_others_end_after_a_kill_and_the_run_can_resume(single, tmp_path):
  arguments = (f'--folder={tmp_path}', '--total=50', '--pause=0.5')
  with cluster.Cluster(_WORKER, 2, *arguments) as running:
    _wait_for(tmp_path / 'checkpoints' / '00000010')
    os.kill(running.processes[1].pid, signal.SIGKILL)
    (code, _, err), (other, _, _) = running.wait(240)
  assert (code, other) == (1, -signal.SIGKILL)
  assert err.splitlines()[-1].startswith(
    f'error: process 1 went away. {_AGAIN}'
  )
  assert 'stack trace' not in err
  assert 'Traceback' not in err
  cluster.run(_WORKER, 2, f'--folder={tmp_path}', '--total=50')
  _assert_near(_params(tmp_path, 50), single)


def test_the_first_process_is_killed(tmp_path):
  arguments = (f'--folder={tmp_path}', '--total=500', '--pause=0.5')
  with cluster.Cluster(_WORKER, 2, *arguments) as running:
    _wait_for(tmp_path / 'checkpoints' / '00000005')
    os.kill(running.processes[0].pid, signal.SIGKILL)
    _, (code, _, err) = running.wait(240)
  assert code == 1
  assert err.count('error:') == 1
  assert err.startswith('error: process 0, or the network to it, went away.')


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--fail=second'], 'the second process has an error.'),
    (['--fail=disk'], 'could not save the checkpoint'),
    (['--batch=15'], 'batch_size is 15; it must divide over 2 devices'),
  ],
)
def test_an_error_in_one_process_ends_all_with_one_message(
  tmp_path, arguments, message
):
  with cluster.Cluster(
    _WORKER, 2, f'--folder={tmp_path}', *arguments
  ) as running:
    first, second = running.wait(240)
  assert (first[0], second[0]) == (1, 1)
  assert (first[2] + second[2]).count('error:') == 1
  assert f'error: {message}' in first[2]
  assert 'Traceback' not in first[2] + second[2]
