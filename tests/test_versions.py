"""The versions that pyproject.toml allows: the oldest, and those of Colab."""

import json
import re
import tomllib

import pytest
from packaging import requirements, utils, version

from tests import studies

PROJECT = tomllib.loads((studies.ROOT / 'pyproject.toml').read_text())[
  'project'
]
EXTRAS = PROJECT['optional-dependencies']


def _needed(*extras):
  """What the package and some of its extras need, by name."""
  lines = PROJECT['dependencies'] + [x for e in extras for x in EXTRAS[e]]
  return {
    utils.canonicalize_name(r.name): r.specifier
    for r in map(requirements.Requirement, lines)
  }


def _pins(path):
  """Name to version, of a file of constraints."""
  lines = (studies.ROOT / path).read_text().splitlines()
  return {
    utils.canonicalize_name(name): version.Version(pin)
    for name, pin in (x.split('==') for x in lines if not x.startswith('#'))
  }


def test_the_oldest_versions_are_those_that_are_tested():
  pins = _pins('constraints-oldest.txt')
  # These are tools, of which no version is promised.
  for name, allowed in _needed(
    *EXTRAS.keys() - {'test', 'lint', 'load', 'docs'}
  ).items():
    (lowest,) = [s for s in allowed if s.operator in ('>=', '==')]
    assert pins[name] == version.Version(lowest.version), name
  assert pins['jaxlib'] == pins['jax']


def test_the_newest_jax_is_within_what_is_allowed():
  lines = (studies.ROOT / 'constraints.txt').read_text().splitlines()
  found = re.findall(r'^jax==([\d.]+)', '\n'.join(lines), re.MULTILINE)
  allowed = _needed()['jax']
  assert len(found) == 2
  assert all(pin in allowed for pin in found)
  # The one after the newest is not allowed: nothing untested is.
  major, minor = version.Version(max(found, key=version.Version)).release[:2]
  assert f'{major}.{minor + 1}.0' not in allowed


@pytest.mark.parametrize('path', sorted(studies.ROOT.glob('colabs/*.ipynb')))
def test_colab_keeps_its_own_packages(path):
  cell = json.loads(path.read_text())['cells'][1]
  (extras,) = re.findall(r"'hybrid-jax\[(\S+)\] @ git", ''.join(cell['source']))
  there = _pins('colabs/runtime.txt')
  needed = _needed(*extras.split(','))
  refused = {
    name: str(there[name])
    for name, allowed in needed.items()
    if name in there and there[name] not in allowed
  }
  assert refused == {}
  assert {'jax', 'flax', 'numpy', 'optax', 'scipy'} <= needed.keys() & there
