"""Compares a study of one process with the same study of two."""

import json

import jax
import jax.flatten_util
import numpy as np
import pytest

from hybrid_jax import files
from hybrid_jax.release import embeddings
from hybrid_jax.study import runner
from tests import studies
from tests.training.distributed import cluster

pytestmark = pytest.mark.distributed


@pytest.fixture(scope='module')
def two(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('two') / 'run'
  arguments = (
    studies.FEW_STEPS,
    studies.QUICK,
    f'--workdir={workdir}',
    '--config.distributed=true',
  )
  return workdir, cluster.run('launch.study', 2, *arguments)


@pytest.mark.parametrize(
  ('weights', 'share'),
  # Adam makes a full step of a gradient that is only rounding error.
  [(embeddings.SIMPLE, 0.0), (embeddings.SIAMESE, 1e-3)],
)
def test_the_parameters_are_the_same(few_steps, two, weights, share):
  expected, result = (
    jax.flatten_util.ravel_pytree(s.params(weights, s.split_points[-1]))[0]
    for s in map(runner.open_study, (few_steps, two[0]))
  )
  assert np.mean(np.abs(result - expected) > 1e-5) <= share


@pytest.mark.parametrize('run', ['warm-dense1-seed0', 'bounded-dense1-seed0'])
def test_the_losses_of_a_defence_are_the_same(few_steps, two, run):
  expected, result = (
    [json.loads(x)['loss'] for x in path.read_text().splitlines()]
    for path in (
      w / 'training' / run / 'curve.jsonl' for w in (few_steps, two[0])
    )
  )
  np.testing.assert_allclose(result, expected, rtol=1e-4)


def test_all_files_exist_and_only_the_first_process_prints(few_steps, two):
  workdir, (first, second) = two

  def names(folder):
    return {
      str(p.relative_to(folder))
      for p in folder.rglob('*')
      if p.suffix in ('.json', '.npz', '.html', '.jsonl')
    }

  assert names(workdir) == names(few_steps)
  assert files.read_json(workdir / 'config.json') == files.read_json(
    few_steps / 'config.json'
  )
  assert 'Recommended: ' in first[1]
  assert 'report: ' in first[2]
  assert second[1:] == ('', '')


def test_what_is_attacked_is_the_same(few_steps, two):
  a, b = (
    json.loads((w / 'metrics.json').read_text()) for w in (few_steps, two[0])
  )
  assert len(a['rows']) == len(b['rows']) == 3
  for expected, result in zip(a['rows'], b['rows'], strict=True):
    assert expected['embedding'] == result['embedding']
    assert result['rms'] == pytest.approx(expected['rms'], rel=1e-4)
    for label, figures in expected['leakage'].items():
      # Equally near neighbours may be chosen differently.
      assert result['leakage'][label]['value'] == pytest.approx(
        figures['value'], abs=0.02
      )


def test_a_workdir_that_is_not_shared(tmp_path):
  """Each process has its own directory, and the path is relative."""
  arguments = (studies.FEW_STEPS, '--workdir=run', '--config.distributed=true')
  roots = [tmp_path / 'a', tmp_path / 'b']
  for root in roots:
    root.mkdir()
    for name in ('launch', 'tests', 'hybrid_jax', 'configs'):
      (root / name).symlink_to(cluster.ROOT / name)
  with cluster.Cluster(
    'tests.training.distributed.impatient', 2, *arguments, folders=roots
  ) as running:
    first, second = running.wait(240)
  assert (first[0], second[0]) == (1, 1)
  assert 'error: process 1 does not see run/.shared' in first[2]
  assert 'must be in a file system that all hosts share' in first[2]


def test_processes_that_have_other_stages(tmp_path):
  workdir = tmp_path / 'run'
  arguments = (
    studies.FEW_STEPS,
    f'--workdir={workdir}',
    '--config.distributed=true',
  )
  own_arguments = ['--stages=data'], ['--stages=data,train']
  with cluster.Cluster(
    'launch.study', 2, *arguments, own_arguments=own_arguments
  ) as running:
    first, second = running.wait(240)
  assert (first[0], second[0]) == (1, 1)
  assert 'error: process 1 has other --stages than process 0' in first[2]
  assert not workdir.exists()
