import io

import ml_collections
import numpy as np
import pytest

from configs import utkface as config_file
from hybrid_jax import errors, plugins
from hybrid_jax.datasets import folds, utkface
from hybrid_jax.study import validate
from tests.datasets import loading

image = pytest.importorskip('PIL.Image')
N = 200


def _load(path, **change):
  return loading.load(
    utkface,
    ml_collections.ConfigDict(
      {
        **plugins.values(utkface.OPTIONS),
        'path': str(path),
        'size': 8,
        **change,
      }
    ),
  )


def _stored(**change):
  """Images of noise, with ages, genders and races in turn."""
  rng = np.random.default_rng(0)
  return {
    'X': rng.integers(0, 256, (N, 8, 8)).astype(np.uint8),
    'age': np.arange(N) % 90 + 1,
    'gender': np.arange(N) % 2,
    'race': np.arange(N) // 2 % 4,
  } | change


def _write(folder, **change):
  np.savez(folder / 'faces.npz', **_stored(**change))
  return folder / 'faces.npz'


def test_values_and_age_groups(tmp_path):
  ages = np.resize([1, 9, 10, 24, 25, 39, 40, 59, 60, 110], N)
  data = _load(_write(tmp_path, age=ages))
  assert data.x.shape == (N, 8, 8, 1)
  assert data.x.dtype == np.float32
  np.testing.assert_allclose(data.x[..., 0] * 255, _stored()['X'], atol=1e-4)
  np.testing.assert_array_equal(data.primary, np.arange(N) % 2)
  assert data.primary_names == ['male', 'female']
  np.testing.assert_array_equal(
    data.sensitive['age_group'][:10], [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
  )
  assert data.sensitive_names['age_group'][1] == '10 to 24'
  # No image has the fifth race, so it is no class.
  assert data.sensitive_names['race'] == ['white', 'black', 'Asian', 'Indian']
  assert len(np.unique(data.recording)) == N


def test_any_suffix_and_subfolders_are_read(tmp_path, capfd):
  suffixes = ['jpg', 'JPG', 'jpeg', 'png', 'Png', 'bmp']
  (tmp_path / 'more' / '.hidden').mkdir(parents=True)
  for i in range(60):
    folder = tmp_path / ('' if i % 2 else 'more')
    name = f'{[5, 30][i // 6 % 2]}_{i // 12 % 2}_{i // 24 % 2}_{i}'
    image.fromarray(np.full((8, 8), 4 * i, np.uint8)).save(
      folder / f'{name}.{suffixes[i % 6]}'
    )
  (tmp_path / 'notes.txt').write_text('no image')
  (tmp_path / 'more' / 'nameless.PNG').write_bytes(b'')
  (tmp_path / 'more' / '.hidden' / '5_0_0_x.png').write_bytes(b'')
  assert len(_load(tmp_path).x) == 60
  output = capfd.readouterr().err
  assert 'no label: 1: nameless.PNG' in output


def test_every_class_has_its_share_in_every_fold(tmp_path):
  data = _load(_write(tmp_path))
  assert np.bincount(data.fold).tolist() == [140, 20, 40]
  for labels in data.labels().values():
    counts = np.bincount(labels)
    for fold, share in enumerate((0.7, 0.1, 0.2)):
      counts_in_fold = np.bincount(labels[data.fold == fold])
      assert np.abs(counts_in_fold - share * counts).max() <= 1.5


def test_images_of_the_same_pixels_are_in_one_fold(tmp_path):
  pixels = _stored()['X']
  pixels[100:] = pixels[:100]
  pixels[50] = pixels[3]
  data = _load(_write(tmp_path, X=pixels))
  np.testing.assert_array_equal(data.fold[100:150], data.fold[:50])
  assert len(set(data.fold[[3, 103, 50]])) == 1
  assert set(data.fold.tolist()) == {0, 1, 2}


def test_duplicates_are_numbered_in_order():
  x = np.array([[1, 2], [3, 4], [1, 2], [2, 1], [3, 4]])
  assert folds.group_duplicates(x).tolist() == [0, 1, 0, 2, 1]


def test_folds_of_units_by_hand():
  # Six units of two examples; classes 0 and 1 are in three units each.
  unit = np.repeat([7, 5, 3, 9, 11, 2], 2)
  label = np.repeat([0, 0, 0, 1, 1, 1], 2)
  fold = folds.stratified([label], (1, 1, 1), 0, unit)
  np.testing.assert_array_equal(fold[::2], fold[1::2])
  assert sorted(fold[:6:2]) == [0, 1, 2]
  assert sorted(fold[6::2]) == [0, 1, 2]


def test_a_class_in_one_unit_trains():
  for seed in range(20):
    label = np.array([0] * 19 + [1])
    fold = folds.stratified([label], (0.6, 0.2, 0.2), seed)
    assert fold[-1] == 0
    assert np.bincount(fold).tolist() == [12, 4, 4]


def test_many_labels_at_once_keep_their_shares():
  rng = np.random.default_rng(1)
  labels = [rng.integers(0, k, 3000) for k in (2, 10, 5, 40)]
  fold = folds.stratified(labels, (0.5, 0.25, 0.25), 0)
  for label in labels:
    counts = np.bincount(label)
    for f, share in enumerate((0.5, 0.25, 0.25)):
      counts_in_fold = np.bincount(label[fold == f], minlength=len(counts))
      # A purely random split would be within about 10.
      assert np.abs(counts_in_fold - share * counts).max() <= 4


def _bytes(color, size=(16, 16)):
  stream = io.BytesIO()
  image.new('RGB', size, color).save(stream, 'jpeg')
  return stream.getvalue()


@pytest.fixture
def folder(tmp_path):
  """Images of 16 by 16 pixels, each of one colour; the red grows with i."""
  for i in range(60):
    name = f'{i + 1}_{i % 2}_{i // 2 % 2}_2017011{i:03d}.jpg'
    name += '.chip.jpg' if i % 3 else ''
    (tmp_path / name).write_bytes(_bytes((2 * i, 100, 200)))
  return tmp_path


def test_a_folder_of_images(folder):
  data = _load(folder, grey=False)
  assert data.x.shape == (60, 8, 8, 3)
  np.testing.assert_allclose(data.x[:, 4, 4, 2] * 255, 200, atol=4)
  # The age grows with the red, so this fails if labels and images are mixed
  # up.
  order = np.argsort(data.x[:, 4, 4, 0], kind='stable')
  ages = data.sensitive['age_group'][order]
  assert (ages == np.digitize(np.arange(1, 61), (10, 25, 40, 60))).mean() > 0.9
  np.testing.assert_array_equal(
    np.bincount(data.sensitive['age_group']), [9, 15, 15, 20, 1]
  )
  assert np.bincount(data.primary).tolist() == [30, 30]
  assert np.bincount(data.sensitive['race']).tolist() == [30, 30]
  assert len(data.channels) == 3


def test_grey_is_the_luminance(folder):
  data = _load(folder)
  assert data.x.shape == (60, 8, 8, 1)
  # ITU-R 601-2: 0.299 of red, 0.587 of green and 0.114 of blue.
  expected = (0.299 * 2 * np.arange(60) + 0.587 * 100 + 0.114 * 200) / 255
  np.testing.assert_allclose(np.sort(data.x[:, 4, 4, 0]), expected, atol=0.01)


def test_images_without_a_label_are_left_out(folder, capfd):
  (folder / '39_1_20170116174525125.jpg.chip.jpg').write_bytes(_bytes('red'))
  assert len(_load(folder).x) == 60
  assert 'no label: 1: ' in (output := capfd.readouterr().err)
  assert '39_1_20170116174525125.jpg.chip.jpg' in output


def test_an_image_that_cannot_be_read_is_named(folder):
  path = sorted(folder.glob('*.jpg'))[7]
  path.write_bytes(b'')
  with pytest.raises(errors.UserError) as caught:
    _load(folder)
  assert str(path) in str(caught.value)
  assert 'has 0 bytes' in str(caught.value)


@pytest.mark.parametrize(
  ('name', 'part'),
  [
    ('5_2_0_1.jpg', 'gender is 2; it must be 0 to 1'),
    ('5_1_9_1.jpg', 'race is 9'),
  ],
)
def test_a_label_out_of_range_is_named(folder, name, part):
  (folder / name).write_bytes(_bytes('red'))
  with pytest.raises(errors.UserError, match=f'{name}: {part}'):
    _load(folder)


@pytest.mark.parametrize(
  ('change', 'part'),
  [
    ({'age': np.arange(3)}, r"'age' is int64 of shape \(3,\)"),
    ({'race': np.full(N, 0.5)}, "'race' is float64"),
    ({'age': np.full(N, -4)}, r'row 0: age is -4'),
    ({'X': np.ones((N, 8, 8))}, "'X' is float64"),
    ({'X': np.ones((N, 8), np.uint8)}, r'shape \(200, 8\)'),
    ({'race': np.zeros(N, int)}, "'race' has one class only"),
  ],
)
def test_invalid_arrays_are_refused(tmp_path, change, part):
  with pytest.raises(errors.UserError, match=part):
    _load(_write(tmp_path, **change))


def test_other_mistakes(tmp_path):
  for path in ('', tmp_path / 'none'):
    with pytest.raises(
      errors.UserError, match='does not exist; it must be a folder'
    ):
      _load(path)
  with pytest.raises(errors.UserError, match=r'has no image named \[age\]'):
    _load(tmp_path)
  with pytest.raises(errors.UserError, match=r'data\.size is 0'):
    _load(_write(tmp_path), size=0)
  with pytest.raises(errors.UserError, match='grey must be True'):
    _load(_write(tmp_path), grey=False)
  np.savez(tmp_path / 'faces.npz', X=np.ones((3, 8, 8)))
  with pytest.raises(errors.UserError, match="lacks the array 'age'; it has X"):
    _load(tmp_path / 'faces.npz')


def test_images_are_resized(tmp_path):
  levels = np.arange(N, dtype=np.uint8)[:, None, None]
  data = _load(_write(tmp_path, X=np.tile(levels, (1, 9, 5))), size=4)
  assert data.x.shape == (N, 4, 4, 1)
  np.testing.assert_allclose(data.x[:, 1, 2, 0], np.arange(N) / 255, atol=1e-6)


@pytest.mark.parametrize(
  ('arg', 'path', 'steps'),
  [
    ('some/where.npz', 'some/where.npz', None),
    ('some/where,small', 'some/where', 40),
    ('small', '', 40),
    ('', '', None),
  ],
)
def test_the_config_builds(arg, path, steps):
  c = config_file.get_config(arg)
  assert c.data.path == path
  validate.prepare(c)
  assert steps in (None, c.training.steps)
  with pytest.raises(ValueError, match="'smal'"):
    config_file.get_config('where,smal')
