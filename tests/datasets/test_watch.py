import importlib.util
import json
import subprocess
import sys

import ml_collections
import numpy as np
import pytest

from hybrid_jax import errors, plugins
from hybrid_jax.datasets import dataset, watch

needs_seglearn = pytest.mark.skipif(
  importlib.util.find_spec('seglearn') is None,
  reason='seglearn, which holds the recordings, is not installed',
)


def _config(**change):
  return ml_collections.ConfigDict(
    {'name': 'watch', **plugins.values(watch.OPTIONS), **change}
  )


@pytest.fixture(scope='module')
def data():
  return watch.load(_config())


@needs_seglearn
def test_shapes_and_classes(data):
  n = len(data.x)
  assert data.x.shape == (n, 1, 128, 6)
  assert data.x.dtype == np.float32
  assert len(data.channels) == 6
  assert len(np.unique(data.recording)) == 140
  for labels, names, count in (
    (data.primary, data.primary_names, 7),
    (data.sensitive['person'], data.sensitive_names['person'], 10),
    (data.sensitive['side'], data.sensitive_names['side'], 2),
  ):
    assert len(names) == len(set(names)) == count
    assert labels.shape == (n,)
    for fold in range(3):
      counts = np.bincount(labels[data.fold == fold], minlength=count)
      assert counts.shape == (count,)
      assert counts.min() > 0


@needs_seglearn
def test_each_recording_is_one_person_doing_one_exercise_on_one_side(data):
  combined = (
    data.primary * 20 + data.sensitive['person'] * 2 + data.sensitive['side']
  )
  pairs = {
    (int(r), int(c)) for r, c in zip(data.recording, combined, strict=True)
  }
  assert len(pairs) == 140
  # Ten people, seven exercises, two sides: each once.
  assert len(set(combined.tolist())) == 140


@needs_seglearn
def test_windows_are_in_the_units_that_the_channels_say(data):
  # An accelerometer at rest measures 1 g: so does the mean here, nearly.
  acceleration = np.linalg.norm(data.x[..., :3], axis=-1).mean()
  assert 0.8 < acceleration < 1.3
  # The rotation is in radians a second, not in degrees.
  assert 0.1 < np.abs(data.x[..., 3:]).mean() < 5


@needs_seglearn
def test_settings_change_the_windows(data):
  other = watch.load(_config(window=64, hop=64))
  assert other.x.shape[1:] == (1, 64, 6)
  first = {
    name: d.x[(d.recording == 3) & (d.fold == dataset.TRAIN)][0, 0]
    for name, d in (('128', data), ('64', other))
  }
  # The first windows start at the start of the recording.
  np.testing.assert_array_equal(first['64'], first['128'][:64])


@needs_seglearn
def test_a_window_too_long_is_refused():
  with pytest.raises(errors.UserError, match=r'recording \d+ has \d+ samples'):
    watch.load(_config(window=5000))


@needs_seglearn
def test_another_file_is_not_unpickled(monkeypatch):
  def unpickled(*args, **kwargs):
    raise AssertionError('it was read')

  monkeypatch.setattr(watch, '_SHA256', '0' * 64)
  monkeypatch.setattr(np, 'load', unpickled)
  with pytest.raises(errors.UserError, match='not the known file') as caught:
    watch.load(_config())
  assert '0' * 64 in str(caught.value)
  assert 'watch_dataset.npy' in str(caught.value)


def test_a_missing_package_says_how_to_get_it(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(errors.UserError, match=r'pip install .*\[watch\]'):
    watch.load(_config())


_LOAD = """
import json, sys
import ml_collections
from hybrid_jax import plugins
from hybrid_jax.datasets import watch
data = watch.load(ml_collections.ConfigDict(plugins.values(watch.OPTIONS)))
print(json.dumps([len(data.x), sorted(sys.modules)]))
"""


@needs_seglearn
def test_neither_seglearn_nor_pandas_is_imported(data):
  done = subprocess.run(
    [sys.executable, '-c', _LOAD],
    capture_output=True,
    text=True,
    timeout=300,
    check=True,
  )
  count, modules = json.loads(done.stdout)
  assert count == len(data.x)
  assert 'numpy' in modules
  assert not {'seglearn', 'pandas', 'tensorflow'} & set(modules)
