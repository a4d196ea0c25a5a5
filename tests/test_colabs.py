"""The notebooks run whole, in fresh kernels, and come without outputs."""

import collections
import json
import re

import numpy as np
import pytest

from hybrid_jax.cli import notebook
from tests import studies

nbformat = pytest.importorskip('nbformat')
nbclient = pytest.importorskip('nbclient')
pytest.importorskip('ipykernel')

FOLDER = studies.ROOT / 'colabs'
NAMES = ('1_train_and_audit', '2_attack_it_yourself', '3_export_and_run')
# Address of a repository and of a notebook in it.
_BADGE = re.compile(
  r'colab\.research\.google\.com/github/(\S+?)/blob/main/(\S+?)\)'
)
_INSTALLED = re.compile(r"git\+https://github\.com/([^\s']+)")


def _read(name):
  return nbformat.read(FOLDER / f'{name}.ipynb', as_version=4)


def _code(notebook):
  return [c for c in notebook.cells if c.cell_type == 'code']


def test_these_are_all_notebooks():
  found = sorted(path.stem for path in FOLDER.glob('*.ipynb'))
  assert found == sorted(NAMES)


@pytest.mark.parametrize('name', NAMES)
def test_a_notebook_is_valid_and_stripped(name):
  notebook = _read(name)
  nbformat.validate(notebook)
  assert set(notebook.metadata) <= {'kernelspec', 'language_info'}
  for cell in _code(notebook):
    assert cell.outputs == []
    assert cell.execution_count is None
    assert not cell.metadata


@pytest.mark.parametrize('name', NAMES)
def test_the_badge_opens_this_notebook(name):
  notebook = _read(name)
  ((repository, path),) = _BADGE.findall(notebook.cells[0].source)
  assert path == f'colabs/{name}.ipynb'
  (installed,) = _INSTALLED.findall(_code(notebook)[0].source)
  assert installed == repository
  assert re.search(
    r'\*\*Time\*\*: .*\d+ (minutes|seconds)', notebook.cells[0].source
  )
  assert '**GPU or TPU**' in notebook.cells[0].source


@pytest.mark.parametrize('name', NAMES)
def test_the_installation_replaces_nothing(name):
  (line,) = [
    line
    for line in _code(_read(name))[0].source.splitlines()
    if 'pip install' in line
  ]
  assert '-c runtime.txt' in line


@pytest.fixture(scope='module')
def place(tmp_path_factory):
  """The folder in which all notebooks run, so that the study runs once."""
  return tmp_path_factory.mktemp('colabs')


@pytest.fixture(scope='module')
def executed(place):
  """Gives a function from a notebook's name to it with outputs, by cell."""
  done = {}

  def run(name):
    if name not in done:
      notebook = _read(name)
      env = studies.environment() | {
        'HYBRID_JAX_SMALL': '1',
        'XLA_FLAGS': studies.LEAST_OPTIMIZED,
        'PYTHONPATH': str(studies.ROOT),
        'IPYTHONDIR': str(place / 'ipython'),
      }
      nbclient.NotebookClient(
        notebook,
        timeout=600,
        startup_timeout=300,
        kernel_name='python3',
        resources={'metadata': {'path': str(place)}},
      ).execute(env=env)
      done[name] = notebook
    return done[name]

  return run


def _shown(notebook, kind):
  """All outputs of a kind, as `text/markdown`."""
  return [
    output.data[kind]
    for cell in _code(notebook)
    for output in cell.outputs
    if kind in output.get('data', {})
  ]


def _cells(markdown):
  """The first cell of each line to the others."""
  lines = [line.strip('| ').split(' | ') for line in markdown.splitlines()]
  return {first: rest for first, *rest in lines}


def _leaves_tensorflow_out(notebook):
  """The notebook itself asserts it; a later cell may import it."""
  return any(
    "assert 'tensorflow' not in sys.modules" in cell.source
    and cell.execution_count is not None
    for cell in _code(notebook)
  )


def test_train_and_audit(executed, place):
  notebook = executed('1_train_and_audit')
  assert _leaves_tensorflow_out(notebook)
  table = _cells(_shown(notebook, 'text/markdown')[0])
  stored = json.loads((place / 'runs/colab/metrics.json').read_text())
  rows = {row['embedding']: row for row in stored['rows']}
  assert len(rows) == 3
  dim, utility, person = table['bounded'][:3]
  assert dim == '4'
  for text, found in (
    (utility, rows['bounded']['utility']),
    (person, rows['bounded']['leakage']['person']),
  ):
    assert float(text.split()[0]) == round(100 * found['value'], 1)
  assert float(table['*chance*'][2]) == pytest.approx(
    100 * _chance(place), abs=0.05
  )
  drawn = _shown(notebook, 'application/vnd.plotly.v1+json')
  assert len(drawn) == 2
  points = {trace.get('name') for trace in drawn[0]['data']}
  assert {'simple', 'noisy reduced Siamese', 'bounded'} <= points


def test_attack_it_yourself(executed, place):
  executed('1_train_and_audit')
  notebook = executed('2_attack_it_yourself')
  assert _leaves_tensorflow_out(notebook)
  (found,) = map(_cells, _shown(notebook, 'text/markdown'))
  chance = 100 * _chance(place)
  trees = {
    name: float(rest[0].split()[0])
    for name, rest in found.items()
    if rest[0][0].isdigit()
  }
  assert trees['*chance*'] == pytest.approx(chance, abs=0.05)
  assert trees['simple'] > 2 * chance
  assert trees['simple'] > trees['noisy reduced Siamese']
  report = _shown(notebook, 'text/html')[-1]  # Plotly's figure is before it.
  assert 'my vectors, 3 numbers with noise' in report
  for label in ('person', 'side'):
    assert f'<td>{label}</td>' in report


def test_export_and_run(executed, place):
  pytest.importorskip('tensorflow')
  executed('1_train_and_audit')
  notebook = executed('3_export_and_run')
  assert _leaves_tensorflow_out(notebook)
  tables = collections.ChainMap(*map(_cells, _shown(notebook, 'text/markdown')))
  assert tables['the raw window'] == ['3,072']  # 128 times, 6 channels, float32
  assert any(k.endswith('numbers, int16') for k in tables)
  for half in ('edge', 'cloud'):
    sizes = [
      (place / f'runs/colab/bundles/{variant}/{half}.tflite').stat().st_size
      for variant in ('int8', 'float32')
    ]
    assert sizes[0] < sizes[1]
  printed = ''.join(
    output.text
    for cell in _code(notebook)
    for output in cell.outputs
    if output.get('name') == 'stdout'
  )
  assert 'the same window again: this input was released' in printed
  assert 'the truth: ' in printed


def _chance(place):
  file = place / 'runs/colab/released/dense1-simple.npz'
  with np.load(file) as f:
    person = f['sensitive_person'][f['fold'] == 2]
  return max(np.mean(person == k) for k in np.unique(person))


def test_a_table_in_markdown():
  table = notebook.Table(['a', 'b'], [1, 'x'], (2, ''))
  assert table._repr_markdown_() == (
    '| a | b |\n| --- | --- |\n| 1 | x |\n| 2 |  |'
  )
