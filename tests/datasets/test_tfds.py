import dataclasses
import importlib.util
import io
import pathlib
import pickle
import re
import subprocess
import sys

import ml_collections
import numpy as np
import pytest

from configs import tfds as configs
from hybrid_jax import errors, plugins
from hybrid_jax.datasets import check, dataset, sources, tfds
from hybrid_jax.datasets._tfds import tfds_builder
from hybrid_jax.study import validate
from tests.datasets import loading

library = pytest.importorskip('tensorflow_datasets')
image = pytest.importorskip('PIL.Image')
pytest.importorskip('array_record')

ROOT = pathlib.Path(__file__).parents[2]
known = library.features
# TFDS's feature for sounds imports TensorFlow; the others do not.
needs_tensorflow = pytest.mark.skipif(
  importlib.util.find_spec('tensorflow') is None,
  reason='TensorFlow, which TFDS needs for sounds, is not installed',
)


class _Builder(library.core.GeneratorBasedBuilder, skip_registration=True):
  """Builder whose examples are in the class: `SPLITS`, name to a list."""

  VERSION = library.core.Version('1.0.0')
  code_path = None
  SPLITS = {}  # noqa: RUF012
  FEATURES = {}  # noqa: RUF012

  def _info(self):
    return library.core.DatasetInfo(
      builder=self, features=known.FeaturesDict(self.FEATURES)
    )

  def _split_generators(self, dl_manager):
    return {name: enumerate(rows) for name, rows in self.SPLITS.items()}

  def _generate_examples(self):
    raise NotImplementedError


def _png(pixels):
  # TFDS would import TensorFlow to encode the image.
  file = io.BytesIO()
  image.fromarray(pixels).save(file, 'png')
  file.seek(0)
  return file


