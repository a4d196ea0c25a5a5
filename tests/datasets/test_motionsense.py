import os
import pathlib
import shutil
import subprocess
import sys

import ml_collections
import numpy as np
import pytest

from hybrid_jax import errors, plugins
from hybrid_jax.datasets import motionsense
from tests.datasets import loading

pytest.importorskip('tensorflow_datasets')
pytest.importorskip('array_record')

ROOT = pathlib.Path(__file__).parents[2]
HEADER = (
  ',attitude.roll,attitude.pitch,attitude.yaw,gravity.x,gravity.y,gravity.z,'
  'rotationRate.x,rotationRate.y,rotationRate.z,'
  'userAcceleration.x,userAcceleration.y,userAcceleration.z'
)
# Long trials have 60 rows, short ones 20.
TRIALS = {
  1: 'dws',
  3: 'ups',
  5: 'sit',
  6: 'std',
  7: 'wlk',
  9: 'jog',
  11: 'dws',
  12: 'ups',
  13: 'sit',
  14: 'std',
  15: 'wlk',
  16: 'jog',
}
# code, weight, height, age, gender.
PEOPLE = ['1,102,188,46,1', '2,72,175,28,0', '4,90,176,31,1', '7,48,161,23,0']
SMALL = {'window': 8, 'hop': 8, 'gap': 4, 'validation': 0.25}


def _value(code, trial, row, column):
  return 1000 * code + 10 * trial + row + column / 16


def _write(folder):
  for trial, activity in TRIALS.items():
    for code in (1, 2, 4, 7):
      path = folder / 'A_DeviceMotion_data' / f'{activity}_{trial}'
      path.mkdir(parents=True, exist_ok=True)
      lines = [HEADER]
      for row in range(60 if trial < 10 else 20):
        values = [_value(code, trial, row, column) for column in range(12)]
        lines.append(','.join(map(str, [row, *values])))
      (path / f'sub_{code}.csv').write_text('\n'.join(lines) + '\n')
  (folder / 'data_subjects_info.csv').write_text(
    '\n'.join(['code,weight,height,age,gender', *PEOPLE]) + '\n'
  )
  # Hidden files, as macOS creates them.
  (folder / 'A_DeviceMotion_data' / '.DS_Store').write_text('x')
  (folder / 'A_DeviceMotion_data' / 'dws_1' / '._sub_1.csv').write_text('x')


@pytest.fixture(scope='module')
def places(tmp_path_factory):
  folder = tmp_path_factory.mktemp('motionsense')
  _write(folder / 'published')
  return {
    'manual_dir': str(folder / 'published'),
    'data_dir': str(folder / 'prepared'),
  }


def _config(places, **change):
  return ml_collections.FrozenConfigDict(
    {
      'name': 'motionsense',
      **plugins.values(motionsense.OPTIONS),
      **SMALL,
      **places,
      **change,
    }
  )


@pytest.fixture(scope='module')
def data(places):
  return motionsense.load(_config(places))


def test_the_plugin_is_known():
  assert 'motionsense' in plugins.known('data set')
  assert 'builders' not in plugins.known('data set')


def test_windows_by_hand(data):
  # Of 60 rows less a gap of 4, three quarters are 42: train starts at 0, 8, 16,
  # 24 and 32; validation is 46 to 60, with room for one window at 46. Short
  # trials have 20 rows: test starts at 0 and 8.
  assert data.x.shape == (4 * (6 * 6 + 6 * 2), 1, 8, 6)
  assert data.x.dtype == np.float32
  # Recordings are ordered by person, then trial. The first is of person 1 in
  # trial 1, and acceleration comes first in x: columns 9, 10, 11, 6, 7, 8.
  first = data.recording == 0
  np.testing.assert_array_equal(data.fold[first], [0, 0, 0, 0, 0, 1])
  expected = [
    [
      [_value(1, 1, t, c) for c in (9, 10, 11, 6, 7, 8)]
      for t in range(s, s + 8)
    ]
    for s in (0, 8, 16, 24, 32, 46)
  ]
  np.testing.assert_array_equal(data.x[first, 0], expected)
  # The last is of person 7 in trial 16, 'jog'.
  last = data.recording == data.recording.max()
  assert data.recording.max() == 4 * 12 - 1
  np.testing.assert_array_equal(data.fold[last], [2, 2])
  np.testing.assert_array_equal(
    data.x[last][:, 0, 0, 0], [_value(7, 16, s, 9) for s in (0, 8)]
  )
  assert data.primary_names[data.primary[last][0]] == 'jogging'
  assert data.channels[0] == 'userAcceleration.x (g)'
  assert data.channels[5] == 'rotationRate.z (rad/s)'


