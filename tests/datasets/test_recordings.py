import ml_collections
import numpy as np
import pytest

from hybrid_jax import errors, plugins
from hybrid_jax.datasets import dataset, recordings

LABELS = [
  'file,primary,sensitive_who,sensitive_side,note',
  'walk/one.csv,walk,Ann,left,first',
  'walk/two.csv,walk,Bob,right,',
  'run.csv,run,Bob,left,wet',
]
FILES = ('walk/one.csv', 'walk/two.csv', 'run.csv')


def _write(folder, labels=LABELS, length=100):
  """Writes files with 1000 k + i and its negative in row i of file k."""
  (folder / 'walk').mkdir(exist_ok=True)
  for k, file in enumerate(FILES):
    rows = [f'{1000 * k + i}, {-1000 * k - i}' for i in range(length)]
    (folder / file).write_text('\n'.join(['x (m),y (m)', *rows]) + '\n')
  (folder / 'labels.csv').write_text('\n'.join(labels) + '\n')


def _load(folder, **change):
  small = {'window': 10, 'hop': 5, 'gap': 0, 'fractions': (2, 1, 1)}
  return recordings.load(
    ml_collections.ConfigDict(
      {
        **plugins.values(recordings.OPTIONS),
        'folder': str(folder),
        **small,
        **change,
      }
    )
  )


def test_a_signal_that_float32_does_not_hold_is_refused(tmp_path):
  _write(tmp_path)
  rows = [f'{2e8 + 20 * (i % 3)},{i % 5}' for i in range(100)]
  (tmp_path / 'run.csv').write_text('\n'.join(['x (m),y (m)', *rows]) + '\n')
  with pytest.raises(
    errors.UserError, match=r"run.csv, column 'x .m.': .* about 2e\+08 and"
  ):
    _load(tmp_path)
  assert _load(tmp_path, channels=('y (m)',)).channels == ['y (m)']


def test_labels_of_one_spelling_are_one_class(tmp_path):
  labels = [
    'file,primary,sensitive_who,sensitive_side',
    'walk/one.csv,walk,Zo\u00eb,1.0',
    'walk/two.csv,walk,Bob,2',
    'run.csv,run,Zoe\u0308,1',
  ]
  _write(tmp_path, labels)
  data = _load(tmp_path)
  assert data.sensitive_names == {
    'who': ['Bob', 'Zo\u00eb'],
    'side': ['1', '2'],
  }
  _write(tmp_path, [*labels[:3], labels[3].replace(',1', ',nan')])
  with pytest.raises(errors.UserError, match="'sensitive_side' is 'nan'"):
    _load(tmp_path)


def test_windows_by_hand(tmp_path):
  _write(tmp_path)
  data = _load(tmp_path)
  # Of 100 samples 50 train, in windows from 0, 5 ... 40; 25 validate, from 50,
  # 55, 60 and 65; and 25 test, from 75, 80, 85 and 90.
  starts = [*range(0, 41, 5), *range(50, 66, 5), *range(75, 91, 5)]
  assert data.x.shape == (3 * len(starts), 1, 10, 2)
  assert data.x.dtype == np.float32
  for k in range(3):
    x = data.x[data.recording == k, 0]
    np.testing.assert_array_equal(x[:, 0, 0], [1000 * k + s for s in starts])
    np.testing.assert_array_equal(
      x[:, 9, 1], [-1000 * k - s - 9 for s in starts]
    )
    assert (
      data.fold[data.recording == k].tolist() == [0] * 9 + [1] * 4 + [2] * 4
    )
  assert data.primary_names == ['run', 'walk']
  assert data.sensitive_names == {
    'who': ['Ann', 'Bob'],
    'side': ['left', 'right'],
  }
  first = {k: int(np.argmax(data.recording == k)) for k in range(3)}
  assert [data.primary[first[k]] for k in range(3)] == [1, 1, 0]
  assert [data.sensitive['who'][first[k]] for k in range(3)] == [0, 1, 1]
  assert [data.sensitive['side'][first[k]] for k in range(3)] == [0, 1, 0]
  assert list(data.channels) == ['x (m)', 'y (m)']