def _face(i, size=(8, 6)):
  """A face: the left half is black, the right half (5 i, 4 i, 3 i)."""
  pixels = np.zeros((*size, 3), np.uint8)
  pixels[:, size[1] // 2 :] = (5 * i, 4 * i, 3 * i)
  return {
    'image': _png(pixels),
    'attributes': {'Male': i % 2 == 0, 'Young': i % 3 == 0},
    'style': {'primary': i % 2, 'age': 10 * (i % 4)},
    'other': {'age': i},
    'label': ('cat', 'dog')[i // 2 % 2],
    'name': f'name {i % 5}',
    'identity': i // 4,
    'weight': i / 7,
    'box': known.BBox(0.0, 0.0, 1.0, 1.0),
    'number': i,
  }


class TinyFaces(_Builder, skip_registration=True):
  FEATURES = {  # noqa: RUF012
    'image': known.Image(shape=(None, None, 3)),
    'attributes': {'Male': np.bool_, 'Young': np.bool_},
    'style': {
      'primary': known.ClassLabel(num_classes=2),
      'age': np.int32,
    },
    'other': {'age': np.int64},
    # There is no example of a cow.
    'label': known.ClassLabel(names=['cat', 'cow', 'dog']),
    'name': known.Text(),
    'identity': np.int64,
    'weight': np.float32,
    'box': known.BBoxFeature(),
    'number': np.int32,
  }
  SPLITS = {  # noqa: RUF012
    'train': [_face(i) for i in range(40)],
    'test': [_face(i) for i in range(40, 50)],
  }


class OtherFaces(TinyFaces, skip_registration=True):
  """One test image has another size, and one name is only in the test."""

  SPLITS = {  # noqa: RUF012
    'train': [_face(i) for i in range(20)],
    'validation': [_face(i) for i in range(20, 30)],
    'test': [
      *(_face(i) for i in range(30, 40)),
      _face(41, (10, 6)) | {'name': 'somebody else'},
    ],
  }


class TinySounds(_Builder, skip_registration=True):
  @property
  def FEATURES(self):
    # A property, because `Audio` imports TensorFlow.
    return {
      'audio': known.Audio(shape=(None,), dtype=np.int16),
      'label': known.ClassLabel(num_classes=2),
      'speaker': known.Text(),
    }

  SPLITS = {  # noqa: RUF012
    'train': [
      {
        'audio': np.arange(i, 2 * i + 4, dtype=np.int16),
        'label': i % 2,
        'speaker': str(i // 2 % 2),
      }
      for i in range(20)
    ],
  }


class TinyTables(_Builder, skip_registration=True):
  FEATURES = {  # noqa: RUF012
    'features': known.Tensor(shape=(3,), dtype=np.float32),
    'steps': known.Tensor(shape=(None, 2), dtype=np.float32),
    'label': known.ClassLabel(num_classes=2),
    'rare': np.int64,
  }
  SPLITS = {  # noqa: RUF012
    name: [
      {
        'features': [start + i, 0.5, -i],
        'steps': np.full((2 + i % 3, 2), i, np.float32),
        'label': i % 2 if name != 'unlabelled' else -1,
        'rare': i // 6,
      }
      for i in range(20)
    ]
    for start, name in ((0, 'train'), (100, 'valid'), (200, 'unlabelled'))
  }


def _bands(i):
  return np.arange(i, i + 4 * 6 * 5, dtype=np.float32).reshape(4, 6, 5)


class TinyBands(_Builder, skip_registration=True):
  """Pictures of five bands, with labels as people write them."""

  FEATURES = {  # noqa: RUF012
    'bands': known.Tensor(shape=(4, 6, 5), dtype=np.float32),
    'count': known.Tensor(shape=(8,), dtype=np.int64),
    'label': known.ClassLabel(num_classes=2),
    'who': known.Text(),
    'gap': known.Text(),
    'bytes': known.Tensor(shape=(), dtype=np.bytes_),
    'code': np.int64,
  }
  SPLITS = {  # noqa: RUF012
    'train': [
      {
        'bands': _bands(i),
        'count': np.arange(8) + 2**40 + i,
        'label': i % 2,
        'who': ('Zo\u00eb', 'Bob', 'Zoe\u0308 ', '1.0', '1')[i // 2 % 5],
        'gap': ('left', 'nan')[i // 2 % 2],
        'bytes': ('Анна', 'Олег')[i // 2 % 2].encode('cp1251'),
        'code': (0, 1, -1)[i // 2 % 3],
      }
      for i in range(60)
    ]
  }


class TinyAway(_Builder):
  """A registered builder that cannot be prepared."""

  FEATURES = TinyTables.FEATURES

  def _split_generators(self, dl_manager):
    raise RuntimeError('the network\nis away')


def _prepare(folder, *builders):
  for builder in builders:
    builder(data_dir=folder, file_format='array_record').download_and_prepare(
      download_dir=folder / 'downloads'
    )
  return str(folder)


@pytest.fixture(scope='module')
def prepared(tmp_path_factory):
  return _prepare(
    tmp_path_factory.mktemp('tfds'), TinyFaces, OtherFaces, TinyTables
  )


@pytest.fixture(scope='module')
def sounds(tmp_path_factory):
  return _prepare(tmp_path_factory.mktemp('sounds'), TinySounds)


def _config(data_dir, **change):
  return ml_collections.FrozenConfigDict(
    {
      'name': 'tfds',
      **plugins.values(tfds.OPTIONS),
      'data_dir': data_dir,
      **change,
    }
  )


def _faces(data_dir, **change):
  return _config(
    data_dir,
    **{
      'dataset': 'tiny_faces',
      'primary': 'Male',
      'sensitive': ('Young',),
      **change,
    },
  )


def _load(config):
  """Loads a data set and reads its examples."""
  data = loading.load(tfds, config)
  assert sources.is_lazy(data.x)
  return dataclasses.replace(data, x=sources.read_all(data.x))


def _numbers(data):
  """Returns i of each face, from the colour of its right half."""
  red = data.x[:, 0, -1, 0] * 255 / 5
  number = np.rint(red).astype(int)
  np.testing.assert_allclose(red, number, atol=1e-4)
  return number


@pytest.fixture(scope='module')
def bands(tmp_path_factory):
  return _prepare(tmp_path_factory.mktemp('bands'), TinyBands)


def _load_bands(folder, **change):
  settings = {'dataset': 'tiny_bands', 'primary': 'label', 'feature': 'bands'}
  return _load(_config(folder, **{**settings, 'sensitive': 'who', **change}))


def test_a_tensor_of_bands_is_resized(bands):
  assert _load_bands(bands).x.shape == (60, 4, 6, 5)
  data = _load_bands(bands, size=(2, 3))
  assert data.x.shape == (60, 2, 3, 5)
  whole = _load_bands(bands)
  # The mean of a linear ramp stays, and its slope per pixel doubles.
  np.testing.assert_allclose(
    data.x.mean(axis=(1, 2)), whole.x.mean(axis=(1, 2)), rtol=1e-5
  )
  assert _load_bands(bands, size=(4, 6)).x.tolist() == whole.x.tolist()


@pytest.mark.parametrize(
  ('change', 'part'),
  [
    ({'grey': True}, "data.grey is True, and 'bands' has the type numbers"),
    ({'length': 5}, "data.length is 5, and 'bands'"),
    ({'feature': 'count', 'size': (2, 2)}, "data.size is .2, 2., and 'count'"),
    ({'feature': 'count'}, "'count' .int64.* most of the signal would be lost"),
    ({'sensitive': 'gap'}, "'gap' is 'nan' in row .*, which is no label"),
    ({'sensitive': 'bytes'}, "'bytes' is b.* in row .*, which is not UTF-8"),
    ({'group': 'bytes'}, "'bytes' is b.* in row .*, which is not UTF-8"),
  ],
)
def test_what_would_be_passed_over_is_refused(bands, change, part):
  with pytest.raises(errors.UserError, match=part):
    _load_bands(bands, **change)


def test_labels_are_read_as_everywhere(bands):
  data = _load_bands(bands, sensitive=('who', 'code'))
  assert data.sensitive_names['who'] == ['1', 'Bob', 'Zo\u00eb']
  assert np.bincount(data.sensitive['who']).tolist() == [24, 12, 24]
  remarks = check.examine(data).remarks
  assert any("'code' has the class '-1'" in line for line in remarks)


def test_the_plugin_is_known():
  assert 'tfds' in plugins.known('data set')


def test_images_and_labels(prepared):
  data = _load(
    _faces(prepared, sensitive=('attributes/Young', 'label', 'name'))
  )
  assert data.x.shape == (50, 8, 6, 3)
  assert data.x.dtype == np.float32
  # train[:90%], train[90%:] and test.
  np.testing.assert_array_equal(np.bincount(data.fold), [36, 4, 10])
  number = _numbers(data)
  assert sorted(number) == list(range(50))
  assert set(number[data.fold == dataset.TEST]) == set(range(40, 50))
  for row, i in enumerate(number):
    np.testing.assert_array_equal(data.x[row, :, :3], np.zeros((8, 3, 3)))
    colour = np.array([5 * i, 4 * i, 3 * i], np.float32) / np.float32(255)
    np.testing.assert_array_equal(
      data.x[row, :, 3:], np.broadcast_to(colour, (8, 3, 3))
    )
  np.testing.assert_array_equal(data.primary, number % 2 == 0)
  assert data.primary_names == ['not Male', 'Male']
  names = data.sensitive_names
  assert names['Young'] == ['not Young', 'Young']
  np.testing.assert_array_equal(data.sensitive['Young'], number % 3 == 0)
  # There is no cow, so dogs are class 1.
  assert names['label'] == ['cat', 'dog']
  np.testing.assert_array_equal(data.sensitive['label'], number // 2 % 2)
  assert names['name'] == [f'name {i}' for i in range(5)]
  np.testing.assert_array_equal(data.sensitive['name'], number % 5)
  assert data.channels == ['red (0 to 1)', 'green (0 to 1)', 'blue (0 to 1)']
  # Each is its own recording.
  assert len(set(data.recording)) == 50


def test_labels_are_read_without_the_images(prepared, monkeypatch):
  decoded = []
  original = known.Image.decode_example_np

  def count(self, example):
    decoded.append(example)
    return original(self, example)

  monkeypatch.setattr(known.Image, 'decode_example_np', count)
  data = tfds.load(_faces(prepared))
  assert len(data.primary) == 50
  assert len(decoded) == 1  # Of which the shape is.
  rows = data.x.read_rows([49, 3])
  assert len(decoded) == 3
  whole = _load(_faces(prepared))
  np.testing.assert_array_equal(rows, whole.x[[49, 3]])
  # Other processes can read it.
  sent = pickle.loads(pickle.dumps(data.x))
  np.testing.assert_array_equal(sent.read_rows([49, 3]), rows)


def test_images_are_resized_and_made_grey(prepared):
  data = _load(_faces(prepared, size=(4, 2), grey=True))
  assert data.x.shape == (50, 4, 2, 1)
  assert data.channels == ['grey (0 to 1)']
  # Luma is 0.299 r + 0.587 g + 0.114 b, cut to an integer; and a triangle of
  # three pixels to each side of a column's middle, at 1.5 and 4.5 of 0 to 6,
  # lets some of the other half in: weights 5/3, 1, 1/3 of six, in thirds.
  whole = _load(_faces(prepared))
  number = _numbers(whole)
  luma = (0.299 * 5 + 0.587 * 4 + 0.114 * 3) * number
  middles = np.arange(6) + 0.5
  weights = np.stack(
    [
      np.clip(1 - np.abs(middles - middle) / 3, 0, None)
      for middle in (1.5, 4.5)
    ]
  )
  weights /= weights.sum(axis=1, keepdims=True)
  share = weights[:, 3:].sum(axis=1)
  expected = luma[:, None, None] * share
  np.testing.assert_allclose(
    data.x[..., 0] * 255, np.broadcast_to(expected, (50, 4, 2)), atol=1.01
  )


def test_a_group_is_one_recording(prepared):
  data = _load(_faces(prepared, group='identity'))
  number = _numbers(data)
  # Four examples each; the last person has two.
  np.testing.assert_array_equal(data.recording, number // 4)


def test_ambiguous_names_keep_their_path(prepared):
  data = _load(
    _faces(prepared, primary='style/age', sensitive=('style/primary', 'Male'))
  )
  assert list(data.sensitive) == ['style_primary', 'Male']
  np.testing.assert_array_equal(data.primary, _numbers(data) % 4)
  assert data.primary_names == ['0', '10', '20', '30']


def test_splits_and_most_examples(prepared):
  data = _load(
    _faces(
      prepared,
      splits={'train': 'test', 'validation': 'train[:4]', 'test': 'train[4:]'},
      max_examples=8,
    )
  )
  np.testing.assert_array_equal(np.bincount(data.fold), [8, 4, 8])
  assert set(_numbers(data)[data.fold == 0]) < set(range(40, 50))


def test_default_splits():
  for splits, expected in (
    (['train', 'test'], ('train[:90%]', 'train[90%:]', 'test')),
    (['train', 'validation', 'test'], ('train', 'validation', 'test')),
    (['train', 'valid', 'test'], ('train', 'valid', 'test')),
    (['train', 'dev'], ('train[:90%]', 'train[90%:]', 'dev')),
    (['train'], ('train[:80%]', 'train[80%:90%]', 'train[90%:]')),
  ):
    assert tfds_builder.default_splits(splits) == expected
  with pytest.raises(errors.UserError, match=r'all_of_it; say in data.splits'):
    tfds_builder.default_splits(['all_of_it'])


@needs_tensorflow
def test_sounds_are_padded_and_cut(sounds):
  config = {
    'dataset': 'tiny_sounds',
    'primary': 'label',
    'sensitive': 'speaker',
  }
  data = _load(_config(sounds, **config, length=6))
  assert data.x.shape == (20, 1, 6, 1)
  # Example i is i, i + 1, ... of i + 4 numbers, of 16 bits; it starts with i.
  number = np.rint(data.x[:, 0, 0, 0] * 32768).astype(int)
  assert sorted(number) == list(range(20))
  for row, i in enumerate(number):
    expected = [i + k if k < i + 4 else 0 for k in range(6)]
    np.testing.assert_array_equal(
      data.x[row, 0, :, 0], np.array(expected, np.float32) / 32768
    )
  np.testing.assert_array_equal(data.primary, number % 2)
  assert data.channels == ['amplitude (-1 to 1)']
  np.testing.assert_array_equal(np.bincount(data.fold), [16, 2, 2])
  # Without data.length, the longest training example decides.
  longest = _load(_config(sounds, **config)).x.shape[2]
  assert longest == number[data.fold == dataset.TRAIN].max() + 4


def test_tensors_are_series(prepared):
  config = {'dataset': 'tiny_tables', 'primary': 'label'}
  config['splits'] = {
    'train': 'train',
    'validation': 'valid[:50%]',
    'test': 'valid[50%:]',
  }
  data = _load(_config(prepared, **config, feature='features'))
  assert data.x.shape == (40, 1, 3, 1)
  start = data.x[:, 0, 0, 0]
  i = start % 100
  np.testing.assert_array_equal(start >= 100, data.fold != dataset.TRAIN)
  np.testing.assert_array_equal(
    data.x[:, 0, :, 0], np.stack([start, np.full(40, 0.5), -i], axis=1)
  )
  data = _load(_config(prepared, **config, feature='steps'))
  assert data.x.shape == (40, 1, 4, 2)
  assert data.channels == ['steps 0', 'steps 1']
  for row in data.x[:, 0]:
    i = row[0, 0]
    expected = [i if k < 2 + i % 3 else 0 for k in range(4)]
    np.testing.assert_array_equal(row, np.stack([expected] * 2, axis=1))


def test_rare_classes_are_left_out(prepared):
  # 6 of each of 0, 1 and 2, and 2 of 3.
  data = _load(
    _config(
      prepared,
      dataset='tiny_tables',
      feature='features',
      primary='label',
      sensitive='rare',
      splits={'train': 'train', 'validation': 'valid', 'test': 'valid'},
      min_examples=3,
    )
  )
  assert data.sensitive_names['rare'] == ['0', '1', '2']
  assert len(data.x) == 3 * 18
  np.testing.assert_array_equal(
    data.sensitive['rare'], data.x[:, 0, 0, 0] % 100 // 6
  )


REFUSED = {
  'no name': ({'dataset': ''}, ["'celeb_a'"]),
  'no such set': ({'dataset': 'celeb_b'}, ["'celeb_b'", "mean 'celeb_a'"]),
  'no primary': ({'primary': ''}, ['primary label', 'attributes/Male']),
  'a wrong key': (
    {'primary': 'Mael'},
    [
      "unknown primary label 'Mael'",
      "mean 'attributes/Male'",
      'Known: attributes/Male, attributes/Young, identity, label, name, number,'
      ' other/age, style/age, style/primary.',
    ],
  ),
  'a wrong sensitive key': (
    {'sensitive': ('attributes/Old',)},
    ['unknown sensitive label', 'attributes/Young'],
  ),
  'an ambiguous key': (
    {'sensitive': ('age',)},
    ["'age'", 'style/age', 'other/age', 'whole key'],
  ),
  'a float': ({'primary': 'weight'}, ["'weight'", 'attributes/Male']),
  'a box': ({'primary': 'box'}, ["'box'"]),
  'an image as label': ({'primary': 'image'}, ["'image'"]),
  'twice': ({'sensitive': ('Male',)}, ['attributes/Male', 'once']),
  'no such input': (
    {'feature': 'picture'},
    ["input feature 'picture'", 'Known: image.'],
  ),
  'no such group': ({'group': 'persons'}, ["group 'persons'", 'identity']),
  'size': ({'size': (8,)}, ['data.size is (8,)']),
  'length': ({'length': -1}, ['data.length is -1']),
  'some splits': (
    {'splits': {'train': 'train', 'validation': '', 'test': ''}},
    ['data.splits', 'train, validation, test'],
  ),
  'no such split': (
    {'splits': {'train': 'train', 'validation': 'dev', 'test': 'test'}},
    ['dev', 'train, test'],
  ),
  'an odd fold': (
    {'splits': {'tset': 'train'}},
    ["'tset'", "mean 'test'"],
  ),
  'too few': ({'min_examples': 99}, ['no example', 'min_examples 99']),
  'other sizes': (
    {'dataset': 'other_faces'},
    ["'image'", '(8, 6, 3)', '(10, 6, 3)', 'data.size'],
  ),
  'a value that does not train': (
    {'dataset': 'other_faces', 'primary': 'name', 'size': (4, 4)},
    ["'somebody else' of label 'name'", 'test fold', 'data.min_examples'],
  ),
  'no label': (
    {
      'dataset': 'tiny_tables',
      'feature': 'features',
      'primary': 'label',
      'sensitive': 'rare',
      'splits': {
        'train': 'train',
        'validation': 'valid',
        'test': 'unlabelled',
      },
    },
    ["'label' is -1", 'test fold'],
  ),
  'two inputs': (
    {'dataset': 'tiny_tables', 'primary': 'label', 'sensitive': 'rare'},
    ['data.feature is not set', 'features, steps'],
  ),
}


@pytest.mark.parametrize('case', REFUSED.values(), ids=REFUSED.keys())
def test_invalid_settings_are_refused(prepared, case):
  change, parts = case
  with pytest.raises(errors.UserError) as caught:
    _load(_faces(prepared, **change))
  for part in parts:
    assert part in str(caught.value)
  assert '\n' not in str(caught.value)


def test_too_many_values_are_refused(prepared, monkeypatch):
  monkeypatch.setattr('hybrid_jax.datasets._tfds.features.MOST_CLASSES', 9)
  with pytest.raises(errors.UserError, match=r"'number' has 50 .* at most 9"):
    _load(_faces(prepared, sensitive='number'))


def test_a_wrong_key_is_refused_before_data_are_prepared(tmp_path):
  with pytest.raises(errors.UserError, match=r"label 'digit'.*Known: label"):
    _load(_config(str(tmp_path), dataset='mnist', primary='digit'))
  assert not list(tmp_path.iterdir())


def test_a_failed_preparation_leaves_no_files(tmp_path):
  with pytest.raises(
    errors.UserError, match=r"prepare 'tiny_away': .*the network is away"
  ):
    _load(
      _config(
        str(tmp_path / 'data'),
        dataset='tiny_away',
        feature='features',
        primary='label',
      )
    )
  assert not list(tmp_path.rglob('tiny_away'))


def test_images_are_read_without_tensorflow(prepared):
  code = (
    'import sys, ml_collections\n'
    'from hybrid_jax import plugins\n'
    'from hybrid_jax.datasets import tfds\n'
    'data = tfds.load(ml_collections.ConfigDict({\n'
    '  **plugins.values(tfds.OPTIONS),'
    f" 'data_dir': {prepared!r}, 'size': (4, 4),\n"
    "  'dataset': 'tiny_faces', 'primary': 'Male', 'sensitive': 'Young'}))\n"
    'assert data.x.shape == (50, 4, 4, 3)\n'
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
  assert done.stdout.strip() == '[]'


def test_known_sets_by_name():
  with library.testing.mock_data(num_examples=12):
    faces = _load(
      _config(
        '',
        dataset='celeb_a',
        primary='Male',
        sensitive=('Young', 'attributes/Smiling'),
        size=(20, 16),
      )
    )
    digits = _load(
      _config('', dataset='mnist', primary='label', max_examples=9)
    )
    people = _load(_config('', dataset='lfw', primary='label', size=(8, 8)))
  assert faces.x.shape == (36, 20, 16, 3)
  assert list(faces.sensitive) == ['Young', 'Smiling']
  assert digits.x.shape == (27, 28, 28, 1)
  assert set(digits.primary_names) <= set('0123456789')
  assert people.x.shape == (36, 8, 8, 3)
  # Every mocked fold holds the same twelve random names.
  assert len(people.primary_names) == 12
  for data in (faces, digits, people):
    assert data.x.min() >= 0
    assert data.x.max() <= 1


def test_the_config_chooses_the_model(prepared):
  faces = f'tiny_faces,data_dir={prepared},primary=Male,sensitive=Young+label'
  c = configs.get_config(faces)
  assert c.data.sensitive == ('Young', 'label')
  assert c.data.size == (64, 64)
  assert c.model.name == 'vgg16'
  assert (c.model.options.width, c.model.options.norm) == (0.25, True)
  validate.prepare(c)
  c = configs.get_config(
    f'{faces},size=8x12,grey=1,max_examples=7,group=identity,small'
  )
  # Seven training examples, all four validation examples, seven of the test.
  del c.data.attack_fold  # of every study, not of a data set
  assert _load(c.data).x.shape == (18, 8, 12, 1)
  assert c.data.group == 'identity'
  assert c.training.steps == 40


@needs_tensorflow
def test_sound_sets_by_name(sounds):
  with library.testing.mock_data(num_examples=12):
    words = _load(
      _config('', dataset='speech_commands', primary='label', length=40)
    )
  assert words.x.shape == (36, 1, 40, 1)
  assert set(words.primary_names) <= {
    *('down', 'go', 'left', 'no', 'off', 'on', 'right', 'stop', 'up', 'yes'),
    *('_silence_', '_unknown_'),
  }
  c = configs.get_config(
    f'tiny_sounds,data_dir={sounds},primary=label,sensitive=speaker'
  )
  assert c.model.name == 'cnn1d'
  validate.prepare(c)


@pytest.mark.parametrize(
  ('arg', 'part'),
  [
    ('', 'celeb_a,primary=Male,sensitive=Young'),
    ('primary=Male', 'celeb_a,primary=Male'),
    ('mnist,primary=label', 'needs sensitive='),
    ('mnist,sensitive=label', 'needs primary='),
    ('mnist,primry=label', "size= or full, small, tune, grid, not 'primry="),
    ('mnist,primary=', "not 'primary='"),
    ('mnist,smal', "not 'smal'"),
    ('mnist,size=3x4x5', "48x64 for size=, not '3x4x5'"),
    ('mnist,length=long', "length=, not 'long'"),
    ('mnist,primary=digit,sensitive=label', "label 'digit'"),
    ('mnits,primary=digit,sensitive=label', "mean 'mnist'"),
  ],
)
def test_a_bad_argument_is_named(arg, part):
  with pytest.raises(ValueError, match=re.escape(part)) as caught:
    configs.get_config(arg)
  assert '\n' not in str(caught.value)
