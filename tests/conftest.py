"""Eight CPU devices, set before JAX is imported, and meshes over them.

Programs compile as those of the commands do, see `cli.command`.
"""

import os

_FLAGS = (
  '--xla_force_host_platform_device_count=8',
  '--xla_backend_optimization_level=1',
)
os.environ['JAX_PLATFORMS'] = 'cpu'
given = os.environ.get('XLA_FLAGS', '').split()
os.environ['XLA_FLAGS'] = ' '.join(dict.fromkeys([*given, *_FLAGS]))

# Test processes share what they compile, with each other and with the next run.
os.environ.setdefault(
  'JAX_COMPILATION_CACHE_DIR', os.path.expanduser('~/.cache/hybrid_jax')
)
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.1')

import filelock  # noqa: E402
import jax  # noqa: E402
import pytest  # noqa: E402

# What takes longest comes first, so that no test process is alone in the end.
_LONG = (
  'tests/study/test_study.py',
  'tests/training/distributed/test_distributed_study.py',
  'tests/training/distributed/test_distributed_training.py',
  'tests/deploy/export/test_export.py',
  'tests/study/test_restart.py',
  'tests/test_colabs.py',
  'tests/study/test_audit_released.py',
  'tests/study/test_grid.py',
  'tests/study/test_streaming_study.py',
  'tests/study/test_strangers.py',
  'tests/cli/test_launch.py',
)


def pytest_collection_modifyitems(items):
  rank = {path: i for i, path in enumerate(_LONG)}
  items.sort(key=lambda item: rank.get(item.nodeid.split('::')[0], len(rank)))


def _mesh(count):
  return jax.make_mesh(
    (count,),
    ('data',),
    axis_types=(jax.sharding.AxisType.Auto,),
    devices=jax.devices()[:count],
  )


@pytest.fixture(scope='session')
def mesh1() -> jax.sharding.Mesh:
  """One device along `'data'`."""
  return _mesh(1)


@pytest.fixture(scope='session')
def mesh8() -> jax.sharding.Mesh:
  """Eight devices along `'data'`."""
  return _mesh(8)


@pytest.fixture(scope='module')
def one_device():
  """Trains on one device until the module ends: eight of two cores are slow."""
  from hybrid_jax.training import loop

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(loop, 'data_mesh', lambda: _mesh(1))
    yield


def _shared_study(tmp_path_factory, name, last, *arguments, **options):
  """The folder of a study that the first of several test processes makes.

  See launch/test.sh. `last` is the file that is written last.
  """
  from tests import studies

  alone = 'PYTEST_XDIST_WORKER' not in os.environ
  shared = tmp_path_factory.getbasetemp()
  shared = shared if alone else shared.parent
  workdir = shared / name / 'run'
  with filelock.FileLock(shared / f'{name}.lock'):
    if not (workdir / last).exists():
      done = studies.run(workdir, *arguments, **options)
      assert done.returncode == 0, done.stderr
  return workdir


@pytest.fixture(scope='session')
def exported(tmp_path_factory):
  """A bundle of the noisy point, whatever the small study recommends."""
  # Here, since TensorFlow is not everywhere and the rest is slow to import.
  from hybrid_jax.study import runner

  workdir = _shared_study(
    tmp_path_factory,
    'exported',
    'bundle/manifest.json',
    '--config=tests/deploy/export/config.py',
    '--stages=data,train,siamese,release,attack,export',
  )
  return workdir, runner.open_study(workdir)


@pytest.fixture(scope='session')
def few_steps(tmp_path_factory):
  """The work directory of a finished study of few steps, to compare with."""
  from tests import studies

  return _shared_study(
    tmp_path_factory,
    'few_steps',
    'report.html',
    studies.FEW_STEPS,
    studies.QUICK,
    flags=studies.LEAST_OPTIMIZED,
  )