def test_labels_and_channels_are_chosen_by_name(tmp_path):
  _write(tmp_path)
  data = _load(
    tmp_path,
    primary='sensitive_side',
    channels=('y (m)',),
  )
  assert data.primary_names == ['left', 'right']
  assert list(data.sensitive_names) == ['who']
  assert data.x.shape[1:] == (1, 10, 1)
  assert data.x[1, 0, 0, 0] == -5
  assert list(data.channels) == ['y (m)']


def test_a_column_of_folds(tmp_path):
  labels = [
    f'{line},{fold}'
    for line, fold in zip(
      LABELS, ('fold', 'train', 'validation', 'train'), strict=True
    )
  ]
  (tmp_path / 'walk').mkdir()
  (tmp_path / 'test.csv').write_text('x (m),y (m)\n' + '7,8\n' * 12)
  _write(tmp_path, [*labels, 'test.csv,run,Ann,right,,test'])
  with pytest.raises(errors.UserError, match="class 'right' of label 'side'"):
    _load(tmp_path)
  _write(tmp_path, [*labels, 'test.csv,run,Ann,right,,test'])
  data = _load(tmp_path, sensitive='sensitive_who')
  # 19 windows of 100 samples, and one of 12.
  assert np.bincount(data.recording).tolist() == [19, 19, 19, 1]
  assert np.bincount(data.fold).tolist() == [38, 19, 1]
  assert (data.x[data.fold == dataset.TEST, 0, :, 1] == 8).all()
  with pytest.raises(errors.UserError, match=r'test\.csv has 12 samples.* 13'):
    _load(tmp_path, sensitive='sensitive_who', window=13)
  with pytest.raises(errors.UserError, match='hop is 0'):
    _load(tmp_path, sensitive='sensitive_who', hop=0)


def _change(file, old, new):
  def apply(folder):
    path = folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))

  return apply


def _put(file, content):
  return lambda folder: (folder / file).write_bytes(content)


REFUSED = {
  'no labels': (
    lambda folder: (folder / 'labels.csv').unlink(),
    [r'labels.csv does not exist'],
  ),
  'no primary column': (
    _change('labels.csv', 'primary', 'primry'),
    ["'primary'", "Did you mean 'primry'?", 'labels.csv'],
  ),
  'no file column': (_change('labels.csv', 'file', 'path'), ["'file'", 'path']),
  'no sensitive column': (
    lambda folder: _write(folder, ['file,primary', 'run.csv,run']),
    ["'sensitive_NAME'", 'file, primary'],
  ),
  'an empty label': (
    _change('labels.csv', 'Bob,right', ' ,right'),
    ['labels.csv, row 3', "'sensitive_who' is empty"],
  ),
  'a short row of labels': (
    _change('labels.csv', ',first', ''),
    ['labels.csv, row 2 has 4 values', '5'],
  ),
  'a file twice': (
    _change('labels.csv', 'walk/two.csv', 'walk/one.csv'),
    ["labels.csv names 'walk/one.csv' twice"],
  ),
  'a label without a file': (
    lambda folder: (folder / 'run.csv').unlink(),
    ["labels.csv names 'run.csv', which is not a .csv file in"],
  ),
  'a file without a label': (
    _put('walk/three.csv', b'x (m),y (m)\n1,2\n'),
    ['three.csv has no row in', 'labels.csv'],
  ),
  'text in a number': (
    _change('run.csv', '2040,', '2o40,'),
    ["run.csv, row 42, column 'x (m)': '2o40' is not a finite number"],
  ),
  'NaN': (
    _change('walk/two.csv', ' -1003', ' nan'),
    ["two.csv, row 5, column 'y (m)': 'nan'"],
  ),
  'nothing for a number': (
    _change('walk/two.csv', '1003,', ','),
    ["two.csv, row 5, column 'x (m)': ''"],
  ),
  'too large': (
    _change('walk/two.csv', '1003,', '1e39,'),
    ["two.csv, row 5, column 'x (m)': '1e39'"],
  ),
  'a short row': (
    _change('run.csv', '2040, -2040', '2040'),
    ['run.csv, row 42 has 1 values; its header has 2'],
  ),
  'an empty file': (_put('run.csv', b''), ['run.csv is empty', 'no header']),
  'only a header': (
    _put('run.csv', b'x (m),y (m)\n\n'),
    ['run.csv is empty', 'only a header'],
  ),
  'no text': (_put('run.csv', b'x\xff\n1\n'), ['run.csv cannot be read']),
  'other columns': (
    _change('run.csv', 'x (m),y (m)', 'y (m),x (m)'),
    ['run.csv has the columns y (m), x (m)', 'one.csv has x (m), y (m)'],
  ),
  'a column twice': (
    _change('walk/one.csv', 'y (m)', 'x (m)'),
    ["one.csv, row 1: the column 'x (m)' occurs twice, among x (m), x (m)"],
  ),
  'a short recording': (
    _put('run.csv', b'x (m),y (m)\n' + b'1,2\n' * 30),
    [
      'run.csv has 30 samples',
      'window of 10',
    ],
  ),
  'one class': (
    lambda folder: _write(
      folder, [line.replace('run,', 'walk,') for line in LABELS]
    ),
    ["label 'primary' has one class only (walk)"],
  ),
}


