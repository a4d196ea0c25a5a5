"""The wheel alone, in an environment of its own, outside of the checkout."""

import pathlib
import subprocess
import sys
import sysconfig
import tarfile
import zipfile

import pytest

from tests import studies

# All of a study but its size: one step, one release, one attacker.
_TINY = (
  '--stages=data,train,release,attack,report',
  '--config.training.steps=1',
  '--config.training.every=1',
  "--config.release.embeddings={'simple': {'weights': 'simple'}}",
  '--config.release.order=simple',
  '--config.strangers.embeddings=simple',
)
_ATTACK = (
  '--config.attack.adversaries=majority',
  '--config.attack.measures={}',
  '--config.attack.windows=1',
  '--config.attack.sets.recording_adversaries=()',
)


@pytest.fixture(scope='module')
def built(tmp_path_factory):
  """A folder with the sdist, and the wheel that was built from it."""
  folder = tmp_path_factory.mktemp('dist')
  subprocess.run(
    [sys.executable, '-m', 'build', '--outdir', str(folder)],
    cwd=studies.ROOT,
    check=True,
    capture_output=True,
  )
  return folder


@pytest.fixture(scope='module')
def environment(built, tmp_path_factory):
  """A virtual environment with the wheel.

  All other packages are those of the tests, which a line in a `.pth` adds. The
  `.pth` files among them, and so the checkout, do not count there.
  """
  folder = tmp_path_factory.mktemp('outside') / 'environment'
  subprocess.run(
    [sys.executable, '-m', 'venv', '--without-pip', str(folder)], check=True
  )
  python = folder / 'bin' / 'python'
  (wheel,) = built.glob('*.whl')
  subprocess.run(
    [
      *(sys.executable, '-m', 'pip', '--python', str(python), 'install'),
      *('--quiet', '--no-deps', '--no-index', str(wheel)),
    ],
    check=True,
  )
  (packages,) = folder.glob('lib/python*/site-packages')
  rest = sysconfig.get_path('purelib')
  (packages / 'rest.pth').write_text(f'{rest}\n')
  return folder


def _run(environment, *arguments):
  """Runs a program of the environment in its parent folder."""
  program, *rest = arguments
  settings = studies.environment()
  settings.pop('PYTHONPATH', None)
  return subprocess.run(
    [environment / 'bin' / program, *rest],
    cwd=environment.parent,
    env=settings,
    capture_output=True,
    text=True,
    timeout=900,
    check=False,
  )


@pytest.fixture(scope='module')
def workdir(environment):
  done = _run(
    environment,
    *('hybrid-jax', 'study', '--config=watch:small', '--workdir=w'),
    *(*_TINY, *_ATTACK),
  )
  assert done.returncode == 0, done.stderr
  return environment.parent / 'w'


def test_the_wheel_of_the_sdist_is_that_of_the_checkout(built):
  (path,) = built.glob('*.whl')
  wheel = zipfile.ZipFile(path)
  names = {n for n in wheel.namelist() if '.dist-info/' not in n}
  for name in names:
    file = name.replace('hybrid_jax/configs/', 'configs/')
    assert wheel.read(name) == (studies.ROOT / file).read_bytes(), name
  assert {name.split('/')[0] for name in names} == {'hybrid_jax'}
  for pattern in ('*.py', '*.html', '*.css', '*.js', '*.sh', '*.typed'):
    for file in (studies.ROOT / 'hybrid_jax').rglob(pattern):
      name = file.relative_to(studies.ROOT).as_posix()
      assert name in names or '/vendor/' in name, name
  for file in (studies.ROOT / 'configs').glob('*.py'):
    assert f'hybrid_jax/configs/{file.name}' in names


def test_the_sdist_has_no_more_than_it_needs(built):
  (path,) = built.glob('*.tar.gz')
  with tarfile.open(path) as sdist:
    names = {pathlib.PurePath(name).parts[1] for name in sdist.getnames()}
  files = {'.gitignore', 'PKG-INFO', 'pyproject.toml', 'README.md', 'LICENSE'}
  assert names == files | {'CHANGELOG.md', 'hybrid_jax', 'configs'}


def test_the_index_takes_the_sdist_and_the_wheel(built):
  done = subprocess.run(
    [sys.executable, '-m', 'twine', 'check', '--strict', *built.iterdir()],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stdout
  assert done.stdout.count('PASSED') == 2


def test_a_study_runs_from_the_wheel(workdir, environment):
  script = 'import hybrid_jax; print(hybrid_jax.__file__)'
  done = _run(environment, 'python', '-c', script)
  assert done.stdout.startswith(str(environment))
  assert (workdir / 'report.html').stat().st_size > 1000


def test_a_gate_runs_from_the_wheel(workdir, environment):
  bounds = ('--min-utility=0.01', '--max-leakage=person=0.9')
  done = _run(environment, 'hybrid-jax', 'gate', '--workdir=w', *bounds)
  assert done.returncode == 0, done.stderr
  bounds = ('--min-utility=0.99',)
  done = _run(environment, 'hybrid-jax', 'gate', '--workdir=w', *bounds)
  assert done.returncode == 1


def test_an_audit_runs_from_the_wheel(workdir, environment):
  done = _run(
    environment,
    *('hybrid-jax', 'audit', '--out=audit', *_ATTACK),
    f'--released={workdir.name}/released/dense1-simple.npz',
  )
  assert done.returncode == 0, done.stderr
  assert (environment.parent / 'audit' / 'report.html').exists()


def test_data_are_checked_from_the_wheel(environment):
  done = _run(environment, 'hybrid-jax', 'check-data', '--config=watch')
  assert done.returncode == 0, done.stderr
  assert '3,555' in done.stdout or '3555' in done.stdout


def test_every_shipped_config_loads_from_the_wheel(environment):
  names = [path.stem for path in (studies.ROOT / 'configs').glob('*.py')]
  script = (
    'import sys\n'
    'from hybrid_jax.study import config_files\n'
    'from hybrid_jax import errors\n'
    'for name in config_files.names():\n'
    '  print(name)\n'
    '  try:\n'
    '    config_files.load(name)\n'
    '  except errors.UserError as e:\n'
    "    print(f' {e}')  # Some need a path.\n"
    "assert 'configs' not in sys.modules\n"
  )
  done = _run(environment, 'python', '-c', script)
  assert done.returncode == 0, done.stderr
  shown = [line for line in done.stdout.splitlines() if line[0] != ' ']
  assert shown == sorted(set(names) - {'__init__', 'audit'})
  assert 'Error' not in done.stdout
