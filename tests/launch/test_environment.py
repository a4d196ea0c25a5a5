"""launch/environment.sh: what is installed, and that it is installed once."""

import os
import subprocess

import pytest

from tests import studies

# Stands for uv and for Python: notes its arguments, and makes an environment.
_PROGRAM = """#!/usr/bin/env bash
set -eu
case "$*" in
  *'assert (3, 11)'*) exit 0 ;;
esac
echo "${0##*/} $*" >> "$LOG"
case "$*" in
  venv* | '-m venv'*)
    folder=${@: -1}
    mkdir -p "$folder/bin" && cp "$HERE/python" "$folder/bin/python" ;;
  'pip install'*) exit "${UV_FAILS:-0}" ;;
esac
"""


@pytest.fixture
def make(tmp_path):
  """Runs `make_environment`; returns the programs that it called."""
  root, programs = tmp_path / 'root', tmp_path / 'programs'
  (root / 'launch').mkdir(parents=True)
  programs.mkdir()
  script = (studies.ROOT / 'launch' / 'environment.sh').read_text()
  (root / 'launch' / 'environment.sh').write_text(script)
  for name in ('pyproject.toml', 'constraints.txt', 'constraints-oldest.txt'):
    (root / name).write_text(name)
  for name in ('python', 'uv'):
    (programs / name).write_text(_PROGRAM)
    (programs / name).chmod(0o755)
  log = tmp_path / 'log'

  def make(extras, *more, uv=True, fails=False):
    log.write_text('')
    if not uv:
      (programs / 'uv').unlink(missing_ok=True)
    done = subprocess.run(
      [
        *('bash', '-euo', 'pipefail', '-c'),
        'source launch/environment.sh; make_environment "$@"; echo "$PYTHON"',
        *('bash', extras, *more),
      ],
      cwd=root,
      env={
        'PATH': f'{programs}:/usr/bin:/bin',
        'PYTHON3': str(programs / 'python'),
        'HERE': str(programs),
        'LOG': str(log),
        'UV_FAILS': str(int(fails)),
        'HOME': os.environ['HOME'],
      },
      capture_output=True,
      text=True,
      check=True,
    )
    suffix = f'-{more[0]}' if more else ''
    assert done.stdout.strip() == f'{root}/.venv{suffix}/bin/python'
    return [
      line.replace(str(root), 'ROOT').replace(str(programs), 'PROGRAMS')
      for line in log.read_text().splitlines()
    ]

  make.root = root
  return make


def test_uv_installs_the_extras(make):
  assert make('watch,export') == [
    'uv venv --quiet --seed --python PROGRAMS/python ROOT/.venv',
    'uv pip install --quiet --python ROOT/.venv/bin/python --constraint'
    ' ROOT/constraints.txt --editable ROOT[export,watch]',
  ]


def test_pip_installs_where_there_is_no_uv(make):
  assert make('watch,export', uv=False) == [
    'python -m venv ROOT/.venv',
    'python -m pip install --quiet --disable-pip-version-check --constraint'
    ' ROOT/constraints.txt --editable ROOT[export,watch]',
  ]


def test_pip_installs_where_uv_fails(make):
  calls = make('watch', fails=True)
  assert [call.split()[0] for call in calls] == ['uv', 'uv', 'python']
  assert not make('watch')


def test_what_is_there_is_not_installed_again(make):
  make('watch,export')
  assert not make('export,watch')
  (call,) = make('watch,export,test')
  assert call.endswith('ROOT[export,test,watch]')
  assert not make('watch,export')
  assert not make('test,watch')


def test_a_change_installs_all_extras_again(make):
  make('watch,test')
  (make.root / 'pyproject.toml').write_text('another')
  (call,) = make('watch')
  assert call.endswith('ROOT[test,watch]')
  assert not make('test')


def test_the_oldest_versions_live_apart(make):
  make('watch')
  calls = make('watch', 'oldest')
  assert len(calls) == 2
  assert 'ROOT/constraints-oldest.txt' in calls[1]
  assert 'ROOT/.venv-oldest/bin/python' in calls[1]
