"""launch.audit on vectors from elsewhere, and its one-line errors."""

import json
import subprocess
import sys

import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.attacks import released_vectors
from tests import commands, studies

_N, _PEOPLE = 600, 6

# The audit of `_command`, from Python, with labels as text.
_IN_PYTHON = """
import json, sys
import numpy as np
import hybrid_jax as hj
from hybrid_jax.study import audit_config

f = dict(np.load(sys.argv[1]))
config = audit_config.get()
attack, measures = config.attack, config.attack.measures
attack.heads.max_chunks, attack.heads.trials = 2, 1
attack.mlp.widths, attack.trees.count = ((64,),), 20
attack.sets.recording_adversaries = ('discriminant',)
measures.ceiling.resamples = 50
measures.releases.counts, measures.attacker_data.shares = (1, 4), (1.0,)
report = hj.audit(
  f['clean'],
  primary=np.array(['no', 'yes'])[f['primary']],
  sensitive={'person': np.array(list('abcdef'))[f['sensitive_person']]},
  noise_cov=f.get('noise_cov'),
  recording=f['recording'],
  fold=f['fold'],
  name='my',
  config=config,
)
print(json.dumps(report.to_dict()))
"""


def _arrays(leak=False, **more):
  rng = np.random.default_rng(0)
  person = np.repeat(np.arange(60) % _PEOPLE, 10)
  clean = rng.standard_normal((_N, 4)).astype(np.float32)
  if leak:
    clean[:, 0] = 10 * person
  return {
    'clean': clean,
    'primary': (np.arange(_N) // 5) % 2,
    'sensitive_person': person,
    'recording': np.arange(_N) // 10,
    'fold': np.repeat(np.arange(60) // 6 % 3, 10),
  } | more


def _with_strangers(arrays):
  """The people from 4 on are in no training."""
  stranger = arrays['sensitive_person'] >= 4
  return stranger, arrays | {
    'fold': np.where(stranger, -1, arrays['fold']),
    'fold_strangers': np.where(stranger, arrays['fold'], -1),
  }


def _write(tmp_path, arrays):
  path = tmp_path / 'my.npz'
  np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
  return path


def _arguments(path, out, *more):
  return (
    'launch.audit',
    f'--released={path}',
    f'--out={out}',
    '--config.attack.heads.max_chunks=2',
    '--config.attack.heads.trials=1',
    '--config.attack.mlp.widths=((64,),)',
    '--config.attack.trees.count=20',
    "--config.attack.sets.recording_adversaries=('discriminant',)",
    '--config.attack.measures.ceiling.resamples=50',
    '--config.attack.measures.releases.counts=(1,4)',
    '--config.attack.measures.attacker_data.shares=(1.0,)',
    *more,
  )


def _command(*arguments):
  return subprocess.run(
    [sys.executable, '-m', *_arguments(*arguments)],
    cwd=studies.ROOT,
    env=studies.environment(),
    capture_output=True,
    text=True,
    timeout=900,
    check=False,
  )


@pytest.fixture(scope='module', params=[True, False], ids=['leak', 'random'])
def audited(request, tmp_path_factory):
  tmp_path = tmp_path_factory.mktemp('audit')
  noise = None if request.param else 0.25 * np.eye(4)
  path = _write(tmp_path, _arrays(request.param, noise_cov=noise))
  # Trees find the leak; random features resist all attackers.
  few = ('--config.attack.adversaries=majority,trees',)
  done = _command(path, tmp_path / 'out', *(few if request.param else ()))
  assert done.returncode == 0, done.stderr
  metrics = json.loads((tmp_path / 'out' / 'metrics.json').read_text())
  return request.param, tmp_path / 'out', metrics


def test_a_leak_is_found_and_random_features_are_at_chance(audited):
  leak, out, metrics = audited
  (row,) = metrics['rows']
  person, ranks = row['leakage']['person'], row['ranks']['classes']['person']
  if leak:
    assert person['value'] > 0.95
    assert ranks['mean_rank']['value'] < 0.2  # 1/K is 0.167
    assert row['ceiling']['person']['value'] == 1
  else:
    assert person['low'] <= person['chance']
    mean_rank = ranks['mean_rank']
    assert mean_rank['low'] <= ranks['chance_mean_rank'] <= mean_rank['high']
    assert row['ceiling']['person']['value'] >= person['value']
    assert set(row['releases']['person']['by_count']) == {'1', '4'}
  assert (out / 'report.html').stat().st_size > 1_000_000


@pytest.mark.parametrize('audited', [False], ids=['random'], indirect=True)
def test_python_gives_the_figures_of_the_command(audited):
  _, out, metrics = audited
  done = subprocess.run(
    [sys.executable, '-c', _IN_PYTHON, str(out.parent / 'my.npz')],
    cwd=studies.ROOT,
    env=studies.environment(),
    capture_output=True,
    text=True,
    timeout=900,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  in_python = json.loads(done.stdout)
  assert in_python['rows'] == metrics['rows']
  assert in_python['controls'] == metrics['controls']


def test_the_gate_fails_on_a_leak(audited):
  leak, out, _ = audited
  done = subprocess.run(
    [
      sys.executable,
      '-m',
      'launch.gate',
      f'--workdir={out}',
      '--max-leakage=person=0.5',
    ],
    cwd=studies.ROOT,
    env=studies.environment(),
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == (1 if leak else 0), done.stdout + done.stderr


def test_another_file_in_the_same_folder_is_an_error(audited, tmp_path):
  leak, out, _ = audited
  arguments = _arguments(_write(tmp_path, _arrays(not leak)), out)
  done = commands.run(*arguments)
  assert done.returncode == 1
  assert 'released has other content' in done.stderr
  assert 'Traceback' not in done.stderr


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'sensitive_person': np.zeros(7, int)}, r'shape \(7,\).*600 vectors'),
    (
      {'clean': np.full((_N, 4), np.nan, np.float32)},
      'NaN.*in row 0',
    ),
    ({'sensitive_person': np.zeros(_N, int)}, 'one class only'),
    ({'primary': np.zeros(_N, int)}, "'primary' has one class only"),
    ({'fold': np.repeat([0, 4], _N // 2)}, r"'fold' holds \[0, 4\]"),
    ({'fold': np.repeat([0, 3], _N // 2)}, "no 'fold' is 1"),
    ({'clean': np.zeros((_N, 0), np.float32)}, r'shape \(600, 0\)'),
    ({'clean': np.full((_N, 2), 1e300)}, r'more than 3\.4e\+38'),
    ({'noise_cov': 1e-92 * np.eye(4)}, 'deviations from 1e-12'),
    ({'noise_cov': np.full((4, 4), 'a')}, 'must be numbers'),
    ({'sensitive_person': np.arange(_N) * 10**9}, 'without a gap'),
    ({'fold': np.repeat([0, 1], _N // 2)}, "test fold is empty.*'fold' is 2"),
    ({'clean': None}, "lacks the array 'clean'; it has fold"),
    ({'sensitive_person': None}, 'no sensitive label'),
    ({'clean': np.zeros((_N, 2, 2), np.float32)}, r'shape \(600, 2, 2\)'),
    ({'primary': np.full(_N, 0.5)}, "'primary' is float64; it must be whole"),
    ({'fold': np.full(_N, -1)}, "'fold' holds -1, .* no 'fold_strangers'"),
    ({'primary': np.full((_N, 2), 0.5)}, r"'primary' has shape \(600, 2\)"),
    ({'fold': np.full((_N, 2), 0.5)}, r"'fold' has shape \(600, 2\)"),
    ({'fold': np.full(_N, np.nan)}, "'fold' is float64; it must be whole"),
    ({'recording': np.full(_N, np.nan)}, "'recording' is float64; it must be"),
    (
      # Attackers learn from fold 3, which lacks the person 0.
      {'fold': np.where(np.arange(_N) % 60 < 10, 0, np.arange(_N) % 4)},
      "class 0 of 'sensitive_person' is empty in the attack fold",
    ),
    ({'noise_cov': np.eye(3)}, r'shape \(3, 3\); it must be .* \(4, 4\)'),
    ({'noise_cov': -np.eye(4)}, 'positive definite'),
    ({'sensitive_person': np.full(_N, -1)}, 'holds -1'),
    ({'sensitive_person': np.arange(_N) % 2 * 2}, 'class 1 .* is empty'),
    (
      {'noise_covariance': np.eye(4)},
      "unknown array 'noise_covariance'. Did you mean 'noise_cov'",
    ),
    (
      {'sensitive_person': np.array(['Анна'.encode('cp1251'), b'Bo'] * 300)},
      "'sensitive_person' is b.* in row 0, which is not UTF-8",
    ),
    (
      {'sensitive_person': np.array(['a', 'b', 'nan'] * 200)},
      "'sensitive_person' is 'nan' in row 2, which is no label",
    ),
    ({'recording': np.full(_N, b'\xff')}, "'recording' is b.*not UTF-8"),
    ({'fold': np.array(['train', 'val'] * 300)}, "'fold' is 'val' in row 1"),
    (
      {'clean': 2e8 + _arrays()['clean'].astype(float)},
      "'clean' .float64.*most of the signal would be lost",
    ),
  ],
)
def test_an_invalid_file_is_one_clear_error(tmp_path, change, message):
  path = _write(tmp_path, _arrays(**change))
  with pytest.raises(errors.UserError, match=message):
    released_vectors.read(path, draws=2)


@pytest.mark.parametrize('labels', [(0, 5), (-1, 0)])
def test_labels_beside_strangers_are_checked_too(tmp_path, labels):
  primary = np.array(labels)[np.arange(_N) // 5 % 2]
  _, arrays = _with_strangers(_arrays(primary=primary))
  path = _write(tmp_path, arrays)
  with pytest.raises(
    errors.UserError, match=r"'primary' holds .* without a gap"
  ):
    released_vectors.read(path, draws=2)


def test_whole_floats_are_whole_numbers(tmp_path):
  names = ('primary', 'sensitive_person', 'recording', 'fold')
  path = _write(tmp_path, _arrays())
  expected = released_vectors.read(path, draws=2)
  floats = {name: _arrays()[name].astype(float) for name in names}
  read = released_vectors.read(_write(tmp_path, _arrays(**floats)), draws=2)
  for name in ('primary', 'recording', 'fold'):
    np.testing.assert_array_equal(getattr(read, name), getattr(expected, name))
  np.testing.assert_array_equal(
    read.sensitive['person'], expected.sensitive['person']
  )
  text = _write(tmp_path, _arrays(fold=floats['fold'].astype(str)))
  read = released_vectors.read(text, draws=2)
  np.testing.assert_array_equal(read.fold, expected.fold)


def test_recordings_in_two_folds_are_a_remark(tmp_path):
  path = _write(tmp_path, _arrays())
  assert not released_vectors.read_vectors(path, draws=2).remarks
  path = _write(tmp_path, _arrays(recording=np.arange(_N) // 10 % 7))
  (remark,) = released_vectors.read_vectors(path, draws=2).remarks
  assert remark.startswith(
    'Recordings: of the 7 of the test fold, 7 are in another fold, too.'
  )


def test_recordings_in_two_folds_of_strangers_are_a_remark(tmp_path):
  _, arrays = _with_strangers(_arrays())
  recording = arrays['recording']
  learnt, tested = (
    np.flatnonzero(arrays['fold_strangers'] == f) for f in (0, 2)
  )
  # One recording of training has the number of one of the test fold.
  recording[learnt[:10]] = recording[tested[0]]
  path = _write(tmp_path, arrays)
  remarks = released_vectors.read_vectors(path, draws=2).remarks
  (remark,) = [line for line in remarks if line.startswith('Recordings')]
  count = len(np.unique(recording[tested]))
  assert f'of the {count} of the test fold of the strangers, 1 is in' in remark


def test_rows_of_neither_part_need_no_label(tmp_path):
  stranger, arrays = _with_strangers(_arrays())
  arrays['fold'][0] = arrays['sensitive_person'][0] = -1
  read = released_vectors.read_vectors(_write(tmp_path, arrays), draws=2)
  assert len(read.seen.clean) == (~stranger).sum() - 1
  assert any('1 window is -1 in both' in line for line in read.remarks)


def test_labels_may_be_text(tmp_path):
  person = np.array(['Zoë', 'Zoe\u0308', 'Bob', 'bob', '-1', '2.0'])
  number = _arrays()['sensitive_person']
  path = _write(
    tmp_path,
    _arrays(
      sensitive_person=np.char.encode(person, 'utf-8')[number],
      recording=np.array(list('abcdefghij'))[np.arange(_N) // 60],
      fold=np.array(['train', 'validation', 'test'])[_arrays()['fold']],
    ),
  )
  read = released_vectors.read_vectors(path, draws=2)
  problem, remarks = read.seen, read.remarks
  assert read.strangers is None
  # In the order of the names: -1, 2, Bob, Zoë, bob.
  expected = np.array([3, 3, 2, 4, 0, 1])[number]
  np.testing.assert_array_equal(problem.sensitive['person'], expected)
  np.testing.assert_array_equal(problem.recording, np.arange(_N) // 60)
  np.testing.assert_array_equal(problem.fold, _arrays()['fold'])
  assert any("'Bob' and 'bob'" in line for line in remarks)
  assert any("the class '-1'" in line for line in remarks)


def test_a_file_may_have_strangers(tmp_path):
  arrays = _arrays()
  stranger, both = _with_strangers(arrays)
  held_back = (arrays['recording'] % 12 < 6) & ~stranger
  both['fold'][held_back] = 3
  path = _write(tmp_path, both)
  read = released_vectors.read_vectors(path, draws=2)
  assert set(read.seen.sensitive['person']) == {0, 1, 2, 3}
  assert set(read.seen.fold) == {0, 1, 2, 3}
  assert read.strangers
  np.testing.assert_array_equal(
    read.strangers.sensitive['person'], arrays['sensitive_person'][stranger] - 4
  )
  np.testing.assert_array_equal(read.strangers.clean, arrays['clean'][stranger])
  np.testing.assert_array_equal(read.strangers.fold, arrays['fold'][stranger])


def test_a_mistake_is_one_line(tmp_path):
  path = _write(tmp_path, _arrays(fold=np.zeros(_N, int)))
  done = commands.run(*_arguments(path, tmp_path / 'out'))
  assert done.returncode == 1
  assert 'validation fold is empty' in done.stderr
  assert 'Traceback' not in done.stderr
  wrong = '--config.attack.trails=2'
  done = commands.run(*_arguments(path, tmp_path / 'out', wrong))
  assert done.returncode == 1
  assert 'trials' in done.stderr or 'trails' in done.stderr