def test_labels_are_those_of_the_file(data):
  # The value encodes the person and the trial: 1000 code + 10 trial + ...
  start = data.x[:, 0, 0, 0]
  code = (start // 1000).astype(int)
  trial = ((start - 1000 * code) // 10).astype(int)
  names = data.sensitive_names
  assert names['person'] == ['person 1', 'person 2', 'person 4', 'person 7']
  people = np.array([1, 2, 4, 7])[data.sensitive['person']]
  np.testing.assert_array_equal(people, code)
  assert names['gender'] == ['female', 'male']
  np.testing.assert_array_equal(data.sensitive['gender'], np.isin(code, (1, 4)))
  # The first window of a recording begins at its row 0.
  activity = np.array(['dws', 'ups', 'wlk', 'jog', 'sit', 'std'])[data.primary]
  first = np.r_[True, np.diff(data.recording) > 0]
  for name, number in zip(activity[first], trial[first], strict=True):
    assert name == TRIALS[int(number)]


def test_groups(places):
  data = motionsense.load(
    _config(
      places,
      primary='gender',
      sensitive=('activity', 'age_group', 'height_group', 'weight_group'),
    )
  )
  code = (data.x[:, 0, 0, 0] // 1000).astype(int)
  # Ages 46, 28, 31, 23; heights 188, 175, 176, 161; weights 102, 72, 90, 48.
  for name, of_person in {
    'age_group': {1: 2, 2: 1, 4: 2, 7: 0},
    'height_group': {1: 2, 2: 1, 4: 1, 7: 0},
    'weight_group': {1: 2, 2: 1, 4: 2, 7: 0},
  }.items():
    np.testing.assert_array_equal(
      data.sensitive[name], [of_person[c] for c in code], err_msg=name
    )
  assert list(data.primary_names) == ['female', 'male']
  assert data.sensitive_names['age_group'][1] == '25 to under 30 years'


def test_all_recordings_of_a_person_are_in_one_fold(places, tmp_path):
  shutil.copytree(places['manual_dir'], tmp_path / 'published')
  # So that every fold has a woman and a man.
  info = tmp_path / 'published' / 'data_subjects_info.csv'
  for code in (3, 5):
    line = f'{code},70,170,27,{code == 5:d}\n'
    info.write_text(info.read_text() + line)
    for trial, activity in TRIALS.items():
      folder = tmp_path / 'published/A_DeviceMotion_data'
      folder = folder / f'{activity}_{trial}'
      text = (folder / 'sub_1.csv').read_text()
      (folder / f'sub_{code}.csv').write_text(text)
  data = motionsense.load(
    _config(
      {'manual_dir': str(tmp_path / 'published'), 'data_dir': str(tmp_path)},
      split='people',
      sensitive='gender',
      validation_people=(4, 7),
      test_people=(3, 5),
    )
  )
  # 72 recordings, by person and trial, 12 of each: 1 and 2 train, 3 and 5 test.
  person = np.array([1, 2, 3, 4, 5, 7])[data.recording // 12]
  expected = np.array([{1: 0, 2: 0, 4: 1, 7: 1, 3: 2, 5: 2}[p] for p in person])
  np.testing.assert_array_equal(data.fold, expected)
  # Seven windows in 60 rows (0 to 48), two in 20, and no part left out.
  counts = np.bincount(data.recording, minlength=72).reshape(6, 12)
  np.testing.assert_array_equal(counts, [[7] * 6 + [2] * 6] * 6)
  assert list(data.sensitive) == ['gender']


def test_changed_files_are_prepared_again(places, tmp_path):
  shutil.copytree(places['manual_dir'], tmp_path / 'published')
  mine = {
    'manual_dir': str(tmp_path / 'published'),
    'data_dir': str(tmp_path / 'prepared'),
  }
  before = motionsense.load(_config(mine))
  prepared = tmp_path / 'prepared' / 'motion_sense'
  written = {p: p.stat().st_mtime_ns for p in prepared.rglob('*.array_record*')}
  assert len(written) == 1
  np.testing.assert_array_equal(motionsense.load(_config(mine)).x, before.x)
  for path, when in written.items():
    assert path.stat().st_mtime_ns == when
  # One digit changes; the size and the time of the file do not.
  path = tmp_path / 'published/A_DeviceMotion_data/dws_1/sub_1.csv'
  time = path.stat()
  text = path.read_text()
  path.write_text(text.replace('1010.5625', '1011.5625', 1))
  assert path.read_text() != text
  os.utime(path, ns=(time.st_atime_ns, time.st_mtime_ns))
  after = motionsense.load(_config(mine))
  changed = np.argwhere(after.x != before.x)
  np.testing.assert_array_equal(changed, [[0, 0, 0, 0]])
  assert after.x[0, 0, 0, 0] == before.x[0, 0, 0, 0] + 1
  assert len(list(prepared.rglob('*.array_record*'))) == 2
  assert not list(tmp_path.rglob('*incomplete*'))


def test_the_home_folder_is_expanded(places, tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path))
  monkeypatch.chdir(tmp_path)
  motionsense.load(_config(places, data_dir='~/prepared'))
  assert [p.name for p in tmp_path.iterdir()] == ['prepared']


def test_prepares_and_loads_without_tensorflow(places, tmp_path):
  code = (
    'import sys, ml_collections\n'
    'from hybrid_jax import plugins\n'
    'from hybrid_jax.datasets import motionsense\n'
    'motionsense.load(ml_collections.ConfigDict(\n'
    "  {**plugins.values(motionsense.OPTIONS), 'window': 8,\n"
    f"  'gap': 4, 'manual_dir': {places['manual_dir']!r},\n"
    f"  'data_dir': {str(tmp_path)!r}}}))\n"
    "print([m for m in sys.modules if m.split('.')[0] == 'tensorflow'])\n"
  )
  done = subprocess.run(
    [sys.executable, '-c', code],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=100,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  # What TFDS prints does not go to the standard output.
  assert done.stdout.strip() == '[]'
  assert list(tmp_path.rglob('*.array_record*'))


@pytest.mark.parametrize(
  ('change', 'parts'),
  [
    ({'manual_dir': ''}, ['data.manual_dir', 'mmalekz/motion-sense', 'unpack']),
    ({'split': 'persons'}, ["'persons'", 'trials, people']),
    ({'primary': 'step'}, ["label 'step'", 'activity, gender, person']),
    ({'sensitive': ('gendre',)}, ["'gendre'", "mean 'gender'"]),
    ({'sensitive': ()}, ['data.sensitive', 'person']),
    ({'sensitive': ('activity',)}, ['data.sensitive', 'primary label']),
    ({'channels': ('gravity.w',)}, ["'gravity.w'", 'gravity.x, gravity.y']),
    ({'channels': ()}, ['data.channels', 'gravity.x']),
    ({'channels': ('gravity.x', 'gravity.x')}, ['data.channels', 'different']),
    ({'window': 0}, ['data.window is 0']),
    ({'hop': 0}, ['data.hop is 0']),
    ({'gap': -1}, ['data.gap is -1']),
    ({'validation': 1.5}, ['data.validation is 1.5']),
    ({'split': 'people'}, ["Remove 'person' from", "'people'"]),
    (
      {'window': 15},
      ['dws_1/sub_1.csv has 60', '14 fall to the validation fold', 'of 15'],
    ),
    (
      {'window': 21, 'validation': 0.5},
      ['dws_11/sub_1.csv has 20', 'test', 'of 21'],
    ),
    (
      {
        'split': 'people',
        'sensitive': 'gender',
        'validation_people': (2,),
        'test_people': (4, 2),
      },
      ['person 2', 'validation_people', 'test_people'],
    ),
    (
      {
        'split': 'people',
        'sensitive': 'gender',
        'validation_people': (2,),
        'test_people': (24,),
      },
      ['person 24 of data.test_people', '1, 2, 4, 7'],
    ),
    (
      {
        'split': 'people',
        'sensitive': 'gender',
        'validation_people': (2, 4),
        'test_people': (1, 7),
      },
      ['the train fold has no person'],
    ),
    (
      {
        'split': 'people',
        'sensitive': 'gender',
        'validation_people': (4,),
        'test_people': (2,),
      },
      ["'female' of label 'gender'", 'validation fold'],
    ),
  ],
)
def test_settings_are_refused(places, data, change, parts):
  with pytest.raises(errors.UserError) as caught:
    loading.load(motionsense, _config(places, **change))
  for part in parts:
    assert part in str(caught.value)


def _swap(path, old, new, count=1):
  def change(root):
    file = root / path
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, count))

  return change


FIRST = 'A_DeviceMotion_data/dws_1/sub_1.csv'
INFO = 'data_subjects_info.csv'
# Row 5 is that of time 3, and acceleration x is 1000 + 10 + 3 + 9 / 16.
VALUE = ',1013.5625,'
DAMAGED = {
  'no trials': (
    lambda root: shutil.rmtree(root / 'A_DeviceMotion_data'),
    ['A_DeviceMotion_data does not exist', 'mmalekz/motion-sense'],
  ),
  'empty trials': (
    lambda root: [p.unlink() for p in root.rglob('sub_*.csv')],
    ['holds no dws_1/sub_1.csv'],
  ),
  'no people': (
    lambda root: (root / INFO).unlink(),
    [INFO, 'does not exist'],
  ),
  'unknown activity': (
    lambda root: (root / FIRST).parent.rename(
      root / 'A_DeviceMotion_data/run_1'
    ),
    ['run_1', 'dws, ups, wlk, jog, sit, std'],
  ),
  'column missing': (
    _swap(FIRST, 'gravity.y', 'gravity.q'),
    [FIRST, 'row 1', "'gravity.y'"],
  ),
  'text': (
    _swap(FIRST, VALUE, ',fast,'),
    [FIRST, 'row 5', 'userAcceleration.x', "'fast'"],
  ),
  'no value': (_swap(FIRST, VALUE, ',,'), [FIRST, 'row 5', "''"]),
  'not a number': (
    _swap(FIRST, VALUE, ',nan,'),
    [FIRST, 'row 5', 'userAcceleration.x', "'nan'"],
  ),
  'infinity': (_swap(FIRST, VALUE, ',1e99,'), [FIRST, 'row 5', "'1e99'"]),
  'a shorter row': (
    _swap(FIRST, VALUE, ','),
    [FIRST, 'row 5', '12 values', '13'],
  ),
  'a longer row': (_swap(FIRST, VALUE, VALUE + '1,'), [FIRST, 'row 5', '14']),
  'no row': (
    lambda root: (root / FIRST).write_text(HEADER + '\n'),
    [FIRST, 'is empty: it has only a header'],
  ),
  'nothing': (
    lambda root: (root / FIRST).write_text(''),
    [FIRST, 'is empty: it has no header'],
  ),
  'not text': (
    lambda root: (root / FIRST).write_bytes(b'\xff\xfe\x00'),
    [FIRST, 'cannot be read as CSV'],
  ),
  'somebody unknown': (
    _swap(INFO, PEOPLE[2] + '\n', ''),
    [INFO, 'no row of code 4'],
  ),
  'no age': (_swap(INFO, ',age', ',years'), [INFO, 'row 1', "'age'"]),
  'age in words': (_swap(INFO, ',28,', ',old,'), [INFO, 'row 3', "'old'"]),
  'gender of 2': (_swap(INFO, '46,1', '46,2'), [INFO, 'row 2', 'gender is 2']),
  'a code twice': (_swap(INFO, '\n2,', '\n1,'), [INFO, 'row 3', 'code 1']),
  'a short row of people': (_swap(INFO, ',28,', ','), [INFO, 'row 3', '4']),
}


@pytest.mark.parametrize('case', DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_files_are_named_and_no_files_are_left(places, tmp_path, case):
  damage, parts = case
  shutil.copytree(places['manual_dir'], tmp_path / 'published')
  damage(tmp_path / 'published')
  with pytest.raises(errors.UserError) as caught:
    motionsense.load(
      _config(
        {
          'manual_dir': str(tmp_path / 'published'),
          'data_dir': str(tmp_path / 'prepared'),
        }
      )
    )
  for part in parts:
    assert part in str(caught.value)
  assert '\n' not in str(caught.value)
  assert not (tmp_path / 'prepared').exists()


def test_an_error_keeps_existing_files(places, tmp_path):
  shutil.copytree(places['manual_dir'], tmp_path / 'published')
  (tmp_path / 'prepared').mkdir()
  (tmp_path / 'prepared' / 'mine').write_text('mine')
  _swap(FIRST, VALUE, ',fast,')(tmp_path / 'published')
  with pytest.raises(errors.UserError, match='row 5'):
    motionsense.load(
      _config(
        {
          'manual_dir': str(tmp_path / 'published'),
          'data_dir': str(tmp_path / 'prepared'),
        }
      )
    )
  assert [p.name for p in (tmp_path / 'prepared').iterdir()] == ['mine']


def test_a_class_missing_from_the_test_is_named(places, tmp_path):
  shutil.copytree(places['manual_dir'], tmp_path / 'published')
  shutil.rmtree(tmp_path / 'published/A_DeviceMotion_data/jog_16')
  with pytest.raises(
    errors.UserError,
    match="'jogging' of label 'activity' is missing from the test fold",
  ):
    motionsense.load(
      _config(
        {
          'manual_dir': str(tmp_path / 'published'),
          'data_dir': str(tmp_path / 'prepared'),
        }
      )
    )
