import dataclasses

import numpy as np
import pytest

from hybrid_jax.datasets import check, dataset, sources
from tests import commands


def _data(**change):
  """Sixty series, twenty in each fold, with two classes and four people."""
  rng = np.random.default_rng(0)
  good = dataset.Dataset(
    x=rng.standard_normal((60, 1, 5, 2)).astype(np.float32),
    primary=np.arange(60, dtype=np.int32) % 2,
    sensitive={'person': np.arange(60, dtype=np.int32) // 2 % 4},
    recording=np.arange(60, dtype=np.int32),
    fold=np.repeat([0, 1, 2], 20).astype(np.int8),
    primary_names=['up', 'down'],
    sensitive_names={'person': ['Ann', 'Bob', 'Cem', 'Dee']},
    channels=('force (N)', 'angle (rad)'),
  )
  return dataclasses.replace(good, **change)


def _x(change):
  x = _data().x.copy()
  change(x)
  return x


def test_counts_shares_and_values_by_hand():
  primary = np.zeros(60, np.int32)
  primary[[0, 1, 2, 20, 40, 41]] = 1
  x = np.zeros((60, 1, 5, 2), np.float32)
  x[..., 0] = 1e4
  x[30, 0, 2] = (1e4 + 3, -6)
  report = check.examine(_data(x=x, primary=primary))
  assert report.shape == (60, 1, 5, 2)
  assert report.dtype == 'float32'
  assert report.counts['primary'].tolist() == [[17, 3], [19, 1], [18, 2]]
  np.testing.assert_allclose(
    check.majority_shares(report.counts['primary']), [0.85, 0.95, 0.9]
  )
  assert report.counts['person'].sum(axis=1).tolist() == [20, 20, 20]
  assert report.recordings == [20, 20, 20]
  # One of 300 values is 3 above the rest: a mean of 0.01 there, and a variance
  # of 9 (1/300 - 1/300^2).
  std = 3 * np.sqrt(1 / 300 - 1 / 300**2)
  np.testing.assert_allclose(
    report.channels.values,
    [[1e4, 1e4 + 3, 1e4 + 0.01, std], [-6, 0, -0.02, 2 * std]],
    rtol=1e-6,
  )


def test_the_block_size_does_not_change_the_values(monkeypatch):
  whole = check.examine(_data())
  monkeypatch.setattr(check, '_BLOCK', 7)
  parts = check.examine(_data())
  np.testing.assert_allclose(
    parts.channels.values, whole.channels.values, rtol=1e-9
  )
  x = _data().x
  np.testing.assert_allclose(
    whole.channels.values,
    np.stack(
      [f(x, axis=(0, 1, 2)) for f in (np.min, np.max, np.mean, np.std)], axis=1
    ),
    rtol=1e-4,
    atol=1e-6,
  )
  lazy = sources.FunctionSource(60, (1, 5, 2), np.float32, x.__getitem__)
  streamed = check.examine(_data(x=lazy))
  np.testing.assert_array_equal(streamed.channels.values, parts.channels.values)


def test_good_data_have_no_fault():
  report = check.examine(_data())
  assert report.faults == []
  assert report.remarks == [
    'every example is a recording, so intervals take the examples as'
    ' independent.'
  ]


def _copy(x):
  x[25] = x[3]
  x[45] = x[3]
  x[5] = x[4]  # In one fold, which is no fault.


def _still(x):
  x[..., 1] = 7


FAULTS = {
  'copies': (
    {'x': _x(_copy)},
    'examples with equal copies in another fold: 1 of 20 in train, 1 of 20 in'
    ' validation, 1 of 20 in test. The first are 3 (train), 25 (validation), 45'
    ' (test). An attacker or network that learnt one knows the answer for its'
    ' copies.',
  ),
  'a class that is missing': (
    {'sensitive': {'person': np.repeat([0, 1, 2, 3, 0, 1], 10)}},
    "the validation fold has no example of 2 of the 4 classes of 'person': Ann,"
    ' Bob.',
  ),
  'a constant channel': (
    {'x': _x(_still)},
    'constant channels: 1: angle (rad).',
  ),
}


@pytest.mark.parametrize('case', FAULTS.values(), ids=FAULTS.keys())
def test_faults(case):
  change, expected = case
  faults = check.examine(_data(**change)).faults
  assert expected in faults
  assert f'fault: {expected}\n' in check.format_report(
    check.examine(_data(**change))
  )


def _wide(x):
  x[..., 1] *= 1e5


REMARKS = {
  'scales': (
    {'x': _x(_wide)},
    'the largest standard deviation of a channel is',
  ),
  'a table': (
    {
      'x': np.random.default_rng(0).random((60, 1, 9, 1))
      * 10.0 ** np.arange(9)[:, None],
      'channels': (),
    },
    'the samples of a series differ in scale by',
  ),
  'pixels': (
    {
      'x': 255 * np.random.default_rng(0).random((60, 3, 5, 1)),
      'channels': (),
    },
    'images have values up to 25',
  ),
  'few recordings': (
    {'recording': np.arange(60) // 6},
    'the test fold has 4 recordings',
  ),
  'cut in time': (
    {'recording': np.arange(60) % 20},
    'recordings are in more than one fold',
  ),
  'names that look alike': (
    {'primary_names': ['Up', 'up ']},
    "'primary' has the classes 'Up' and 'up ', which differ",
  ),
  'a label that varies': (
    {'recording': np.arange(60) // 4},
    "'person' varies within a recording",
  ),
}


@pytest.mark.parametrize('case', REMARKS.values(), ids=REMARKS.keys())
def test_remarks(case):
  change, expected = case
  report = check.examine(_data(**change))
  (remark,) = (r for r in report.remarks if r.startswith(expected))
  assert f'note: {remark}\n' in check.format_report(report)


def _outliers(x, channels=('light', 'sound')):
  data = _data(x=x.astype(np.float32), channels=channels)
  return [r for r in check.examine(data).remarks if 'outlier' in r]


def test_an_outlier_is_reported_with_its_example():
  rng = np.random.default_rng(0)
  x = rng.random((60, 1, 8, 2))
  assert not _outliers(x)
  # One of 480 values is at most 22 standard deviations from the mean.
  x[7, 0, 3, 0] = 1e8
  x[9, 0, 5, 1] = -40
  light, sound = _outliers(x)
  assert light.startswith('light is 1e+08 in example 7, ')
  assert sound.startswith('sound is -40 in example 9, ')
  quartiles = np.quantile(x[..., 1], (0.25, 0.5, 0.75))
  ranges = (quartiles[1] + 40) / (quartiles[2] - quartiles[0])
  assert f'{ranges:.3g} interquartile ranges' in sound
  assert f'the median, {quartiles[1]:.4g}: an outlier' in sound


def test_the_threshold_of_outliers_by_hand():
  """Quartiles 1, 2 and 3: twenty ranges of 2 from the median are 42."""
  x = np.tile([0.0, 1, 2, 3, 4], 96).reshape(60, 1, 8, 1)
  for value, count in ((42, 0), (42.5, 1), (-38, 0), (-38.5, 1)):
    x[59, 0, 7] = value
    assert len(_outliers(x, ('light',))) == count, value


def test_a_code_for_missing_values_is_reported():
  x = np.random.default_rng(0).random((60, 1, 8, 2))
  x[::10, 0, :, 1] = -999  # One example in ten.
  (remark,) = _outliers(x)
  assert remark.startswith('sound is -999 in example 0, ')


def test_a_rare_value_of_a_nearly_constant_channel():
  x = np.zeros((60, 1, 500, 1))
  x[31, 0, 4] = 3
  (remark,) = _outliers(x, ('light',))
  assert remark.startswith('light is 3 in example 31, ')
  x[::2, 0, 4] = 3  # Often, for this rule.
  assert not _outliers(x, ('light',))


def test_many_channels_with_outliers_are_counted():
  x = np.random.default_rng(0).random((60, 1, 8, 9))
  x[4, 0, 2] = 1e6
  data = _data(x=x.astype(np.float32), channels=())
  remarks = check.examine(data).remarks
  assert sum('outlier' in remark for remark in remarks) == 5
  assert '4 other channels have such values too.' in remarks


def test_quartiles_of_a_sample(monkeypatch):
  x = np.random.default_rng(0).random((60, 1, 500, 2))
  x[7, 0, 3, 0] = 1e8
  monkeypatch.setattr(check, '_SAMPLE', 6000)
  monkeypatch.setattr(check, '_BLOCK', 7)
  (remark,) = _outliers(x)
  assert remark.startswith('light is 1e+08 in example 7, ')
  # The interquartile range is about 0.5, from a sample of 3000 values.
  ranges = float(remark.split('example 7, ')[1].split()[0])
  assert ranges == pytest.approx(2e8, rel=0.1)


@pytest.mark.parametrize(
  ('shape', 'part'),
  [
    ((60, 3, 48, 48), 'x [60, 3, 48, 48] looks channels-first'),
    ((60, 1, 48, 48), 'x [60, 1, 48, 48] looks channels-first'),
    ((60, 1, 40, 128), 'series of 40 samples have 128 channels'),
    ((60, 48, 48, 3), ''),
    ((60, 48, 48, 1), ''),
    ((60, 3, 3, 3), ''),
    ((60, 1, 128, 6), ''),
    ((60, 1, 150, 1), ''),
  ],
)
def test_the_order_of_axes(shape, part):
  x = np.random.default_rng(0).random(shape, np.float32)
  remarks = check.examine(_data(x=x, channels=())).remarks
  axis_remarks = [
    r for r in remarks if 'channels-first' in r or 'series are [n' in r
  ]
  assert len(axis_remarks) == bool(part)
  assert not part or axis_remarks[0].startswith(part)
  # Names of the channels say which axis they are.
  names = [str(i) for i in range(shape[-1])]
  remarks = check.examine(_data(x=x, channels=names)).remarks
  assert not any('channels-first' in r or 'series are [n' in r for r in remarks)


def test_recordings_in_two_folds_are_counted():
  """Each recording has three examples; two recordings are in two folds."""
  report = check.examine(_data(recording=np.arange(60) // 3))
  # 18, 19 | 20 are of recording 6, and 39 | 40, 41 of recording 13.
  assert report.recordings == [7, 8, 7]
  assert report.shared == [1, 2, 1]
  assert any('1 of the 7 of the test fold' in r for r in report.remarks)
  whole = np.repeat(np.arange(12), 5)
  report = check.examine(_data(recording=whole))
  assert report.recordings == [4, 4, 4]
  assert report.shared == [0, 0, 0]
  assert not any('more than one fold' in r for r in report.remarks)


def test_the_tables(monkeypatch):
  monkeypatch.setenv('COLUMNS', '100')
  names = [f'p{i:02d} [x]' for i in range(30)]
  person = np.arange(60, dtype=np.int32) % 30
  text = check.format_report(
    check.examine(
      _data(sensitive={'person': person}, sensitive_names={'person': names})
    )
  )
  assert 'x: [60, 1, 5, 2], float32' in text
  lines = [
    [cell.strip() for cell in line.replace('┃', '│').split('│')[1:-1]]
    for line in text.splitlines()
  ]
  assert ['examples', '20', '20', '20'] in lines
  assert ['recordings', '20', '20', '20'] in lines
  # Each fold has twenty of the thirty people.
  assert ['classes of person', '20', '20', '20'] in lines
  assert ['classes of primary', '2', '2', '2'] in lines
  assert ['recordings in another fold too', '0', '0', '0'] in lines
  assert ['up', '10', '10', '10'] in lines
  assert ['largest share, %', '50.0', '50.0', '50.0'] in lines
  # Brackets are no markup here. Twelve of thirty classes have a row.
  assert ['p00 [x]', '1', '1', '0'] in lines
  assert any(line[:1] == ['18 others'] for line in lines)
  assert any(line[:1] == ['angle (rad)'] for line in lines)


def _run(*arguments):
  return commands.run('launch.check_data', *arguments)


def _npz(path, x):
  np.savez(
    path,
    x=x,
    primary=np.arange(60) % 2,
    sensitive_person=np.arange(60) // 2 % 4,
    fold=np.repeat([0, 1, 2], 20),
  )


def test_the_command(tmp_path):
  path = tmp_path / 'my.npz'
  _npz(path, np.random.default_rng(0).standard_normal((60, 16)))
  done = _run(f'--config=configs/arrays.py:{path}')
  assert done.returncode == 0, done.stderr
  assert 'x: [60, 1, 16, 1], float32' in done.stdout
  assert 'primary: 2 classes' in done.stdout
  assert 'fault' not in done.stdout
  _npz(path, np.tile(np.arange(20)[:, None] * np.ones(16), (3, 1)))
  done = _run(f'--config=configs/arrays.py:{path}')
  assert done.returncode == 1
  line = 'fault: examples with equal copies in another fold: 20 of 20 in train'
  assert line in done.stdout


@pytest.mark.parametrize(
  ('arguments', 'part'),
  [
    ([], '--config is needed'),
    (['--config=configs/arrays.py:none.npz'], 'none.npz does not exist'),
    (['--config=configs/faces.py', '--config.data.name=face'], "'faces'?"),
  ],
)
def test_a_mistake_is_one_line(arguments, part):
  done = _run(*arguments)
  assert done.returncode == 1
  assert part in done.stderr
  assert len(done.stderr.strip().splitlines()) == 1
  assert not done.stdout


def test_a_channel_that_only_rises_is_told():
  rng = np.random.default_rng(0)
  x = rng.normal(size=(60, 1, 16, 2)).astype(np.float32)
  x[..., 1] = np.arange(16) / 50 + 100 * np.arange(60)[:, None, None]
  data = _data(x=x, channels=('acc', 'clock'))
  (line,) = (r for r in check.examine(data).remarks if 'only rises' in r)
  assert line.startswith("'clock' only rises or falls in nearly every")
  x[7, 0, 3, 1] = x[7, 0, 2, 1] - 1  # One of 60 is more than 1 %.
  data = _data(x=x, channels=('acc', 'clock'))
  assert not any('only rises' in r for r in check.examine(data).remarks)


@pytest.mark.parametrize(
  ('clock', 'told'),
  [
    (lambda row: row // 5, True),  # A clock of whole seconds.
    (lambda row: -row, True),
    (lambda row: np.maximum(row, 40), True),  # Still in two examples.
    (lambda row: row % 1599, True),  # Starts again in one of a hundred.
    (lambda row: row % 7, False),
    (lambda row: row // 400, False),  # Still in most examples.
  ],
)
def test_a_clock_may_repeat_values_and_start_again(clock, told):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(100, 1, 16, 2)).astype(np.float32)
  x[:, 0, :, 1] = clock(np.arange(1600).reshape(100, 16))
  labels = np.arange(100, dtype=np.int32)
  data = _data(
    x=x,
    primary=labels % 2,
    sensitive={'person': labels // 2 % 4},
    recording=labels,
    fold=(labels % 3).astype(np.int8),
  )
  remarks = check.examine(data).remarks
  assert any('only rises' in remark for remark in remarks) == told


@pytest.mark.parametrize('shape', [(1, 1, 5), (1, 5, 1)])
def test_a_column_that_numbers_the_rows_of_a_table_is_told(shape, monkeypatch):
  monkeypatch.setattr(check, '_BLOCK', 32)
  data = _data()
  x = np.random.default_rng(0).normal(size=(len(data.x), *shape))
  data = dataclasses.replace(data, channels=[], x=x.astype(np.float32))
  assert not any('index' in line for line in check.examine(data).remarks)
  data.x.reshape(len(x), 5)[:, 2] = np.arange(len(x))
  (line,) = (r for r in check.examine(data).remarks if 'index' in r)
  assert line.startswith('columns of x that only rise or fall from example')
  assert '2' in line