@pytest.mark.parametrize('case', REFUSED.values(), ids=REFUSED.keys())
def test_invalid_files_are_refused(tmp_path, case):
  break_it, parts = case
  _write(tmp_path)
  _load(tmp_path)
  break_it(tmp_path)
  with pytest.raises(errors.UserError) as caught:
    _load(tmp_path)
  message = str(caught.value)
  assert str(tmp_path) in message
  assert '\n' not in message
  for part in parts:
    assert part in message


def test_two_labels_of_one_name(tmp_path):
  _write(tmp_path)
  with pytest.raises(errors.UserError, match="two labels are called 'primary'"):
    _load(tmp_path, primary='sensitive_who', sensitive=('primary',))
  with pytest.raises(errors.UserError, match="two labels are called 'who'"):
    _load(tmp_path, sensitive=('sensitive_who', 'sensitive_who'))


def test_an_unknown_fold_and_an_unknown_channel(tmp_path):
  _write(tmp_path, ['file,primary,sensitive_who,fold', 'run.csv,run,Ann,tset'])
  with pytest.raises(errors.UserError, match=r"row 2 .*'tset'.*'test'"):
    _load(tmp_path)
  _write(tmp_path)
  with pytest.raises(errors.UserError, match=r"'x'.* Known: x \(m\), y \(m\)"):
    _load(tmp_path, channels='x')


def test_folds_as_numbers(tmp_path):
  labels = [
    f'{line},{fold}'
    for line, fold in zip(LABELS, ('fold', '0', '1', '2'), strict=True)
  ]
  _write(tmp_path, labels)
  labels_csv = recordings.read_labels(
    ml_collections.ConfigDict(
      {**plugins.values(recordings.OPTIONS), 'folder': str(tmp_path)}
    )
  )
  assert labels_csv.files == list(FILES)
  assert labels_csv.fold is not None
  assert labels_csv.fold.tolist() == [0, 1, 2]
  assert labels_csv.fold.dtype == np.int8
  _write(tmp_path, [line.replace(',2', ',3') for line in labels])
  with pytest.raises(errors.UserError, match=r"row 4 .*'3'.*train.*0, 1, 2"):
    _load(tmp_path)


