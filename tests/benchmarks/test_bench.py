"""The benchmark's rows, table and picture, and that both sides do the same."""

import dataclasses
import json
import pathlib
import subprocess
import sys
import types

import jax
import numpy as np
import page_tables
import pytest

from benchmarks import audit, gpu, growth, networks, ranks, timing
from hybrid_jax import errors
from hybrid_jax.metrics import ranking
from hybrid_jax.report import bench_plots
from launch import bench
from tests import studies

_TORCH = studies.ROOT / '.venv-torch' / 'bin' / 'python'
needs_torch = pytest.mark.skipif(
  not _TORCH.exists(), reason='bash launch/bench.sh makes .venv-torch'
)


def _rows():
  one = timing.row('a step', 'JAX', 'eager', [2.0, 3.0, 8.0], [4.0, 2.0, 4.0])
  two = timing.row('a step', 'JAX', 'compiled', [1.0], [2.0], goal=0.8)
  three = timing.row('all', 'JAX', 'sort', [1.0], [0.5], goal=0.3)
  three['extra'] = {'note': 'scaled'}
  more = timing.row('batch 2', '2', '1', [2.0], [1.0], extra={'exponent': 1.0})
  suites = ('step_time', 'step_time', 'ranks', 'growth')
  return [
    row | {'suite': suite}
    for row, suite in zip((one, two, three, more), suites, strict=True)
  ]


def test_a_row_takes_ratios_round_by_round():
  row = _rows()[0]
  found = row['ratio_min'], row['ratio'], row['ratio_max']
  assert found == (0.5, 1.5, 2.0)  # Of the medians it would be 0.75.


def test_timers_go_by_turns_and_the_fastest_has_the_goal():
  called = []

  def timer(name, times):
    left = iter(times)

    def run():
      called.append(name)
      return next(left)

    return run

  timers = {
    'ours': timer('a', [99.0, 1.0, 1.0]),
    'slow': timer('b', [99.0, 4.0, 4.0]),
    'fast': timer('c', [99.0, 2.0, 2.0]),
  }
  slow, fast = timing.Bench(rounds=2).compare('it', timers, 0.8)
  assert called == list('abcabcabc')
  assert (slow['ratio'], fast['ratio']) == (0.25, 0.5)  # Without the first.
  assert (slow['goal'], fast['goal']) == (None, 0.8)


def test_growth_has_the_exponent_of_each_size_over_the_one_before():
  rows = growth.grown(
    timing.Bench(rounds=1), 'work', [1, 10, 1000], lambda n: lambda: 5.0 * n**2
  )
  assert [r['ratio'] for r in rows] == pytest.approx([100.0, 10_000.0])
  assert [r['extra']['exponent'] for r in rows] == pytest.approx([2.0, 2.0])


