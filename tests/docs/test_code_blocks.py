"""The code blocks of README.md and docs/*.md.

Python blocks are run, one page in one namespace. Of shell blocks every command
is known, its flags and config are parsed as the command does, and its files
exist. A block that cannot be tested has `<!-- skip: next "REASON" -->` before
it.
"""

import importlib.util
import json
import pathlib
import re
import shlex
import subprocess
import sys
import unittest
import unittest.mock

import numpy as np
import PIL.Image
import pytest
import sybil
from sybil.parsers import markdown

import hybrid_jax
from hybrid_jax.attacks import adversary
from hybrid_jax.study import audit_arrays
from tests import studies
from tests.docs.test_figures import PAGES

# Programs that are no part of the project.
_OTHERS = ('docker', 'git', 'pip', 'sbatch', 'sphinx-build')
_FOLDERS = ('benchmarks/', 'configs/', 'deploy/', 'docs/', 'launch/', 'tests/')
_LANGUAGES = {'python', 'bash', 'json', '{toctree}', '{eval-rst}'}


def _examples(page, python, **others):
  """Evaluates the blocks of a page that are not skipped."""
  parsers = [markdown.SkipParser()]
  if python:
    parsers.append(markdown.PythonCodeBlockParser())
  for language, evaluate in others.items():
    parsers.append(
      markdown.CodeBlockParser(
        language, lambda example, f=evaluate: f(str(example.parsed))
      )
    )
  if not python:  # A skip may be for any block.
    parsers.append(markdown.CodeBlockParser('python', lambda example: None))
  for language in {'bash', 'json'} - set(others):
    parsers.append(markdown.CodeBlockParser(language, lambda example: None))
  document = sybil.Sybil(parsers=parsers).parse(page)
  for example in document.examples():
    try:
      example.evaluate()
    except unittest.SkipTest:
      continue
  return document.namespace


def _commands(page: str) -> list[str]:
  """Returns the commands of a page's shell blocks, one line each."""
  blocks = []
  _examples(studies.ROOT / page, False, bash=blocks.append)
  lines = '\n'.join(blocks).replace('\\\n', ' ').split('\n')
  return [line.strip() for line in lines if line.strip()]


def _words(command: str) -> list[str]:
  words = shlex.split(command, comments=True)
  while words and re.fullmatch(r'[A-Z_]+=\S*', words[0]):
    words = words[1:]
  return words


def _mistake(words: list[str]) -> str:
  """Returns what is wrong with a command that is not `hybrid-jax`."""
  program, *rest = words
  if program.endswith('python'):
    if rest[:1] == ['-m']:
      try:
        there = importlib.util.find_spec(rest[1])
      except ModuleNotFoundError:
        there = None
      if not there:
        return f'no module {rest[1]}'
  elif program not in (*_OTHERS, 'bash', 'openssl'):
    return f'unknown program {program}'
  for word in rest:
    path = word.split('=')[-1]
    missing = not (studies.ROOT / path.split(':')[0]).exists()
    if path.startswith(_FOLDERS) and missing and '_build' not in path:
      return f'no file {path}'
  return ''


def _parse(lines: list[list[str]]) -> list[str]:
  done = subprocess.run(
    [sys.executable, '-m', 'tests.docs.flag_parser'],
    input=json.dumps(lines),
    cwd=studies.ROOT,
    env=studies.environment() | {'PYTHONPATH': str(studies.ROOT)},
    capture_output=True,
    text=True,
    check=True,
  )
  return json.loads(done.stdout)


def _own(words: list[str], arrays: pathlib.Path) -> list[str] | None:
  """Returns the words after `hybrid-jax`, with files that exist."""
  if words[0] != 'hybrid-jax':
    return None
  words = [re.sub(r'\b(PATH|FOLDER|DIR)\b', 'docs', w) for w in words[1:]]
  pictures = arrays.with_name('pictures')
  return [
    word.replace(':my.npz', f':{arrays}').replace(':pictures', f':{pictures}')
    for word in words
  ]


def test_every_command_parses(tmp_path):
  n = 60
  np.savez(
    tmp_path / 'my.npz',
    x=np.random.default_rng(0).normal(size=(n, 1, 16, 3)).astype('float32'),
    primary=np.arange(n) % 2,
    sensitive_person=np.arange(n) // 2 % 3,
    group=np.arange(n) // 5,
    fold=np.arange(n) * 3 // n,
  )
  (tmp_path / 'pictures').mkdir()
  rows = ['file,primary,sensitive_person']
  for i in range(n):
    pixels = np.full((4, 4), i, np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / f'pictures/{i}.png')
    rows.append(f'{i}.png,{i % 2},{i // 2 % 3}')
  (tmp_path / 'pictures/labels.csv').write_text('\n'.join(rows))
  ours, mistakes = [], []
  for page in (*PAGES, 'CONTRIBUTING.md'):
    for command in _commands(page):
      words = _words(command)
      if not words:
        continue
      if (own := _own(words, tmp_path / 'my.npz')) is not None:
        ours.append((page, command, own))
      elif mistake := _mistake(words):
        mistakes.append(f'{page}: {command}: {mistake}')
  assert len(ours) > 15
  for (page, command, _), error in zip(
    ours, _parse([own for _, _, own in ours]), strict=True
  ):
    if error:
      mistakes.append(f'{page}: {command}: {error}')
  assert mistakes == []


