"""--config, its file and its keys; what is wrong with them is one line."""

import os
import subprocess
import sys

import pytest

from hybrid_jax import errors
from hybrid_jax.cli import command
from hybrid_jax.study import config_files
from tests import commands, studies


@pytest.fixture
def folder(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'my.npz').write_bytes(b'PK\x03\x04')
  (tmp_path / 'recordings').mkdir()
  (tmp_path / 'good.py').write_text('def get_config():\n  return None\n')
  (tmp_path / 'all.py').write_text('from configs.watch import *\n')
  (tmp_path / 'other.py').write_text('import os\nx = 1\n')
  (tmp_path / 'broken.py').write_text('x = 1\ndef get_config(:\n')
  (tmp_path / 'data.py').write_bytes(b'PK\x03\x04\x00')
  return tmp_path


@pytest.mark.parametrize(
  ('value', 'parts'),
  [
    ('my.npz', ['my.npz is no', 'did you mean --config=arrays:my.npz?']),
    ('my.npz,small', ['did you mean --config=arrays:my.npz,small?']),
    ('recordings', ['did you mean --config=arrays:recordings?']),
    ('', ['--config names no file', 'vgg_face, watch']),
    (
      'configs/wach.py:small',
      ["'configs/wach.py' is neither", "mean 'watch'?"],
    ),
    ('wach:small', ["'wach' is neither a shipped", "mean 'watch'?"]),
    ('configs/faces', ["'configs/faces' is neither", "mean 'faces'?"]),
    ('good', ['neither', "Did you mean 'good.py'?"]),
    ('none.npz', ["'none.npz' is neither", 'Shipped configs: arrays, ']),
    ('other.py', ['other.py is no config file', 'no get_config']),
    ('broken.py', ['broken.py is not Python', 'line 2']),
    ('data.py', ['data.py is not Python', 'null bytes']),
  ],
)
def test_what_is_no_config_file(folder, value, parts):
  with pytest.raises(errors.UserError) as caught:
    config_files.find(value)
  for part in parts:
    assert part in str(caught.value)
  assert '\n' not in str(caught.value)


def test_config_files_are_not_run(folder):
  (folder / 'good.py').write_text('def get_config():\n  pass\n1 / 0\n')
  for value in ('good.py', 'good.py:small', 'all.py'):
    config_files.find(value)


def _run(folder, *arguments):
  return commands.run('launch.check_data', *arguments, cwd=folder)


_CODE = """from configs import watch
def get_config(arg=''):
  c = watch.get_config()
  if arg:
    c.nothing.steps = 3
  del c.data
  return c
"""


@pytest.mark.parametrize(
  ('arguments', 'parts'),
  [
    (['my.npz'], ['did you mean --config=arrays:my.npz?']),
    (
      ['watch', '--config.training.step=3'],
      ["config.training 'step'", "Did you mean 'steps'?", 'warmup'],
    ),
    (
      ['watch', '--config.training.steps.x=3'],
      ["config.training.steps is 800; it has no setting 'x'"],
    ),
    (['mine.py:x'], ['mine.py, line 5: AttributeError', 'nothing']),
    (['good.py:x'], ['good.py: get_config() takes 0 positional']),
    (['mine.py'], ["no 'data': it is not that of a study", 'Shipped conf']),
    (['good.py'], ['good.py: get_config returns NoneType; it must be an']),
  ],
)
def test_a_mistake_is_one_line(folder, arguments, parts):
  (folder / 'mine.py').write_text(_CODE)
  file, *rest = arguments
  done = _run(folder, f'--config={file}', *rest)
  assert done.returncode == 1
  assert done.stderr.startswith('error: ')
  assert len(done.stderr.strip().splitlines()) == 1
  for part in parts:
    assert part in done.stderr
  assert not done.stdout


@pytest.mark.parametrize(
  ('name', 'told'),
  [('config.data.seed', 'data.seed'), ('config.seed', 'seed')],
)
def test_a_seed_below_nought_is_refused(name, told):
  done = _run(studies.ROOT, '--config=configs/digits.py', f'--{name}=-1')
  assert done.returncode == 1
  assert (
    done.stderr == f'error: {told} is -1; it must be a whole number, from 0 to'
    ' 4294967295.\n'
  )
  assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize('flag', ['--help', '-h'])
def test_help_shows_the_command_and_its_flags(flag):
  done = subprocess.run(
    [sys.executable, '-m', 'launch.gate', flag],
    cwd=studies.ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout.startswith('Fails if a figure of a study is outside')
  assert '--min_utility: The minimum of the low end' in done.stdout
  assert '--compilation_cache' in done.stdout


@pytest.mark.parametrize(
  ('platforms', 'given', 'plugins', 'flags'),
  [
    ('cpu', '', ['cuda'], '--xla_backend_optimization_level=1'),
    ('', '--a=1', [], '--a=1 --xla_backend_optimization_level=1'),
    ('', '--a=1', ['cuda'], '--a=1'),
    (
      'cpu',
      '--xla_backend_optimization_level=3',
      [],
      '--xla_backend_optimization_level=3',
    ),
  ],
)
def test_a_cpu_alone_compiles_quickly(
  monkeypatch, platforms, given, plugins, flags
):
  monkeypatch.setenv('JAX_PLATFORMS', platforms)
  monkeypatch.setenv('XLA_FLAGS', given)
  monkeypatch.setattr(command.metadata, 'entry_points', lambda group: plugins)
  monkeypatch.setattr(command.importlib.util, 'find_spec', lambda name: None)
  command.compile_quickly()
  assert os.environ['XLA_FLAGS'] == flags
