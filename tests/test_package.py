"""The configs, and the rules of the house."""

import importlib
import importlib.util
import pathlib
import subprocess
import sys

import ml_collections
import pytest

import hybrid_jax
from hybrid_jax.models import split_model
from hybrid_jax.study import validate

ROOT = pathlib.Path(__file__).parent.parent


@pytest.mark.parametrize(
  'path', ['watch', 'motionsense', 'faces', 'digits', 'utkface', 'emotion']
)
@pytest.mark.parametrize('arg', ['', 'full', 'small', 'tune'])
def test_every_config_builds(path, arg):
  config = importlib.import_module(f'configs.{path}').get_config(arg)
  assert isinstance(config, ml_collections.ConfigDict)
  split_model.make(config.model, 3)
  validate.prepare(config)


def test_training_imports_no_tensorflow():
  script = (
    'import sys, hybrid_jax.study.runner\n'
    'from hybrid_jax.study.stages import attack, release, siamese\n'
    'from hybrid_jax.study.stages import train, report\n'
    "assert 'tensorflow' not in sys.modules\n"
    "assert 'seglearn' not in sys.modules\n"
  )
  subprocess.run([sys.executable, '-c', script], cwd=ROOT, check=True)


def test_a_config_is_checked_without_scikit_learn_which_is_slow_to_import():
  script = (
    'import sys\n'
    'from configs import watch\n'
    'from hybrid_jax.study import runner, validate\n'
    "validate.prepare(watch.get_config('full'))\n"
    "assert not {'scipy', 'sklearn', 'plotly'} & set(sys.modules)\n"
  )
  subprocess.run([sys.executable, '-c', script], cwd=ROOT, check=True)


def test_the_package_imports_what_it_needs_when_it_needs_it():
  script = (
    'import sys, hybrid_jax as hj\n'
    "heavy = {'jax', 'numpy', 'sklearn', 'plotly', 'tensorflow'}\n"
    'assert not heavy & set(sys.modules), heavy & set(sys.modules)\n'
    'assert set(hj.__all__) <= set(dir(hj))\n'
    'assert hj.UserError is not None\n'
    "assert not hasattr(hj, 'nothing')\n"
    'hj.Bundle\n'
    "assert not {'jax', 'tensorflow'} & set(sys.modules)\n"
    'hj.audit\n'
    "assert 'tensorflow' not in sys.modules\n"
    'from hybrid_jax.study import audit_released\n'
    'assert callable(hj.audit)\n'
  )
  subprocess.run([sys.executable, '-c', script], cwd=ROOT, check=True)


def test_no_module_hides_a_public_name():
  for name in hybrid_jax.__all__:
    assert importlib.util.find_spec(f'hybrid_jax.{name}') is None
    assert getattr(hybrid_jax, name).__name__ == name


def test_the_device_side_imports_numpy_alone():
  script = (
    'import sys, hybrid_jax.deploy.formats.device\n'
    "found = {'jax', 'flax', 'scipy', 'tensorflow'} & set(sys.modules)\n"
    'assert not found, found\n'
  )
  subprocess.run([sys.executable, '-c', script], cwd=ROOT, check=True)


def test_a_newcomer_meets_few_names():
  names = {path.stem for path in (ROOT / 'hybrid_jax').iterdir()}
  names -= {'__init__', '__main__', '__pycache__', 'py'}  # `py.typed`
  assert len(names) <= 16, sorted(names)


def test_no_module_has_a_name_that_says_nothing():
  stems = {path.stem for path in (ROOT / 'hybrid_jax').rglob('*.py')}
  assert not stems & {'base', 'utils', 'helpers', 'common', 'misc'}