def test_wrong_commands_are_noticed():
  wrong = [
    ['study', '--config=watch', '--work_dir=runs'],
    ['study', '--config=watch', '--config.training.stepz=3'],
    ['study', '--config=configs/wach.py'],
    ['gate', '--workdir=runs', 'extra'],
    ['audt', '--bundle=runs'],
  ]
  assert all(_parse(wrong))
  for command in (
    'python -m benchmarks.exprt_time',
    'bash launch/tests.sh',
    'hybridjax study',
    'python -m pytest tests/nothing.py',
  ):
    assert _mistake(_words(command)), command


@pytest.mark.parametrize('page', [*PAGES, 'CONTRIBUTING.md'])
def test_every_block_has_a_language_that_is_tested(page):
  fences = re.findall(r'^```(.*)$', (studies.ROOT / page).read_text(), re.M)
  assert set(fences[::2]) <= _LANGUAGES
  assert set(fences[1::2]) <= {''}
  # An indented block would be code that no test sees.
  text = (studies.ROOT / page).read_text()
  assert not re.findall(r'\n\n {4}\S', text)


def _fewer_attackers(monkeypatch):
  """The pages' audits try all attackers; one shows that the blocks run."""
  monkeypatch.setattr(
    hybrid_jax,
    'audit',
    lambda *args, **more: audit_arrays.audit(
      *args, **{**more, 'fast': True, 'attackers': ('knn',)}
    ),
    raising=False,
  )


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """A working directory with the released vectors of a study."""
  rng = np.random.default_rng(0)
  released = tmp_path / 'runs/watch/released'
  released.mkdir(parents=True)
  n = 300
  np.savez(
    released / 'dense1-noisy_reduced_siamese.npz',
    clean=rng.normal(size=(n, 6)).astype('float32'),
    noise_cov=np.eye(6),
    primary=np.arange(n) % 7,
    sensitive_person=np.arange(n) % 10,
    recording=np.arange(n) // 10,
    fold=np.arange(n) * 3 // n,
  )
  monkeypatch.chdir(tmp_path)
  _fewer_attackers(monkeypatch)
  return tmp_path


def test_the_blocks_of_the_readme(folder, capsys):
  _examples(studies.ROOT / 'README.md', True)
  assert 'over 50' in capsys.readouterr().out
  assert '<html' in (folder / 'audit.html').read_text()


def test_the_blocks_on_attacks(folder, capsys):
  names = _examples(studies.ROOT / 'docs/attack.md', True)
  first, seen, strangers, score = capsys.readouterr().out.splitlines()
  label, accuracy, low, high, chance, _ceiling = first.split()
  assert [line.split()[:2] for line in (seen, strangers)] == [
    ['digit', 'seen'],
    ['digit', 'strangers'],
  ]
  assert label == 'digit'
  assert float(low) <= float(accuracy) <= float(high)
  assert 0.05 < float(chance) < 0.2
  assert 0 <= float(score) < 0.4
  with np.load('my.npz') as saved:
    assert saved['clean'].shape == names['vectors'].shape


def test_the_blocks_on_models(folder):
  names = _examples(studies.ROOT / 'docs/your_model.md', True)
  assert names['features'].shape == (2, 32)


def test_the_blocks_on_data(folder):
  names = _examples(studies.ROOT / 'docs/your_data.md', True)
  n = 60
  np.savez(
    'mine.npz',
    x=np.random.default_rng(0).normal(size=(n, 1, 16, 3)).astype('float32'),
    activity=np.arange(n) % 2,
    person=np.arange(n) // 2 % 3,
    recording=np.arange(n) // 6,
    fold=np.arange(n) * 3 // n,
  )
  option = names['OPTIONS']['path']
  config = unittest.mock.Mock(path=option.default)
  assert names['load'](config).sensitive_names == {'person': ['0', '1', '2']}


@pytest.mark.parametrize(('leak', 'low', 'high'), [(0, 0, 0.7), (8, 0.95, 1)])
def test_the_blocks_on_plug_ins(folder, leak, low, high):
  names = _examples(studies.ROOT / 'docs/plugins.md', True)
  n = 300
  secret = np.arange(n) // 3 % 2
  clean = np.random.default_rng(0).normal(size=(n, 3)).astype('float32')
  clean[:, 0] += leak * secret
  problem = adversary.Problem(
    clean=clean,
    noise_scale=np.eye(3, dtype='float32'),
    primary=np.arange(n) % 3,
    sensitive={'secret': secret},
    recording=np.arange(n),
    fold=np.arange(n) * 3 // n,
  )
  smoothing = names['OPTIONS']['smoothing'].default
  (attack,) = names['attack'](
    problem, unittest.mock.Mock(smoothing=smoothing), 0
  )
  truth = secret[problem.rows(2)]
  assert low <= np.mean(attack.test.argmax(-1) == truth) <= high


def test_the_blocks_on_devices(exported, monkeypatch, tmp_path):
  workdir, _ = exported
  monkeypatch.chdir(workdir)
  monkeypatch.syspath_prepend(str(workdir / 'bundle'))
  monkeypatch.delitem(sys.modules, 'device', raising=False)
  page = tmp_path / 'deploy.md'
  window = 'import numpy as np\nwindow = np.zeros([1, 128, 6], np.float32)\n'
  page.write_text(
    f'```python\n{window}```\n{(studies.ROOT / "docs/deploy.md").read_text()}'
  )
  names = _examples(page, True)
  assert names['released'].shape == (1, 6)
  assert np.isfinite(names['logits']).all()