def test_suites_keep_their_order_and_an_unknown_one_is_told():
  assert bench.chosen(['ranks', 'step_time']) == ['step_time', 'ranks']
  assert bench.chosen(['all']) == list(bench.SUITES)
  done = subprocess.run(
    [sys.executable, '-m', 'launch.bench', '--suite=step_time,rank'],
    cwd=studies.ROOT,
    env=studies.environment(),
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 1
  assert "unknown suite 'rank'. Did you mean 'ranks'?" in done.stderr
  assert 'growth' in done.stderr
  assert len(done.stderr.strip().splitlines()) == 1


def test_a_stop_keeps_the_suites_before_it(tmp_path, monkeypatch):
  def stop(_):
    raise KeyboardInterrupt

  for name, measure in (('step_time', lambda _: _rows()[:1]), ('ranks', stop)):
    suite = types.SimpleNamespace(measure=measure)
    monkeypatch.setitem(sys.modules, f'benchmarks.{name}', suite)
  out = tmp_path / 'bench.json'
  with pytest.raises(KeyboardInterrupt):
    bench.measure(['step_time', 'ranks'], timing.Bench(rounds=3), out)
  found = json.loads(out.read_text())
  assert [(r['suite'], r['ratio']) for r in found['rows']] == [
    ('step_time', 1.5)
  ]
  assert found['rounds'] == 3
  assert list(found['suite_seconds']) == ['step_time']
  # What the pages say of where a table comes from.
  assert page_tables.origin(found).startswith('*Version ')


def test_the_table_says_what_is_met():
  lines = bench_plots.markdown(_rows()).splitlines()
  assert lines[2] == (
    '| a step | JAX | eager | 3000 | 4000 | 1.50 | 0.50 to 2.00 |  |  |'
  )
  assert '|  |  | compiled |' in lines[3]  # The same work: not said again.
  assert '| <= 0.8: met |' in lines[3]
  assert '| <= 0.3: missed | scaled |' in lines[4]


def test_large_times_have_no_exponent():
  (row,) = bench_plots.markdown(
    [timing.row('all', 'JAX', 'sort', [0.1234567], [28.456], goal=None)]
  ).splitlines()[2:]
  assert row.startswith('| all | JAX | sort | 123.5 | 28456 |')


def test_the_picture_has_a_dot_and_a_range_for_each_comparison():
  figure = bench_plots.plot(_rows())
  dots = [
    list(t.x) for t in figure.data if t.mode == 'markers' and t.hovertemplate
  ]
  assert dots == [[1.5, 0.5], [2.0]]  # By suite; growth is not a comparison.
  ranges = [tuple(t.x) for t in figure.data if t.mode == 'lines']
  assert ranges == [(0.5, 2.0), (0.5, 0.5), (2.0, 2.0)]
  assert figure.layout.xaxis.type == 'log'
  with pytest.raises(errors.UserError, match='no ratio'):
    bench_plots.plot(_rows()[3:])


def test_a_picture_of_another_kind_is_refused(tmp_path):
  bench_plots.check_path(tmp_path / 'a.html')
  with pytest.raises(errors.UserError, match=r'html or \.png'):
    bench_plots.check_path(tmp_path / 'a.svg')


def test_a_missing_pytorch_is_told():
  with pytest.raises(errors.UserError, match=r'nowhere/python.*bench\.sh'):
    _ = timing.Bench(torch_python='nowhere/python').torch


def _small():
  """The networks of the suite, so small that they compile fast."""
  cnn, vgg, _, resnet = networks.NETWORKS
  return (
    cnn,
    dataclasses.replace(
      vgg, options=vgg.options | {'width': 0.125}, example=(32, 32, 1)
    ),
    dataclasses.replace(
      resnet,
      options=resnet.options | {'width': 8, 'depths': (2, 1, 1, 1)},
      example=(16, 16, 3),
    ),
  )


def test_weights_go_over_in_pytorchs_order_and_shapes():
  network = _small()[2]
  model = network.model()
  x = np.zeros((1, *network.example), np.float32)
  shapes = jax.eval_shape(model.init, jax.random.key(0), x)['params']
  rng = np.random.default_rng(0)
  params = jax.tree.map(lambda a: rng.standard_normal(a.shape), shapes)
  found = networks.torch_weights(model, params)
  # The stem; two blocks; then one that starts the next stage.
  conv, norm = (8, 8, 3, 3), [(8,), (8,)]
  shapes = [(8, 3, 3, 3), *norm, *[conv, *norm] * 4]
  shapes += [(16, 8, 3, 3), (16,), (16,), (16, 16, 3, 3), (16,), (16,)]
  shapes += [(16, 8, 1, 1), (16,), (16,)]
  assert [a.shape for a in found[: len(shapes)]] == shapes
  kernel = params['stem']['conv']['kernel']
  assert found[0][5, 2, 0, 1] == kernel[0, 1, 2, 5]
  assert sum(a.size for a in found) == sum(
    a.size for a in jax.tree.leaves(params)
  )


def test_scikit_learn_gives_the_same_ranks():
  rng = np.random.default_rng(0)
  # Few values, so that many distances tie.
  probes, candidates = rng.integers(4, size=(2, 60, 3)).astype(np.float32)
  truth = rng.permutation(60)
  np.testing.assert_array_equal(
    ranks.sklearn_ranks(probes, candidates, truth),
    ranking.linkage(probes, candidates, truth),
  )


@needs_torch
def test_both_sides_have_the_same_networks_and_ranks():
  own = timing.Bench(torch_python=str(_TORCH))
  for network in _small():
    assert networks.check_same(own, network) < 1e-5
  ranks.check_same(own)


@needs_torch
def test_another_network_is_refused():
  own = timing.Bench(torch_python=str(_TORCH))
  cnn = _small()[0]
  other = cnn.torch() | {'options': cnn.options | {'kernel': 5}}
  network = types.SimpleNamespace(
    model=cnn.model, example=cnn.example, title='it', torch=lambda: other
  )
  with pytest.raises(errors.UserError, match='PyTorch process failed'):
    networks.check_same(own, network)


def test_every_suite_is_a_file():
  folder = pathlib.Path(bench.__file__).parents[1] / 'benchmarks'
  suites = {
    path.stem
    for path in folder.glob('*.py')
    if '\ndef measure(bench' in path.read_text()
  }
  assert suites == set(bench.SUITES)


def test_the_script_for_a_gpu_in_small(tmp_path):
  out = tmp_path / 'gpu.json'
  done = subprocess.run(
    ['bash', 'benchmarks/gpu.sh', '--small', f'--out={out}'],
    cwd=studies.ROOT,
    env=studies.environment()
    | {'PYTHON': sys.executable, 'TORCH_PYTHON': str(_TORCH)},
    capture_output=True,
    text=True,
    timeout=900,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  parts = json.loads(out.read_text())['parts']
  step = 'step, 1-D CNN, 128 x 6, batch 8, '
  assert set(parts) == {
    'study, cold',
    '2 adversaries',
    'ranks of 300',
    f'{step}float32',
  }
  for name, figures in parts.items():
    assert 'left_out' not in figures, (name, figures)
    assert figures['seconds'] > 0
    assert f'{name}: seconds ' in done.stdout
  assert parts[f'{step}float32']['peak_share'] > 0


def test_parts_of_the_gpu_script_that_do_not_fit():
  def fails():
    raise errors.UserError('the study in JAX took more than 1 s.')

  assert gpu._measured(fails, 1.0) == {
    'left_out': 'the study in JAX took more than 1 s.'
  }
  assert gpu._measured(fails, 0.0) == {'left_out': 'no time left'}
  sizes = gpu.Sizes()
  names = [name for name, _ in gpu.parts(sizes, '', pathlib.Path())]
  assert names[:2] == ['study, cold', 'study, warm']
  # Four networks, two precisions, three batches; the middle batch first.
  batches = [name.split('batch ')[1] for name in names if 'batch' in name]
  assert len(batches) == 24
  assert {b.split(',')[0] for b in batches[:8]} == {'256'}


def test_the_growth_of_an_audit_has_exponents_and_memory(monkeypatch):
  sizes = {'audit, examples': ((300, 600), 'examples')}
  monkeypatch.setattr(audit, 'SIZES', sizes)
  config = audit.audit_config.get(fast=True)
  config.attack.adversaries = ('majority', 'kde')
  config.attack.sets.recording_adversaries = ()
  monkeypatch.setattr(audit.audit_config, 'get', lambda fast: config)
  (row,) = audit.measure(timing.Bench())
  assert row['what'] == 'audit, examples 600'
  assert row['extra']['exponent'] < 3
  assert 0 < row['extra']['peak_gib'] < 24


def test_people_of_an_audit_are_in_all_folds_and_can_be_told_apart():
  problem = audit.problem(2000, 10, 0)
  person = problem.sensitive['person']
  for fold in range(3):
    assert len(np.unique(person[problem.rows(fold)])) == 10
  means = np.stack([problem.clean[person == p].mean(axis=0) for p in range(10)])
  nearest = [
    np.square(means[p] - np.delete(means, p, axis=0)).sum(axis=1).min()
    for p in range(10)
  ]
  assert min(nearest) > 0.1
