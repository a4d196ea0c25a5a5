"""The cloud half: bit-equal to its file, close to JAX, checked by manifest."""

import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.deploy.formats import device
from hybrid_jax.deploy.server import cloud_half
from tests import studies

_BARE = """
import sys
from hybrid_jax.deploy.server import app, http_server, cloud_half
cloud = cloud_half.CloudHalf(sys.argv[1], 4)
app.Service(cloud)
print(cloud(__import__('numpy').ones((1, 4), 'float32')).shape)
imported = {'jax', 'jaxlib', 'flax', 'tensorflow', 'scipy'} & set(sys.modules)
assert not imported, imported
"""


def test_dense_halves_run_in_exact_batches(bundle):
  cloud = cloud_half.CloudHalf(bundle.folder, 8)
  assert cloud.sizes == [1, 2, 4, 8]
  vectors = bundle.vectors(7)
  together = cloud(vectors[:, 0])
  assert together.shape == (7, 3)
  for vector, row in zip(vectors, together, strict=True):
    np.testing.assert_array_equal(bundle.in_file(vector)[0], row)
    np.testing.assert_allclose(bundle.in_jax(vector)[0], row, atol=1e-5)


def test_other_halves_run_one_by_one(early):
  cloud = cloud_half.CloudHalf(early.folder, 8)
  assert cloud.sizes == [1]
  for vector in early.vectors(3):
    logits = cloud(vector)
    np.testing.assert_array_equal(logits, early.in_file(vector))
    np.testing.assert_allclose(logits, early.in_jax(vector), atol=1e-5)


def test_a_batch_size_that_changes_a_bit_is_not_used(bundle, monkeypatch):
  run = device.Model.__call__

  def inexact(self, released):
    out = run(self, released=released)
    return np.nextafter(out, np.inf) if len(out) == 4 else out

  monkeypatch.setattr(device.Model, '__call__', inexact)
  assert cloud_half.CloudHalf(bundle.folder, 8).sizes == [1, 2]


def test_metadata(bundle):
  cloud = cloud_half.CloudHalf(bundle.folder)
  assert cloud.sizes == [1]
  assert cloud.input.describe() == {
    'name': 'released',
    'datatype': 'FP32',
    'shape': [1, 4],
  }
  assert cloud.metadata['labels'] == ['sit', 'walk', 'run']
  assert cloud.metadata['grid'] == 0.0625
  assert cloud.input.grid == 0.0625
  assert cloud.metadata['wire_datatypes'] == ['FP32', 'INT16', 'INT8']
  assert len(cloud.metadata['sha256']) == 64


def test_only_floats_without_a_grid(bundle, tmp_path):
  manifest = json.loads((bundle.folder / 'manifest.json').read_text())
  shutil.copy(bundle.folder / 'cloud.tflite', tmp_path)
  (tmp_path / 'manifest.json').write_text(json.dumps(manifest | {'grid': None}))
  cloud = cloud_half.CloudHalf(tmp_path)
  assert cloud.input.grid is None
  assert cloud.metadata['wire_datatypes'] == ['FP32']
  assert 'grid' not in cloud.metadata


def test_on_grid(bundle):
  cloud = cloud_half.CloudHalf(bundle.folder)
  on = np.array([[0, -0.0625, 3.125, 4096.0625]], np.float32)
  assert cloud.on_grid(on)
  assert not cloud.on_grid(on + np.float32(0.01))
  del cloud.metadata['grid']
  assert cloud.on_grid(on + np.float32(0.01))


def test_neither_jax_nor_tensorflow_is_imported(bundle):
  done = subprocess.run(
    [sys.executable, '-c', _BARE, str(bundle.folder)],
    cwd=studies.ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout.strip() == '(1, 3)'


def _spoil(manifest, path, value):
  *path, last = path
  for key in path:
    manifest = manifest[key]
  manifest[last] = value


@pytest.mark.parametrize(
  ('path', 'value', 'message'),
  [
    (('cloud',), None, 'describes no cloud half'),
    (('cloud', 'sha256'), '00', 'halves are of two bundles'),
    (('cloud', 'file'), '../cloud.tflite', 'outside of'),
    (('cloud', 'file'), 'other.tflite', 'could not read'),
    (('cloud', 'inputs', 'released', 'shape'), [1, 5], r'\[1, 5\]'),
    (('cloud', 'inputs', 'released', 'dtype'), 'int8', 'int8'),
    (('cloud', 'inputs'), {}, 'does not describe a bundle'),
    (('cloud', 'inputs'), [1], 'does not describe a bundle'),
    (('cloud', 'outputs', 'logits', 'shape'), [1, 2], r'\[1, 2\]'),
    (('cloud', 'outputs', 'logits', 'dtype'), 'int8', 'has outputs .* says'),
    (('labels',), ['a', 'b'], '2 labels'),
    (('grid',), 0, 'grid is 0'),
    (('edge', 'inputs', 'noise'), None, 'does not describe a bundle'),
    (('grid',), float('nan'), 'NaN is not JSON'),
  ],
)
def test_a_wrong_manifest_is_one_error(bundle, tmp_path, path, value, message):
  manifest = json.loads((bundle.folder / 'manifest.json').read_text())
  _spoil(manifest, path, value)
  shutil.copy(bundle.folder / 'cloud.tflite', tmp_path)
  (tmp_path / 'manifest.json').write_text(json.dumps(manifest))
  with pytest.raises(errors.UserError, match=message):
    cloud_half.CloudHalf(tmp_path)


def test_a_wrong_folder_is_one_error(bundle, tmp_path):
  with pytest.raises(errors.UserError, match=r'^could not read'):
    cloud_half.CloudHalf(tmp_path)
  (tmp_path / 'manifest.json').write_text('{')
  with pytest.raises(errors.UserError, match='is damaged'):
    cloud_half.CloudHalf(tmp_path)
  data = b'nothing' * 100
  (tmp_path / 'cloud.tflite').write_bytes(data)
  manifest = json.loads((bundle.folder / 'manifest.json').read_text())
  (tmp_path / 'manifest.json').write_text(json.dumps(manifest))
  with pytest.raises(errors.UserError, match='has sha256'):
    cloud_half.CloudHalf(tmp_path)
  # With the right hash, LiteRT shows that it is no TFLite file.
  sha256 = hashlib.sha256(data).hexdigest()
  manifest['cloud']['sha256'] = manifest['edge']['paired_with'] = sha256
  (tmp_path / 'manifest.json').write_text(json.dumps(manifest))
  with pytest.raises(errors.UserError, match='cannot run'):
    cloud_half.CloudHalf(tmp_path)
