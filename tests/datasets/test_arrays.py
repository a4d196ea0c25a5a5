import ml_collections
import numpy as np
import pytest

from configs import arrays as config_file
from hybrid_jax import errors, plugins
from hybrid_jax.datasets import arrays, normalization
from hybrid_jax.models import split_model
from hybrid_jax.study import runner, validate

N = 60


def _stored(**change):
  """Sixty series of eight samples in twenty groups, with labels in turn."""
  stored = {
    'x': np.arange(N * 8 * 2, dtype=np.float64).reshape(N, 8, 2),
    'primary': np.arange(N) % 3,
    'sensitive_side': np.where(np.arange(N) // 3 % 2, 'right', 'left'),
    'group': np.arange(N) // 3 + 100,
  }
  stored |= change
  return {name: value for name, value in stored.items() if value is not None}


@pytest.fixture
def load(tmp_path):
  def call(stored, **change):
    np.savez(tmp_path / 'my.npz', **stored)
    return arrays.load(_config(tmp_path, **change))

  return call


def _config(folder, **change):
  return ml_collections.ConfigDict(
    {
      'name': 'arrays',
      **plugins.values(arrays.OPTIONS),
      'path': str(folder / 'my.npz'),
      **change,
    }
  )


def test_values_labels_and_groups(load):
  data = load(_stored(channels=np.array(['force (N)', 'angle (rad)'])))
  assert data.x.shape == (N, 1, 8, 2)
  assert data.x.dtype == np.float32
  np.testing.assert_array_equal(data.x[7, 0, 3], [7 * 16 + 6, 7 * 16 + 7])
  assert data.primary_names == ['0', '1', '2']
  np.testing.assert_array_equal(data.primary, np.arange(N) % 3)
  assert data.sensitive_names == {'side': ['left', 'right']}
  np.testing.assert_array_equal(data.sensitive['side'], np.arange(N) // 3 % 2)
  np.testing.assert_array_equal(data.recording, np.arange(N) // 3)
  assert data.channels == ['force (N)', 'angle (rad)']
  for name in ('primary', 'recording', 'fold'):
    assert getattr(data, name).dtype == (np.int8 if name == 'fold' else 'i4')


def test_whole_groups_are_split_by_shares(load):
  data = load(_stored())
  folds = data.fold.reshape(20, 3)
  assert (folds == folds[:, :1]).all()
  assert np.bincount(folds[:, 0]).tolist() == [12, 4, 4]
  # Ten groups of each side: six, two and two of them.
  for side in (0, 1):
    rows = data.sensitive['side'].reshape(20, 3)[:, 0] == side
    assert np.bincount(folds[rows, 0]).tolist() == [6, 2, 2]


def test_single_examples_are_split_with_every_class_in_its_share(load, capfd):
  data = load(_stored(group=None))
  cell = data.primary * 2 + data.sensitive['side']
  for fold, count in enumerate((6, 2, 2)):
    assert np.bincount(cell[data.fold == fold]).tolist() == [count] * 6
  np.testing.assert_array_equal(data.recording, np.arange(N))
  output = capfd.readouterr().err
  assert 'intervals take the examples as independent' in output
  assert 'series of 8 samples of 2 channels' in output


def test_equal_examples_are_in_one_fold(load):
  x = np.repeat(np.arange(N // 2), 2)[:, None] * np.ones((1, 8))
  data = load(_stored(x=x, group=None))
  np.testing.assert_array_equal(data.fold[::2], data.fold[1::2])
  assert set(data.fold.tolist()) == {0, 1, 2}


def test_the_seed_chooses_and_shares_are_kept(load):
  first, again = load(_stored(group=None)), load(_stored(group=None))
  np.testing.assert_array_equal(first.fold, again.fold)
  other = load(_stored(group=None), seed=5, fractions=(1, 1, 1))
  assert np.abs(np.bincount(other.fold) - 20).max() <= 1
  assert (other.fold != first.fold).any()


def test_stored_folds_are_kept(load):
  fold = np.repeat([2, 0, 0, 1], 15)
  data = load(_stored(fold=fold))
  np.testing.assert_array_equal(data.fold, fold)


def test_folds_may_be_names(load):
  fold = np.repeat([2, 0, 0, 1], 15)
  names = np.array(['train', 'validation', 'test'])[fold]
  for stored_fold in (names, names.astype('S'), fold.astype(str)):
    data = load(_stored(fold=stored_fold))
    np.testing.assert_array_equal(data.fold, fold)
    assert data.fold.dtype == np.int8


def test_one_channel_may_be_an_array_without_axes(load):
  x = np.random.default_rng(0).random((N, 8))
  data = load(_stored(x=x, channels=np.array('force (N)')))
  assert data.channels == ['force (N)']


@pytest.mark.parametrize(
  ('change', 'part'),
  [
    ({'seed': -1}, 'data.seed is -1; it must be 0 or more'),
    ({'fractions': (1, 1)}, r'data.fractions is \(1, 1\)'),
    ({'fractions': (1, np.nan, 1)}, r'data.fractions is \(1, nan, 1\)'),
    ({'fractions': (1, np.inf, 1)}, r'data.fractions is \(1, inf, 1\)'),
    ({'path': ''}, 'data.path is not set'),
  ],
)
def test_invalid_settings_are_refused(load, change, part):
  with pytest.raises(errors.UserError, match=part):
    load(_stored(), **change)


def test_names_of_classes(load):
  data = load(
    _stored(
      primary_names=np.array(['sit', 'stand', 'walk']),
      # The classes are in the order of the names.
      sensitive_side_names=np.array(['right', 'left']),
    )
  )
  assert data.primary_names == ['sit', 'stand', 'walk']
  assert data.sensitive_names == {'side': ['right', 'left']}
  np.testing.assert_array_equal(
    data.sensitive['side'], 1 - np.arange(N) // 3 % 2
  )


@pytest.mark.parametrize(
  ('shape', 'layout', 'expected'),
  [
    ((5, 9), 'auto', (5, 1, 9, 1)),
    ((5, 9), 'series', (5, 1, 9, 1)),
    ((5, 40, 128), 'auto', (5, 1, 40, 128)),
    ((5, 40, 128), 'series', (5, 1, 40, 128)),
    ((5, 40, 128), 'image', (5, 40, 128, 1)),
    ((5, 9), 'table', (5, 1, 1, 9)),
    ((5, 7, 9, 3), 'auto', (5, 7, 9, 3)),
    ((5, 7, 9, 3), 'image', (5, 7, 9, 3)),
    ((5, 1, 9, 3), 'auto', (5, 1, 9, 3)),
    ((5, 1, 9, 3), 'series', (5, 1, 9, 3)),
  ],
)
def test_layouts(shape, layout, expected):
  x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
  arranged, _ = arrays.arrange(x, layout)
  assert arranged.shape == expected
  # Only axes of length 1 are added.
  np.testing.assert_array_equal(arranged.ravel(), x.ravel())


@pytest.mark.parametrize(
  ('shape', 'layout', 'part'),
  [
    ((5, 9), 'image', r'shape \(5, 9\).*layout is .image'),
    ((5, 7, 9, 3), 'series', r'shape \(5, 7, 9, 3\)'),
    ((5, 1, 1, 1, 2), 'auto', r'shape \(5, 1, 1, 1, 2\)'),
    ((5, 9), 'imag', "Did you mean 'image'"),
    ((5, 7, 9), 'table', r'shape .5, 7, 9.; .*layout is .table'),
    ((5, 9), 'channels_first', 'layout is .channels_first'),
  ],
)
def test_layouts_that_do_not_fit_the_axes(shape, layout, part):
  with pytest.raises(errors.UserError, match=part):
    arrays.arrange(np.zeros(shape), layout)


def test_channels_before_time():
  x = np.arange(5 * 3 * 9).reshape(5, 3, 9)
  arranged, _ = arrays.arrange(x, 'channels_first')
  assert arranged.shape == (5, 1, 9, 3)
  np.testing.assert_array_equal(arranged[2, 0, :, 1], x[2, 1])


def test_a_doubtful_time_axis_is_told_with_the_reason():
  _, remark = arrays.arrange(np.zeros((5, 40, 128)), 'auto')
  assert 'series of 40 samples of 128 channels, since time is taken' in remark
  assert 'data.layout=channels_first; for grey images or spectro' in remark
  assert 'in doubt, since 128 is more than 40' in remark
  _, remark = arrays.arrange(np.zeros((5, 128, 40)), 'auto')
  assert 'time is taken to be the second axis' in remark
  assert 'doubt' not in remark
  _, remark = arrays.arrange(np.zeros((5, 40, 128)), 'series')
  assert remark == (
    'x [5, 40, 128] is read as series of 40 samples of 128 channels.'
  )


def _people(*columns):
  rng = np.random.default_rng(0)
  return np.stack([rng.normal(*column, 400) for column in columns], axis=1)


@pytest.mark.parametrize(
  ('x', 'is_table'),
  [
    (_people((0, 3e4), (0, 1), (40, 10)), True),
    # Of one deviation, and of very different means.
    (_people((1e4, 1), (0, 1)), True),
    (_people((0, 300), (0, 1), (5, 5)), False),
    (_people((1e4, 1), (1e4, 1)), False),
    (np.cumsum(np.random.default_rng(0).normal(size=(400, 64)), axis=1), False),
    # A constant column has no scale.
    (_people((0, 300), (0, 0), (0, 1)), False),
  ],
)
def test_a_table_is_told_from_a_series_by_its_scales(x, is_table):
  arranged, remark = arrays.arrange(x, 'auto')
  if is_table:
    assert arranged.shape == (400, 1, 1, x.shape[1])
    assert 'columns differ in scale by' in remark
    assert 'set data.layout=series' in remark
    scaled = normalization.fit_normalizer(arranged)(arranged)
    np.testing.assert_allclose(scaled.std(axis=(0, 1, 2)), 1, rtol=1e-3)
  else:
    assert arranged.shape == (400, 1, x.shape[1], 1)
    assert 'set data.layout=table' in remark
  assert arrays.arrange(x, 'series')[0].shape == (400, 1, x.shape[1], 1)


def test_the_config_of_a_table(tmp_path):
  x = _people((0, 3e4), (0, 1), (40, 10))[:N]
  np.savez(tmp_path / 'my.npz', **_stored(x=x))
  c = _made(tmp_path / 'my.npz')
  assert (c.model.name, c.data.layout) == ('fully_connected', 'auto')
  assert tuple(c.model.split_points) == ('dense3',)
  assert not c.augment.gain
  assert not c.augment.time_scale
  assert _made(tmp_path / 'my.npz', ',table').data.layout == 'table'


def test_bytes_of_images_become_shares():
  x = np.array([[[0, 51], [255, 102]]], np.uint8)
  image, remark = arrays.arrange(x, 'image')
  np.testing.assert_allclose(image[0, :, :, 0], [[0, 0.2], [1, 0.4]])
  assert 'divided by 255' in remark
  # Bytes of a series may be anything.
  np.testing.assert_array_equal(arrays.arrange(x, 'series')[0][:, 0], x)
  np.testing.assert_array_equal(
    arrays.arrange(x.astype(np.int16), 'image')[0][..., 0], x
  )


def _x(value):
  x = _stored()['x']
  x[4:6, 2, 1] = value
  return x


REFUSED = {
  'no x': ({'x': None}, ["lacks the array 'x'", 'group, primary']),
  'no primary': ({'primary': None}, ["lacks the array 'primary'"]),
  'no sensitive': ({'sensitive_side': None}, ['no sensitive label']),
  'a label without a name': ({'sensitive_': np.arange(N) % 2}, ['sensitive_N']),
  'two of one name': ({'sensitive_primary': np.arange(N) % 2}, ['sensitive_N']),
  'an unknown array': (
    {'groups': np.arange(N)},
    ["'groups'", "Did you mean 'group'?"],
  ),
  'names of no label': (
    {'sensitive_sid_names': np.array(['a', 'b'])},
    ['sensitive_sid_names', 'shape (2,)'],
  ),
  'a short label': (
    {'sensitive_side': np.zeros(7, int)},
    ["'sensitive_side' has shape (7,)", '60 rows'],
  ),
  'a short group': ({'group': np.zeros(7, int)}, ["'group' has shape (7,)"]),
  'NaN': ({'x': _x(np.nan)}, ['(float64) is nan in row 4', '2 rows']),
  'infinity': ({'x': _x(-np.inf)}, ['(float64) is -inf in row 4', '2 rows']),
  # Finite in float64, infinite in float32.
  'too large': (
    {'x': _x(-1e39)},
    ["'x' (float64) is -1e+39 in row 4", '2 rows', '3.403e+38'],
  ),
  'infinity of half precision': (
    {'x': np.full((N, 3), np.inf, np.float16)},
    ["'x' (float16) is inf in row 0", '60 rows'],
  ),
  'text for x': ({'x': np.full((N, 3), 'a')}, ["'x' is <U1"]),
  'dates for x': (
    {'x': np.full((N, 3), '2020-01-01', 'datetime64[D]')},
    ["'x' is datetime64[D]"],
  ),
  'objects for x': (
    {'x': np.array([[None, 1]] * N)},
    ["'x' holds objects", 'numbers or text'],
  ),
  'complex x': ({'x': np.ones((N, 3), complex)}, ["'x' is complex128"]),
  'x of one axis': ({'x': np.arange(N)}, ['shape (60,)']),
  'no row': ({'x': np.ones((0, 8))}, ['shape (0, 8)']),
  'objects': (
    {'sensitive_side': np.array(['a', None] * (N // 2))},
    ["'sensitive_side' holds objects"],
  ),
  'labels of fractions': (
    {'primary': np.arange(N) % 3 / 2},
    ["'primary' is float64", 'whole numbers or text'],
  ),
  'labels that are not UTF-8': (
    {'sensitive_side': np.array(['Анна'.encode('cp1251'), b'Bob'] * (N // 2))},
    [r"'sensitive_side' is b'\xc0\xed\xed\xe0' in row 0, which is not UTF-8"],
  ),
  'a group that is not UTF-8': (
    {'group': np.array([b'\xff'] * N)},
    [r"'group' is b'\xff' in row 0, which is not UTF-8"],
  ),
  'a fold that is not UTF-8': (
    {'fold': np.array([b'\xff'] * N)},
    [r"'fold' is b'\xff' in row 0, which is not UTF-8"],
  ),
  'a channel that is not UTF-8': (
    {'channels': np.array([b'\xff', b'a'])},
    [r"'channels' is b'\xff' in row 0, which is not UTF-8"],
  ),
  'a missing label': (
    {'sensitive_side': np.array(['left', 'right', np.nan] * (N // 3))},
    ["'sensitive_side' is 'nan' in row 2, which is no label"],
  ),
  'one class': (
    {'sensitive_side': np.full(N, 'left')},
    ["'side' has one class only (left)"],
  ),
  'a class without an example': (
    {'primary_names': np.array(['a', 'b', 'c', 'd'])},
    ["'primary' has 3 classes and 4 names", "no example is of 'd'"],
  ),
  'two classes of one name': (
    {'primary_names': np.array(['a', 'b', 'a'])},
    ['the names of', "'primary' are a, b, a", "'a' occurs twice"],
  ),
  'names in a table': (
    {'primary_names': np.array([['a', 'b', 'c']])},
    ['the names of', "'primary' have shape (1, 3)"],
  ),
  'a class without a name': (
    {'primary_names': np.array(['a', 'b'])},
    ["'primary' is 2 in row 2", 'a, b'],
  ),
  'text without a name': (
    {'sensitive_side_names': np.array(['links', 'right'])},
    ["'sensitive_side' is 'left' in row 0", 'links, right'],
  ),
  'a class that does not train': (
    {
      'fold': np.repeat([0, 0, 1, 2], 15),
      'group': None,
      'sensitive_side': np.repeat(['a', 'b', 'a', 'c'], 15),
    },
    ["class 'c' of label 'side' is empty in the train fold"],
  ),
  'an unknown fold': (
    {'fold': np.arange(N) % 4},
    ["'fold' is 3 in row 3", '0 or train, 1 or validation, 2 or test'],
  ),
  'a fold of another name': (
    {'fold': np.array(['train', 'val', 'test'] * (N // 3))},
    ["'fold' is 'val' in row 1", '1 or validation'],
  ),
  'folds of fractions': (
    {'fold': np.arange(N) % 3 * 1.0},
    ["'fold' is float64", '1 or validation'],
  ),
  'no test fold': (
    {'fold': np.repeat([0, 1], 30)},
    ['the test fold is empty'],
  ),
  'a group in two folds': (
    {'fold': np.repeat([0, 1, 2], 20)},
    ["group '106' is in the folds train and validation"],
  ),
  'two groups': ({'group': np.arange(N) % 2}, ["'group' has 2 groups", '3']),
  'people for groups': (
    {'sensitive_who': np.arange(N) // 3},
    ["20 of the 20 classes of 'who'", 'recordings'],
  ),
  'other channels': (
    {'channels': np.array(['a', 'b', 'c'])},
    ["'channels' has 3 names", '2 entries'],
  ),
  'one channel of two': (
    {'channels': np.array('force (N)')},
    ["'channels' has 1 names", '2 entries'],
  ),
  'a channel twice': (
    {'channels': np.array(['a', 'a'])},
    ["'channels' are a, a: 'a' occurs twice"],
  ),
}


@pytest.mark.parametrize('case', REFUSED.values(), ids=REFUSED.keys())
def test_invalid_files_are_refused(load, tmp_path, case):
  change, parts = case
  with pytest.raises(errors.UserError) as caught:
    load(_stored(**change))
  message = str(caught.value)
  assert str(tmp_path / 'my.npz') in message
  assert '\n' not in message
  for part in parts:
    assert part in message


def test_a_missing_file_is_refused(tmp_path):
  with pytest.raises(errors.UserError, match=r'my\.npz does not exist'):
    arrays.load(_config(tmp_path))


def test_a_folder_for_a_file(tmp_path):
  with pytest.raises(errors.UserError, match='is a folder'):
    arrays.load(_config(tmp_path, path=str(tmp_path)))


def test_a_file_at_home(tmp_path, monkeypatch):
  np.savez(tmp_path / 'my.npz', **_stored())
  monkeypatch.setenv('HOME', str(tmp_path))
  assert arrays.load(_config(tmp_path, path='~/my.npz')).x.shape[0] == N
  assert _made('~/my.npz').model.name == 'cnn1d'


def test_commas_in_the_name_of_a_file(tmp_path):
  """A path that exists wins over words after a comma."""
  np.savez(tmp_path / 'my,small.npz', **_stored())
  c = _made(tmp_path / 'my,small.npz')
  assert c.data.path == str(tmp_path / 'my,small.npz')
  assert c.training.steps > 40
  c = _made(tmp_path / 'my,small.npz', ',image,small')
  assert c.data.path == str(tmp_path / 'my,small.npz')
  assert (c.data.layout, c.training.steps) == ('image', 40)
  with pytest.raises(ValueError, match="'full' after 'small'"):
    _made(tmp_path / 'my,small.npz', ',small,full')


def test_a_file_of_another_type_is_refused(tmp_path):
  (tmp_path / 'my.npz').write_text('x,y\n1,2\n')
  with pytest.raises(errors.UserError, match=r'my\.npz is damaged'):
    arrays.load(_config(tmp_path))


def _made(path, words=''):
  c = config_file.get_config(f'{path}{words}')
  split_model.make(c.model, 3)
  validate.prepare(c)
  return c


def test_the_config_chooses_the_network_by_the_shape(tmp_path):
  path = tmp_path / 'my.npz'
  np.savez(path, **_stored())
  c = _made(path)
  assert (c.data.name, c.model.name) == ('arrays', 'cnn1d')
  assert tuple(c.model.split_points) == ('dense1',)
  assert c.release.prototypes == 3
  # Twelve of twenty groups of three train.
  assert c.training.batch_size == c.defend.batch_size == 36
  assert _made(path, ',small').training.steps == 40
  c = _made(path, ',image')
  assert (c.data.layout, c.model.name) == ('image', 'vgg16')
  assert tuple(c.model.split_points) == ('fc7',)
  assert (c.model.options.width, c.model.options.norm) == (0.25, True)
  assert c.training.batch_size == 36
  assert _made(path, ',image,small').siamese.batch_size == 32
  with pytest.raises(ValueError, match="'imag'"):
    config_file.get_config(f'{path},imag')
  np.savez(path, **_stored(x=np.ones((N, 5)) * np.arange(N)[:, None]))
  with pytest.raises(errors.UserError, match='5 samples; cnn1d needs 8'):
    config_file.get_config(str(path))


def test_the_config_needs_a_path():
  with pytest.raises(ValueError, match=r'my\.npz'):
    config_file.get_config()


def test_the_config_takes_a_folder(tmp_path):
  (tmp_path / 'a.csv').write_text('x\n' + '1\n' * 500)
  (tmp_path / 'b.csv').write_text('x\n' + '2\n' * 500)
  (tmp_path / 'labels.csv').write_text(
    'file,primary,sensitive_who\na.csv,up,Ann\nb.csv,down,Bob\n'
  )
  c = _made(tmp_path)
  assert (c.data.name, c.data.folder) == ('recordings', str(tmp_path))
  assert (c.model.name, c.release.prototypes) == ('cnn1d', 2)


def test_a_class_missing_from_a_fold_is_refused_and_no_files_are_left(tmp_path):
  fold = np.repeat([0, 1, 2], [40, 10, 10])
  primary = np.where(fold == 2, np.arange(N) % 2, np.arange(N) % 3)
  np.savez(
    tmp_path / 'my.npz', **_stored(primary=primary, fold=fold, group=None)
  )
  config = config_file.get_config(str(tmp_path / 'my.npz'))
  with pytest.raises(errors.UserError, match=r'test fold has no example .* 2:'):
    runner.run(config, tmp_path / 'run', ('data',))
  assert not (tmp_path / 'run').exists()
  # A folder with files of its own is kept.
  (tmp_path / 'run').mkdir()
  (tmp_path / 'run' / 'notes').write_text('kept')
  with pytest.raises(errors.UserError, match='the test fold'):
    runner.run(config, tmp_path / 'run', ('data',))
  assert (tmp_path / 'run' / 'notes').read_text() == 'kept'


def test_the_rate_of_a_series(tmp_path):
  path = tmp_path / 'my.npz'
  group = np.arange(60) // 2
  arrays_of = {
    'x': np.random.default_rng(0).normal(size=(60, 16, 2)),
    'primary': group % 2,
    'sensitive_who': group // 2 % 3,
    'group': group,
  }
  config = ml_collections.ConfigDict(
    {**plugins.values(arrays.OPTIONS), 'path': str(path)}
  )
  for hertz, expected in ((None, None), (50, 50.0)):
    more = {} if hertz is None else {'hertz': hertz}
    np.savez(path, **arrays_of, **more)
    assert arrays.load(config).hertz == expected
  np.savez(path, **arrays_of, hertz=[50, 51])
  with pytest.raises(errors.UserError, match=r"'hertz' is \[50, 51\]; it must"):
    arrays.load(config)
