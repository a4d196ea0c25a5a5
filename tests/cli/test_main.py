"""`hybrid-jax`: its commands, and what is wrong with a command line."""

import subprocess
import sys

import pytest

import hybrid_jax
from hybrid_jax.cli import main
from tests import studies


def _run(*arguments, **settings):
  return subprocess.run(
    [sys.executable, '-m', 'hybrid_jax', *arguments],
    cwd=settings.get('cwd', studies.ROOT),
    env=studies.environment() | {'PYTHONPATH': str(studies.ROOT)},
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
  )


@pytest.mark.parametrize('arguments', [['--help'], ['help'], []])
def test_help_lists_the_commands_with_a_line_each(
  arguments, monkeypatch, capsys
):
  monkeypatch.setattr(sys, 'argv', ['hybrid-jax', *arguments])
  main.main()
  lines = capsys.readouterr().out.splitlines()
  for name in main.COMMANDS:
    (line,) = [each for each in lines if each.startswith(f'  {name} ')]
    assert len(line.split()) > 5


def test_the_version(monkeypatch, capsys):
  monkeypatch.setattr(sys, 'argv', ['hybrid-jax', '--version'])
  main.main()
  assert capsys.readouterr().out == f'hybrid-jax {hybrid_jax.__version__}\n'


def test_an_unknown_command_names_the_nearest(monkeypatch, capsys):
  monkeypatch.setattr(sys, 'argv', ['hybrid-jax', 'stdy', '--x=1'])
  with pytest.raises(SystemExit) as caught:
    main.main()
  assert caught.value.code == 2
  line = capsys.readouterr().err
  assert line.startswith("error: unknown command 'stdy'. Did you mean 'study'?")
  assert line.count('\n') == 1


def test_help_and_list_import_no_jax():
  script = (
    'import sys\n'
    'from hybrid_jax.cli import main\n'
    'sys.argv = ["hybrid-jax", *sys.argv[1:]]\n'
    'try:\n'
    '  main.main()\n'
    'except SystemExit:\n'
    '  pass\n'
    "assert 'jax' not in sys.modules\n"
    "assert 'tensorflow' not in sys.modules\n"
  )
  commands = [['--help'], ['study', '--list']]
  commands += [[name, '--help'] for name in ('study', 'audit', 'check-data')]
  for arguments in commands:
    done = subprocess.run(
      [sys.executable, '-c', script, *arguments],
      cwd=studies.ROOT,
      capture_output=True,
      text=True,
      check=False,
    )
    assert done.returncode == 0, (arguments, done.stderr)
    assert done.stdout


def test_a_command_runs_with_its_own_exit_code(tmp_path):
  done = _run('gate', '--workdir=nowhere', '--min-utility=0.5', cwd=tmp_path)
  assert done.returncode == 2
  assert done.stderr.startswith('error: ')
  done = _run('check_data', '--config=wach', cwd=tmp_path)
  assert done.returncode == 1
  assert "Did you mean 'watch'?" in done.stderr


def test_every_command_describes_itself_as_installed():
  for path in (studies.ROOT / 'hybrid_jax').rglob('*'):
    if path.suffix in ('.py', '.html', '.js', '.sh'):
      text = path.read_text(encoding='utf-8')
      assert 'launch.' not in text, path
      assert '-m launch' not in text, path
