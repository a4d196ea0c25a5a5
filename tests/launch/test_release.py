"""The workflow that publishes a release, and the shell commands in it."""

import re
import subprocess

import pytest
import yaml

import hybrid_jax
from tests import studies


@pytest.fixture(scope='module')
def workflow():
  path = studies.ROOT / '.github' / 'workflows' / 'release.yaml'
  return yaml.safe_load(path.read_text())


def test_a_tag_starts_it_and_a_hand_may(workflow):
  starts = workflow[True]  # `on` in YAML
  assert starts == {'push': {'tags': ['v*']}, 'workflow_dispatch': None}


def test_the_build_is_checked_before_it_is_kept(workflow):
  steps = workflow['jobs']['build']['steps']
  runs = [step.get('run', step.get('uses', '')) for step in steps]
  order = [
    next(i for i, run in enumerate(runs) if part in run)
    for part in (
      'actions/checkout',
      'pip install build twine',
      'python -m build',
      'twine check --strict dist/*',
      'GITHUB_REF_NAME',
      'actions/upload-artifact',
    )
  ]
  assert order == sorted(order)


def test_only_a_tag_publishes_and_without_a_password(workflow):
  publish = workflow['jobs']['publish']
  assert publish['needs'] == 'build'
  assert publish['if'] == "github.event_name == 'push'"
  assert publish['environment'] == 'pypi'
  assert publish['permissions'] == {'id-token': 'write'}
  assert workflow['permissions'] == {'contents': 'read'}
  uses = [step['uses'] for step in publish['steps']]
  assert re.match('pypa/gh-action-pypi-publish@', uses[-1])
  assert 'password' not in str(publish)


@pytest.mark.parametrize(
  ('tag', 'code'), [(f'v{hybrid_jax.__version__}', 0), ('v9.9.9', 1)]
)
def test_the_tag_must_be_the_version(workflow, tag, code, tmp_path):
  (step,) = [
    step
    for step in workflow['jobs']['build']['steps']
    if step.get('name') == 'Check that the tag is the version'
  ]
  assert step['if'] == "github.event_name == 'push'"
  wheel = f'hybrid_jax-{hybrid_jax.__version__}-py3-none-any.whl'
  (tmp_path / 'dist').mkdir()
  (tmp_path / 'dist' / wheel).touch()
  done = subprocess.run(
    ['bash', '-e', '-c', step['run']],
    cwd=tmp_path,
    env={'PATH': '/usr/bin:/bin', 'GITHUB_REF_NAME': tag},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == code
  assert (tag in done.stderr) == bool(code)
