"""A user's mistake is one clear line, before any work."""

import gzip
import json
import subprocess
import sys
import time

import pytest

from configs import watch
from hybrid_jax import errors
from hybrid_jax.study import runner
from tests import commands, studies


def _refused(workdir, *arguments):
  """A study that ends before it trains."""
  _, _, module, *rest = studies.command(workdir, *arguments)
  return commands.run(module, *rest)


@pytest.mark.parametrize(
  ('argument', 'expected'),
  [
    ('--config.model.split_pont=conv1', 'split_points'),
    ('--config.model.split_points=conv9', 'conv1, conv2, conv3, dense1'),
    ('--config.model.name=cnn2d', "Did you mean 'cnn1d'?"),
    ('--config.data.name=wach', "Did you mean 'watch'?"),
    ("--config.attack.adversaries=('tres',)", "Did you mean 'trees'?"),
    ('--stages=atack', "Did you mean 'attack'?"),
    ('--config=configs/wach.py', 'configs/wach.py'),
    ('--config=configs/watch.py:smal', 'smal'),
    ('--config.training.steps=many', 'many'),
  ],
)
def test_a_mistake_names_the_nearest(tmp_path, argument, expected):
  started = time.monotonic()
  done = _refused(tmp_path / 'run', argument)
  assert done.returncode == 1
  assert done.stderr.startswith('error: ')
  assert expected in done.stderr
  assert 'Traceback' not in done.stderr
  assert len(done.stderr.strip().splitlines()) == 1
  assert not (tmp_path / 'run').exists()
  assert time.monotonic() - started < 60  # Before any training.


def test_a_later_stage_names_the_one_it_needs(tmp_path):
  done = _refused(tmp_path / 'run', '--stages=siamese')
  assert done.returncode == 1
  assert 'run --stages=train first' in done.stderr


@pytest.mark.parametrize(
  ('argument', 'expected'),
  [
    ('--config.release.reduced_dim.dense1=65', 'allow 1 to 64'),
    ('--config.siamese.batch_size=5000', '3555 examples'),
    ('--config.data.window=600', 'shorter than a window of 600'),
  ],
)
def test_a_wrong_size_is_refused_before_training(tmp_path, argument, expected):
  done = _refused(tmp_path / 'run', argument)
  assert done.returncode == 1
  assert expected in done.stderr
  assert 'Traceback' not in done.stderr
  assert not (tmp_path / 'run/training').exists()


def test_a_batch_that_does_not_divide_over_the_devices(tmp_path):
  config = watch.get_config('small')
  config.siamese.batch_size = 127
  with pytest.raises(errors.UserError, match=r'siamese.*127.* 8 devices'):
    runner.run(config, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


def test_list_names_every_plug_in():
  done = commands.run('launch.study', '--list')
  assert done.returncode == 0
  assert '  watch                Which exercise, but not who' in done.stdout
  for name in ('watch', 'cnn1d', 'pca', 'noise', 'trees', 'kde', 'transfer'):
    assert f'  {name} ' in done.stdout


def test_a_full_disk_is_one_clear_line(tmp_path):
  # No file may grow past 10 kB, and a checkpoint is larger.
  command = studies.command(
    tmp_path / 'run', studies.FEW_STEPS, '--compilation_cache='
  )[2:]
  script = (
    'import resource, runpy, sys\n'
    'resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n'
    f'sys.argv = {command!r}\n'
    "sys.argv[0] = 'study'\n"
    "runpy.run_module('launch.study', run_name='__main__')\n"
  )
  done = subprocess.run(
    [sys.executable, '-c', script],
    cwd=studies.ROOT,
    env=studies.environment(),
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 1
  assert 'error: could not' in done.stderr
  assert 'Traceback' not in done.stderr
  assert not list((tmp_path / 'run').rglob('*.tmp'))


def test_a_profile_opens_in_perfetto_and_xprof(tmp_path):
  profile = tmp_path / 'profile'
  done = studies.run(
    tmp_path / 'run',
    studies.FEW_STEPS,
    '--stages=data,train',
    '--config.training.steps=2',
    f'--profile={profile}',
  )
  assert done.returncode == 0, done.stderr
  (trace,) = profile.rglob('perfetto_trace.json.gz')
  events = json.loads(gzip.decompress(trace.read_bytes()))['traceEvents']
  assert any(event.get('dur', 0) > 0 for event in events)
  (planes,) = profile.rglob('*.xplane.pb')
  # The scopes of the step are in its program's metadata, which XProf shows.
  assert b'optimizer' in planes.read_bytes()
