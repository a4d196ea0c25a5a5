"""A small study from start to end, and its files."""

import json

import numpy as np
import pytest

from tests import outside, studies

# Half the windows, each attacked half as often; the export has its own tests.
_SMALLER = (
  '--config.data.hop=64',
  '--config.attack.draws=2',
  '--stages=data,train,siamese,defend,release,attack,strangers,grid,report',
)


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('study') / 'run'
  done = studies.run(workdir, *_SMALLER)
  assert done.returncode == 0, done.stderr
  return workdir, done


def test_a_study_writes_its_metrics_report_and_curves(finished):
  workdir, done = finished
  metrics = json.loads((workdir / 'metrics.json').read_text())
  assert [row['embedding'] for row in metrics['rows']] == [
    'simple',
    'reduced',
    'siamese',
    'reduced_siamese',
    'noisy_reduced_siamese',
    'bounded',
    'snapped',
  ]
  for row in metrics['rows']:
    assert row['utility']['low'] <= row['utility']['value']
    assert row['utility']['value'] <= row['utility']['high']
    assert set(row['leakage']) == {'person', 'side'}
    for figures in row['leakage'].values():
      assert {'value', 'low', 'high', 'chance', 'adversary'} <= set(figures)
      assert 0 <= figures['per_recording']['value'] <= 1
  assert set(metrics['controls']) == {'raw', 'noise', 'decision'}
  assert metrics['failed_controls'] == []
  point = metrics['recommended']
  assert point['split_point'] == 'dense1'
  assert f'Recommended: {point["why"]}' in done.stdout
  assert (workdir / 'report.html').stat().st_size > 1_000_000
  curve = (workdir / 'training/simple/curve.jsonl').read_text().splitlines()
  assert [json.loads(line)['step'] for line in curve] == [20, 40]
  assert list((workdir / 'training/simple/events').iterdir())


def test_released_files_have_the_documented_layout(finished):
  workdir, _ = finished
  stored = np.load(workdir / 'released/dense1-noisy_reduced_siamese.npz')
  n, d = stored['clean'].shape
  assert d == 6
  assert stored['noise_cov'].shape == (d, d)
  for name in (
    'primary',
    'sensitive_person',
    'sensitive_side',
    'recording',
    'fold',
  ):
    assert stored[name].shape == (n,)
  assert set(np.unique(stored['fold'])) == {0, 1, 2}
  train = stored['clean'][stored['fold'] == 0]
  rms = np.sqrt(np.mean((train - train.mean(0)) ** 2))
  np.testing.assert_allclose(
    stored['noise_cov'], (0.3 * rms) ** 2 * np.eye(d), rtol=1e-3, atol=1e-6
  )
  assert 'noise_cov' not in np.load(workdir / 'released/dense1-simple.npz')


@pytest.mark.parametrize(
  'embedding', ['reduced_siamese', 'noisy_reduced_siamese']
)
def test_no_ordinary_attacker_does_much_better(finished, embedding):
  workdir, _ = finished
  metrics = json.loads((workdir / 'metrics.json').read_text())
  row = next(r for r in metrics['rows'] if r['embedding'] == embedding)
  scores = outside.best(workdir / f'released/dense1-{embedding}.npz', 'person')
  assert max(scores.values()) <= row['leakage']['person']['value'] + 0.02, (
    scores
  )


def test_no_attacker_passes_the_ceiling(finished):
  workdir, _ = finished
  metrics = json.loads((workdir / 'metrics.json').read_text())
  noisy = [row for row in metrics['rows'] if row['sigma']]
  assert len(noisy) == 3
  for row in metrics['rows']:
    target = f'{row["split_point"]}-{row["embedding"]}.json'
    leakage = json.loads((workdir / 'results/leakage' / target).read_text())
    for attribute, ceiling in row['ceiling'].items():
      assert ceiling['value'] <= ceiling['high'] <= 1
      if not row['sigma']:
        assert ceiling['value'] == 1
      for kind, figures in leakage[attribute]['by_kind'].items():
        # The ceiling bounds the mean over all noise; these are a few draws.
        assert figures['value'] <= ceiling['value'] + 0.02, (target, kind)


def test_the_decision_alone_has_a_low_ceiling(finished):
  workdir, _ = finished
  metrics = json.loads((workdir / 'metrics.json').read_text())
  floor = metrics['controls']['decision']['ceiling']['person']
  assert floor['value'] < 0.4
  assert floor['bits'] < 1


def test_metrics_have_all_measures(finished):
  workdir, _ = finished
  metrics = json.loads((workdir / 'metrics.json').read_text())
  by_name = {row['embedding']: row for row in metrics['rows']}
  simple, bounded = by_name['simple'], by_name['bounded']
  assert simple['ranks']['linkage']['top1']['value'] == 1
  assert bounded['ranks']['linkage']['top1']['value'] < 0.5
  assert 'releases' not in simple  # Without noise there is nothing to average.
  assert set(bounded['releases']['person']['by_count']) == {'1', '4'}
  errors = {
    name: row['reconstruction']['decoder']['error']['overall']['value']
    for name, row in by_name.items()
  }
  assert errors['simple'] < errors['bounded']
  rivals = metrics['rivals']
  assert {row['method'] for row in rivals['table']} == {
    'bounded',
    'noise_alone',
  }
  assert any(row['front'] for row in rivals['table'])
  for hypervolume in rivals['hypervolume'].values():
    assert hypervolume['seeds'] == 2
    assert 0 <= hypervolume['value'] <= 1


def test_controls_pass(finished):
  workdir, _ = finished
  metrics = json.loads((workdir / 'metrics.json').read_text())
  for figures in metrics['controls']['noise']['leakage'].values():
    assert figures['low'] <= figures['chance']
    assert figures['blind'] <= figures['high']
  simple = metrics['rows'][0]['leakage']['person']
  assert (
    metrics['controls']['raw']['leakage']['person']['high'] >= simple['value']
  )
  assert simple['value'] > 0.5  # The leak is real even in a small study.


def test_another_config_is_refused(finished):
  workdir, _ = finished
  done = studies.run(workdir, *_SMALLER, '--config.training.steps=41')
  assert done.returncode == 1
  assert 'training.steps (there 40, asked for 41)' in done.stderr
  assert 'Traceback' not in done.stderr


def test_a_truncated_released_file_is_one_clear_line(finished):
  workdir, _ = finished
  path = workdir / 'released/dense1-reduced.npz'
  whole = path.read_bytes()
  result = workdir / 'results/leakage/dense1-reduced.json'
  kept = result.read_bytes()
  try:
    path.write_bytes(whole[: len(whole) // 2])
    result.unlink()
    done = studies.run(workdir, *_SMALLER, '--stages=attack')
  finally:
    path.write_bytes(whole)
    result.write_bytes(kept)
  assert done.returncode == 1
  assert 'dense1-reduced.npz is damaged' in done.stderr
  assert 'Traceback' not in done.stderr