def test_hidden_files_are_ignored(tmp_path):
  _write(tmp_path)
  plain = _load(tmp_path)
  for hidden in (
    '.ipynb_checkpoints/run-checkpoint.csv',
    'walk/.ipynb_checkpoints/one-checkpoint.csv',
    'walk/._one.csv',
  ):
    (tmp_path / hidden).parent.mkdir(exist_ok=True)
    (tmp_path / hidden).write_bytes(b'\xff\x00')
  np.testing.assert_array_equal(_load(tmp_path).x, plain.x)


def test_an_ending_in_capitals(tmp_path):
  _write(tmp_path, [line.replace('run.csv', 'run.CSV') for line in LABELS])
  (tmp_path / 'run.csv').rename(tmp_path / 'run.CSV')
  assert set(_load(tmp_path).recording.tolist()) == {0, 1, 2}


def test_a_column_without_a_name(tmp_path):
  """For example the index that pandas writes."""
  _write(tmp_path)
  for file in FILES:
    lines = (tmp_path / file).read_text().splitlines()
    lines = [f'{i - 1 if i else ""},{line}' for i, line in enumerate(lines)]
    (tmp_path / file).write_text('\n'.join(lines))
  with pytest.raises(errors.UserError, match=r'one\.csv, row 1: column 1 has'):
    _load(tmp_path)
  data = _load(tmp_path, channels=('x (m)', 'y (m)'))
  assert data.x[0, 0, 0].tolist() == [0, 0]
  with pytest.raises(errors.UserError, match=r"names 'x \(m\)' twice"):
    _load(tmp_path, channels=('x (m)', 'x (m)'))


def test_the_folder_is_needed_and_may_be_at_home(tmp_path, monkeypatch):
  with pytest.raises(errors.UserError, match=r'data\.folder is not set'):
    recordings.read_labels(
      ml_collections.ConfigDict(plugins.values(recordings.OPTIONS))
    )
  _write(tmp_path)
  monkeypatch.setenv('HOME', str(tmp_path.parent))
  assert len(_load(f'~/{tmp_path.name}').x)


def test_a_byte_order_mark_and_empty_lines_are_skipped(tmp_path):
  _write(tmp_path)
  plain = _load(tmp_path)
  for file in (*FILES, 'labels.csv'):
    path = tmp_path / file
    text = path.read_text().replace('\n', '\r\n')
    path.write_bytes(b'\xef\xbb\xbf' + text.encode() + b'\r\n\r\n')
  marked = _load(tmp_path)
  np.testing.assert_array_equal(marked.x, plain.x)
  assert list(marked.channels) == ['x (m)', 'y (m)']


def _write_timed(folder, times, columns=('time_s',)):
  """Writes a file for each entry of `times`, with noise in `a` and `b`."""
  labels, rng = ['file,primary,sensitive_who'], np.random.default_rng(0)
  for k, seconds in enumerate(times):
    rows = [
      ','.join([*[str(s)] * len(columns), *map(str, rng.normal(size=2))])
      for s in seconds
    ]
    (folder / f'r{k}.csv').write_text(
      '\n'.join([','.join([*columns, 'a', 'b']), *rows])
    )
    labels.append(f'r{k}.csv,{("sit", "run")[k % 2]},{("Ann", "Bob")[k // 2]}')
  (folder / 'labels.csv').write_text('\n'.join(labels))


def test_a_time_is_no_channel_and_no_window_crosses_a_gap(tmp_path):
  steady = (np.arange(200) / 50).tolist()
  with_gap = [t + 600 * (t >= 1) for t in steady]
  _write_timed(tmp_path, [steady, with_gap, steady, steady])
  data = _load(tmp_path)
  assert list(data.channels) == ['a', 'b']
  assert data.hertz == pytest.approx(50)
  # The first part ends at 50: of the windows from 0, 5 ... 90 those from 45 on
  # would cross it, and new ones begin at 50.
  counts = np.bincount(data.recording)
  train = [np.sum(data.fold[data.recording == k] == 0) for k in (0, 1)]
  assert train == [19, 9 + 9]
  assert counts[0] == counts[2]
  assert 'time_s' in data.remarks[0]
  assert '1 gaps in time, in 1 of 4 recordings' in data.remarks[1]
  assert 'r1.csv, 600 s' in data.remarks[1]
  with pytest.raises(errors.UserError, match=r"'time_s', a time, which is no"):
    _load(tmp_path, channels=('a', 'time_s'))
  kept = _load(tmp_path, time='none')
  assert list(kept.channels) == ['time_s', 'a', 'b']
  assert any(
    "'time_s' only rises or falls" in remark for remark in kept.remarks
  )


def test_dates_and_other_columns_of_times(tmp_path):
  dates = [
    f'2026-01-01T00:00:{i // 50:02d}.{i % 50 * 20:03d}Z' for i in range(200)
  ]
  _write_timed(tmp_path, [dates] * 4, ('datetime', 'logged_time'))
  data = _load(tmp_path)
  assert list(data.channels) == ['a', 'b']
  assert data.hertz == pytest.approx(50)
  assert "no channels: 'logged_time'" in data.remarks[1]
  path = tmp_path / 'r2.csv'
  path.write_text(path.read_text().replace(dates[7], 'noon', 1))
  with pytest.raises(
    errors.UserError, match=r"r2\.csv, row 9, column 'datetime': 'noon' is not"
  ):
    _load(tmp_path)


def test_rows_out_of_order_are_refused(tmp_path):
  steady = np.arange(200) / 50
  back = np.r_[steady[:40], steady[10:]]
  _write_timed(tmp_path, [steady, steady, back, steady])
  path = tmp_path / 'r2.csv'
  path.write_text(path.read_text().replace('\n', '\n\n', 1))  # an empty row
  with pytest.raises(
    errors.UserError,
    match=r"r2\.csv, row 43: the time 'time_s' goes back from 0.78 to 0.2;",
  ):
    _load(tmp_path)


def test_a_rate_that_changes_within_a_file_is_refused_or_resampled(tmp_path):
  even = np.arange(500) / 50
  changes = np.concatenate([even, even[-1] + np.arange(1, 250) / 25])
  _write_timed(tmp_path, [changes] * 4)
  with pytest.raises(
    errors.UserError,
    match=r'rate of r0\.csv changes between 25 and 50 .*=37.51',
  ):
    _load(tmp_path)
  assert _load(tmp_path, hertz=50.0).hertz == 50


def test_a_time_without_a_unit_that_steps_by_one_is_refused(tmp_path):
  _write_timed(tmp_path, [np.arange(100)] * 4, columns=('time',))
  with pytest.raises(errors.UserError, match=r'r0\.csv: .*one row a second'):
    _load(tmp_path)
  assert _load(tmp_path, time_unit='s').hertz == pytest.approx(1)


def test_other_rates_are_refused_or_resampled(tmp_path):
  slow, fast = np.arange(200) / 50, np.arange(400) / 100
  _write_timed(tmp_path, [slow, slow, fast, slow])
  with pytest.raises(
    errors.UserError, match=r'have 50 Hz .* but r2\.csv 100: give .*hertz=50'
  ):
    _load(tmp_path)
  data = _load(tmp_path, hertz=50.0)
  counts = np.bincount(data.recording)
  assert counts[2] == counts[0]
  assert data.hertz == 50
  with pytest.raises(errors.UserError, match=r'hertz is 50.*has no column of'):
    _load(tmp_path, hertz=50.0, time='none')


def test_an_index_is_left_out_and_a_counter_is_told(tmp_path):
  steps = range(200)
  _write_timed(tmp_path, [steps] * 4, ('Unnamed: 0', 'ticks'))
  data = _load(tmp_path)
  assert list(data.channels) == ['ticks', 'a', 'b']
  assert "'Unnamed: 0' numbers the rows" in data.remarks[0]
  assert "'ticks' only rises or falls" in data.remarks[1]
  assert len(data.remarks) == 2
  chosen = _load(tmp_path, channels=('Unnamed: 0', 'a'))
  assert list(chosen.channels) == ['Unnamed: 0', 'a']
